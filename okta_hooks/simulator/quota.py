"""How many events trigger the hooks of an org in a day.

https://developer.okta.com/docs/concepts/event-hooks/#rate-limits
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, NamedTuple

_PERIOD: Final = timedelta(hours=24)
#: Okta warns at 280,000 of 400,000.
_WARNED_AT: Final = 0.7


class Spent(NamedTuple):
    """How many of some events trigger hooks, and whether the org is to be warned now."""

    allowed: int
    is_warned: bool


class Quota:
    """Counts the events that hooks ask for; the count begins anew 24 hours after the first that was counted.

    It is not locked: the org does that.

    :param most: How many there may be.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._warned_at = int(most * _WARNED_AT)
        self._since: datetime | None = None
        self._count = 0

    def spend(self, count: int, now: datetime) -> Spent:
        """Count events that happen now, and say how many of them are within the quota."""
        if count and (self._since is None or now - self._since >= _PERIOD):
            self._since, self._count = now, 0
        before = self._count
        self._count = min(before + count, self.most)
        return Spent(self._count - before, before < self._warned_at <= self._count)
