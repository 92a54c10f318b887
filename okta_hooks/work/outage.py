"""What the log is told while the database is away: that it is, each minute how often it was tried, and its end."""

from __future__ import annotations

import threading
import time
from typing import Final

from okta_hooks.logs import get_logger

logger = get_logger(__name__)

_SECONDS_BETWEEN_LINES: Final = 60.0


class Outage:
    """Counts what failed in one process, whichever thread it failed in."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._began: float | None = None
        self._told = 0.0
        self._count = 0

    def failed(self, error: Exception) -> None:
        """Note that the inbox could not be used."""
        now = time.monotonic()
        with self._lock:
            self._count += 1
            is_first = self._began is None
            if self._began is None:
                self._began = now
            elif now - self._told < _SECONDS_BETWEEN_LINES:
                return
            self._told = now
            count, began = self._count, self._began
        if is_first:
            logger.error("The worker cannot use the inbox: %s", error)
        else:
            logger.error(
                "The worker cannot use the inbox for %.0f s now, %d tries: %s",
                now - began,
                count,
                error,
            )

    def worked(self) -> None:
        """Note that the inbox could be used."""
        if self._began is None:  # read without the lock: this is called all the time
            return
        with self._lock:
            began, count = self._began, self._count
            self._began, self._count = None, 0
        if began is not None:
            logger.warning(
                "The worker can use the inbox again, after %.0f s and %d tries.",
                time.monotonic() - began,
                count,
            )
