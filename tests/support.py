"""What tests of several rooms share, beside the fixtures in ``conftest.py``."""

from __future__ import annotations

from datetime import UTC, datetime

SECRET = "correct horse"


class Clock:
    """The time, as a test sets it: seconds since the epoch, but for that beginning in 2026."""

    def __init__(self) -> None:
        self.now = datetime(2026, 5, 4, tzinfo=UTC).timestamp()

    def __call__(self) -> float:
        """Return what time it is."""
        return self.now
