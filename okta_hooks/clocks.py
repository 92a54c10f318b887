"""The clock that measures how long something has lasted."""

from __future__ import annotations

import time


def boot_time() -> float:
    """Return a monotonic time in seconds that includes suspension (``CLOCK_BOOTTIME``).

    Where the system has no such clock, it is that of :func:`time.monotonic`.
    """
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()
