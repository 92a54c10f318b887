"""What a worker does beside running receivers: it prunes, makes dead letters of orphans, and repairs, in small batches.

An orphan is a pending receipt whose receiver has not been connected for long, and is not paused.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from okta_hooks.inbox.hours import HOUR
from okta_hooks.wire.limits import MOST_EVENTS_A_DAY, WARNED_AT

from .retry import LONGEST_WAIT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from okta_hooks.inbox import Inbox
    from okta_hooks.inbox.consistency import Inconsistency
    from okta_hooks.inbox.workers import DeadReceipt

_SEEN_SECONDS: Final = 60.0
_INSPECT_SECONDS: Final = 60.0
_BETWEEN_SECONDS: Final = 600.0
_DAY: Final = 24 * 3600.0
_ORPHAN_SECONDS: Final = 24 * 3600.0
_KEYS_KEPT: Final = timedelta(days=100)
_AUDIT_KEPT: Final = timedelta(days=400)
#: Nothing is deleted or given up in so many seconds after a start, or after the clock was set.
_SECONDS_TO_TRUST: Final = 600.0
#: By how many seconds the clock may differ from the time that has passed since the last look.
_JUMP_SECONDS: Final = 60.0


class Quota(NamedTuple):
    """How many events have come in 24 hours, at least, and how many are allowed; the quota is the org's."""

    number: int
    allowed: int


class Housekeeping:
    """Keeps one inbox tidy.

    Only time in which it ran counts: the clock may be set, the machine suspended, the database away for days.

    :param retention: How long the bodies of done deliveries stay.
    """

    def __init__(self, inbox: Inbox, retention: timedelta) -> None:
        self._inbox = inbox
        self._retention = retention
        now = inbox.elapsed()
        self._offset = inbox.clock() - now
        self._trusted_since = now
        self._seen_at: float | None = None
        self._quota_level = 0
        self._hour: int | None = None
        self._timers: dict[str, float] = {}

    def see(self, connected: Sequence[tuple[str, str]]) -> None:
        """Note in the inbox which receivers are connected, and for how long others have been seen not to be."""
        now = self._inbox.elapsed()
        if not self._is_time("seen", _SEEN_SECONDS):
            return
        watched = 0.0 if self._seen_at is None else min(now - self._seen_at, 2 * _SEEN_SECONDS)
        self._inbox.workers.see_receivers(connected)
        if watched:
            self._inbox.workers.note_unconnected(connected, watched)
        self._seen_at = now

    def clean(self) -> list[DeadReceipt]:
        """Fold totals, write hours down, prune a batch, and make dead letters of a batch of orphans, if it is time to.

        :return: the receipts that are dead now.
        """
        if not self._is_clock_trusted():
            return []
        if self._is_time("fold", _BETWEEN_SECONDS):
            self._inbox.totals.fold()
        if self._is_time("hours", _BETWEEN_SECONDS) and self._inbox.hours.write_down():
            self._again("hours")
        hour = int(self._inbox.clock() // HOUR)
        if hour != self._hour:
            # At once: what is attempted until then counts in the hour that is over.
            self._inbox.attempt_hours.write_down()
            self._hour = hour
        died: list[DeadReceipt] = []
        if self._is_time("orphans", _BETWEEN_SECONDS):
            died = self._inbox.workers.dead_letter_orphans(_ORPHAN_SECONDS)
            if died:
                self._again("orphans")
        # By the time that was trusted: the clock may have been set since.
        trusted = self._inbox.elapsed() + self._offset
        if self._is_time("prune", _BETWEEN_SECONDS) and self._prune(trusted):
            self._again("prune")
        if self._is_time("audit", _BETWEEN_SECONDS) and self._inbox.audit.prune(
            before=trusted - _AUDIT_KEPT.total_seconds()
        ):
            self._again("audit")
        return died

    def quota(self) -> Quota | None:
        """Look how much of Okta's quota is used, if it is time to.

        :return: that, if it has got to a level at which Okta warns, or stops, since the last look.
        """
        if not self._is_time("quota", _BETWEEN_SECONDS):
            return None
        received = self._inbox.hours.received(self._inbox.clock() - _DAY)
        # Two hooks may have had the same events: so it is at least as much as one has had.
        number = max((one.events for (_, via), one in received.items() if via == "hook"), default=0)
        before, self._quota_level = self._quota_level, 0
        for level, share in enumerate((WARNED_AT, 1.0), 1):
            if number >= share * MOST_EVENTS_A_DAY:
                self._quota_level = level
        return Quota(number, MOST_EVENTS_A_DAY) if self._quota_level > before else None

    def prune(self) -> int:
        """Forget one batch of what retention does not keep; return how many deliveries."""
        return self._prune(self._inbox.clock())

    def _prune(self, now: float) -> int:
        return self._inbox.upkeep.prune(
            bodies_before=now - self._retention.total_seconds(),
            keys_before=now - max(self._retention, _KEYS_KEPT).total_seconds(),
        )

    def repair(self, hooks: Sequence[str]) -> list[Inconsistency]:
        """Look for what must not be in the inbox, if it is time to, and put right what can be.

        :param hooks: The hooks that the app has.
        """
        if not self._is_time("inspect", _INSPECT_SECONDS):
            return []
        return self._inbox.consistency.check(hooks, longest_wait=LONGEST_WAIT, repair=True)

    def _is_clock_trusted(self) -> bool:
        now = self._inbox.elapsed()
        offset = self._inbox.clock() - now
        if abs(offset - self._offset) > _JUMP_SECONDS:
            self._trusted_since = now
        self._offset = offset
        return now - self._trusted_since >= _SECONDS_TO_TRUST

    def _is_time(self, timer: str, seconds: float) -> bool:
        now = self._inbox.elapsed()
        if now < self._timers.get(timer, float("-inf")):
            return False
        self._timers[timer] = now + seconds
        return True

    def _again(self, timer: str) -> None:
        """Let what a batch has left be done in the next pass."""
        self._timers[timer] = float("-inf")
