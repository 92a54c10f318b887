"""Looks at what a report of errors would hold that has the variables of frames, as Sentry's has."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

#: What no report may hold: every text that a test takes for secret begins like that.
HUSH = "hush-"
_TESTS = str(Path(__file__).parent)
_DEPTH = 6


def said_of(value: Any, depth: int = _DEPTH) -> Iterator[str]:
    """Yield what is told of a value: into mappings and sequences, and of all else its representation."""
    if depth and isinstance(value, Mapping):
        for key, each in value.items():
            yield str(key)
            yield from said_of(each, depth - 1)
    elif depth and isinstance(value, Sequence | AbstractSet) and not isinstance(value, str | bytes):
        for each in value:
            yield from said_of(each, depth - 1)
    else:
        yield repr(value)


def leaks_of_frame(frame: FrameType) -> Iterator[str]:
    """Yield where a frame has something secret among its variables. Tests know what they have made secret."""
    if frame.f_code.co_filename.startswith(_TESTS):
        return
    for name, value in dict(frame.f_locals).items():
        for text in said_of(value):
            if HUSH in text:
                yield f"{frame.f_code.co_filename}:{frame.f_code.co_name}: {name}: {text[:200]}"


def leaks_of_error(error: BaseException | None) -> Iterator[str]:
    """Yield what an error, and all that it was raised from, has of something secret."""
    while error is not None:
        if HUSH in repr(error):
            yield repr(error)
        traceback = error.__traceback__
        while traceback is not None:
            yield from leaks_of_frame(traceback.tb_frame)
            traceback = traceback.tb_next
        error = error.__cause__ or error.__context__


class Reporter(logging.Handler):
    """Looks at each record, the stack it is logged from, and the errors that it has."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.leaks: list[str] = []
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Look at a record."""
        self.messages.append(record.getMessage())
        if HUSH in self.messages[-1]:
            self.leaks.append(self.messages[-1])
        this = inspect.currentframe()
        frame = this and this.f_back
        while frame is not None and not frame.f_code.co_filename.startswith(_TESTS):
            self.leaks += leaks_of_frame(frame)
            frame = frame.f_back
        self.leaks += [repr(each) for each in vars(record).items() if HUSH in repr(each)]
        self.leaks += leaks_of_error(record.exc_info[1] if record.exc_info else None)


@contextmanager
def reporting() -> Iterator[Reporter]:
    """Look at all that is logged."""
    reporter = Reporter()
    root = logging.getLogger()
    level = logging.getLogger("okta_hooks").level
    root.addHandler(reporter)
    logging.getLogger("okta_hooks").setLevel(logging.INFO)
    try:
        yield reporter
    finally:
        root.removeHandler(reporter)
        logging.getLogger("okta_hooks").setLevel(level)
