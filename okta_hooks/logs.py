"""The loggers of this library: what they log has a constant text, named arguments, and stands on one line.

A message is logged with one mapping of arguments: ``logger.warning("The hook %(hook)r ...", {"hook": ...})``.
They are put on the record as well, ``hook`` as ``okta_hook``, where formatters and error trackers find what is given
to ``logging`` as ``extra``.

What comes from elsewhere, such as the text of a receiver's error, may hold line breaks and what moves a cursor: it is
escaped, in the message and on the record. In a traceback, each line is escaped, and the texts of errors have no line
breaks.
"""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Self

from .host_code import contained, text_of
from .printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator


#: What the names of arguments have before them on a record, so that none is one of ``logging`` or of the host.
PREFIX: Final = "okta_"
#: As `str.splitlines` has it.
_LINE_BREAK: Final = "(?:\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029])"


class _Structured(logging.Filter):
    """Puts the arguments of a message on its record, and escapes in them what does not show."""

    def filter(self, record: logging.LogRecord) -> bool:
        contained(_prepare, record)
        return True


class _Escaped(str):
    """A text in which something is escaped. ``%r`` quotes it as it came: it would escape what is escaped again."""

    __slots__ = ("_quoted",)
    _quoted: str

    def __new__(cls, text: str) -> Self:
        made = super().__new__(cls, printable(text))
        made._quoted = printable(repr(text))
        return made

    def __repr__(self) -> str:
        return self._quoted


def _prepare(record: logging.LogRecord) -> None:
    if isinstance(record.args, Mapping):
        record.args = {name: _shown(value) for name, value in record.args.items()}
        for name, value in record.args.items():
            setattr(record, PREFIX + name, str(value) if isinstance(value, str) else value)
    error = record.exc_info[1] if record.exc_info else None
    if error is not None and not record.exc_text:
        # Formatters take it from here.
        record.exc_text = _traceback(error)


def _shown(value: object) -> str | float | None:
    """Return what JSON can hold of an argument, and that shows."""
    if value is None or isinstance(value, int | float):
        return value
    text = text_of(value)
    return text if printable(text) == text else _Escaped(text)


def _traceback(error: BaseException) -> str:
    text = "".join(traceback.format_exception(error)).rstrip("\n")
    for each in _with_causes(error, set()):
        said = str(each)
        shown = printable(said)
        if shown != said:
            # In a group, what follows a line break is indented.
            parts = map(re.escape, re.split(_LINE_BREAK, said))
            text = re.sub(rf"{_LINE_BREAK}[ |]*".join(parts), shown.replace("\\", r"\\"), text)
    return "\n".join(printable(line) for line in text.split("\n"))


def _with_causes(error: BaseException | None, seen: set[int]) -> Iterator[BaseException]:
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    yield error
    yield from _with_causes(error.__cause__, seen)
    yield from _with_causes(error.__context__, seen)
    for part in error.exceptions if isinstance(error, BaseExceptionGroup) else ():
        yield from _with_causes(part, seen)


_STRUCTURED: Final = _Structured()


def plain_logger(name: str) -> logging.Logger:
    """Return the logger of a module: its messages stand on one line, and their arguments are on the record."""
    logger = logging.getLogger(name)
    logger.addFilter(_STRUCTURED)
    return logger


class Logger(logging.LoggerAdapter[logging.Logger]):
    """A logger whose methods raise nothing: a handler or filter of the host's must not end a thread of ours."""

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Log, as :meth:`logging.Logger.log`."""
        if self.isEnabledFor(level):
            # The frames of this method and of `contained` are not where the message comes from.
            kwargs["stacklevel"] = kwargs.get("stacklevel", 1) + 2
            contained(self.logger.log, level, msg, *args, **kwargs)


def get_logger(name: str) -> Logger:
    """Return the logger of a module that runs in threads of ours."""
    return Logger(plain_logger(name))
