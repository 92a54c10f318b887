"""What is logged while something keeps failing: a line at the beginning, one a minute with a count, one at the end."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    import logging

_SECONDS_BETWEEN_LINES: Final = 60.0


class Lines(NamedTuple):
    """The messages of one kind of outage, for ``logging``.

    :param begins: Has what :meth:`Outage.failed` is given, the error as ``error``.
    :param goes_on: Has the ``seconds`` since it began, the ``count`` of failures, and the last ``error``, too.
    :param ends: Has the ``seconds`` since it began, and the ``count`` of failures.
    """

    begins: str
    goes_on: str
    ends: str


class Outage:
    """Counts what failed in one process, whichever thread it failed in.

    :param calm: An outage is over when something works and nothing has failed for so many seconds:
        where one request in two fails, it goes on.
    """

    def __init__(
        self,
        logger: logging.Logger | logging.LoggerAdapter[Any],
        lines: Lines,
        *,
        calm: float = 0.0,
    ) -> None:
        self._logger = logger
        self._lines = lines
        self._calm = calm
        self._lock = threading.Lock()
        self._began: float | None = None
        self._last = 0.0
        self._logged = 0.0
        self._count = 0

    def failed(self, error: Exception, **what: str) -> None:
        """Note that it failed.

        :param what: What failed, by the names that the lines have for it.
        """
        now = time.monotonic()
        with self._lock:
            self._count += 1
            self._last = now
            is_first = self._began is None
            if self._began is None:
                self._began = now
            elif now - self._logged < _SECONDS_BETWEEN_LINES:
                return
            self._logged = now
            count, began = self._count, self._began
        if is_first:
            self._logger.error(self._lines.begins, {**what, "error": error})
        else:
            self._logger.error(
                self._lines.goes_on,
                {**what, "seconds": now - began, "count": count, "error": error},
            )

    def worked(self) -> None:
        """Note that it worked."""
        if self._began is None:  # read without the lock: this is called all the time
            return
        now = time.monotonic()
        with self._lock:
            if now - self._last < self._calm:
                return
            began, count = self._began, self._count
            self._began, self._count = None, 0
        if began is not None:
            self._logger.warning(self._lines.ends, {"seconds": now - began, "count": count})
