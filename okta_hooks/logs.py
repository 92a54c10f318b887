"""The loggers of this library: what they log stands on one line, and shows as it is.

What comes from elsewhere, such as the text of a receiver's error, may hold line breaks and what moves a cursor.
The text of a traceback is logging's, and stays as it is.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from .host_code import contained
from .printable import printable


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
