"""The loggers of this library: what they log stands on one line, and shows as it is.

What comes from elsewhere, such as the text of a receiver's error, may hold line breaks and what moves a cursor.
In a traceback, each line is escaped, and the texts of errors have no line breaks.
"""

from __future__ import annotations

import logging
import re
import traceback
from typing import TYPE_CHECKING, Any, Final

from .host_code import contained
from .printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator


#: As `str.splitlines` has it.
_LINE_BREAK: Final = "(?:\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029])"


class _OnOneLine(logging.Filter):
    """Escapes in a message what does not show. A message without such keeps its arguments apart."""

    def filter(self, record: logging.LogRecord) -> bool:
        # What has no text cannot be logged either: the handlers of the host tell of it.
        contained(_escape, record)
        return True


def _escape(record: logging.LogRecord) -> None:
    message = record.getMessage()
    shown = printable(message)
    if shown != message:
        record.msg, record.args = shown, ()
    error = record.exc_info[1] if record.exc_info else None
    if error is not None and not record.exc_text:
        # Formatters take it from here.
        record.exc_text = _traceback(error)


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


_ON_ONE_LINE: Final = _OnOneLine()


def plain_logger(name: str) -> logging.Logger:
    """Return the logger of a module whose messages stand on one line."""
    logger = logging.getLogger(name)
    logger.addFilter(_ON_ONE_LINE)
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
