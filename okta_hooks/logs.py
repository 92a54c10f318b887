"""The log of what runs on its own: a handler or filter of the host's that fails must not end a thread of ours."""

from __future__ import annotations

import logging
from typing import Any

from .host_code import contained


class Logger(logging.LoggerAdapter[logging.Logger]):
    """A logger whose methods raise nothing, whatever the host has attached to it."""

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Log, as :meth:`logging.Logger.log`."""
        if self.isEnabledFor(level):
            # The frames of this method and of `contained` are not where the message comes from.
            kwargs["stacklevel"] = kwargs.get("stacklevel", 1) + 2
            contained(self.logger.log, level, msg, *args, **kwargs)


def get_logger(name: str) -> Logger:
    """Return the logger of a module."""
    return Logger(logging.getLogger(name))
