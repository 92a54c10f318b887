"""How often the log is told of requests that are refused."""

from __future__ import annotations

import threading
from typing import Final

_SECONDS_BETWEEN_WARNINGS: Final = 60


class Refusals:
    """Counts wrong secrets, so that a stranger cannot fill the log."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._quiet_until: float | None = None

    def add(self, now: float) -> int:
        """Count one; return how many to warn of, or 0 if the last warning was within a minute."""
        with self._lock:
            self._count += 1
            if self._quiet_until is not None and now < self._quiet_until:
                return 0
            count, self._count = self._count, 0
            self._quiet_until = now + _SECONDS_BETWEEN_WARNINGS
            return count
