"""The time by which it is told how long something has lasted."""

from __future__ import annotations

import time


def boot_time() -> float:
    """Return seconds from some moment on: no setting of the clock changes them, and a suspended machine's count.

    That it was suspended counts only where the system has such a clock; elsewhere it is as ``time.monotonic``.
    """
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()
