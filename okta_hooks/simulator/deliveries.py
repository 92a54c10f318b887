"""The deliveries of an org: which events go to which hook together, when, and in which order."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from okta_hooks.testing import make_uuid
from okta_hooks.wire.protocol import okta_time

if TYPE_CHECKING:
    import random
    from collections.abc import Collection, Iterator

    from .event_hooks import SimulatedHook
    from .outgoing import Attempt

#: How long an event of the fault "reorder" is held back, for others to overtake it.
_HELD_BACK: Final = timedelta(seconds=1)
#: The faults of what is sent, and those of a whole delivery.
_WHILE_SENT: Final = frozenset({"timeout", "unavailable"})
#: So many of the last deliveries of a hook are found without looking at all.
LATEST: Final = 8
_OF_A_DELIVERY: Final = _WHILE_SENT | {"duplicate", "reorder", "lost"}


@dataclass(slots=True, kw_only=True)
class PlannedDelivery:
    """Events on their way to one hook, and what became of them.

    ``state`` is ``"pending"``, ``"sending"``, ``"delivered"``, ``"failed"``, ``"lost"`` (by the fault of that name)
    or ``"dropped"``, if the hook was not active and verified any more.
    ``due`` is by the clock; ``after`` is how long after the events that is, and all that ``settle`` goes by.
    ``faults`` is what goes wrong while it is sent: ``"timeout"`` or ``"unavailable"``.
    """

    event_id: str
    hook_id: str
    url: str
    due: datetime
    after: timedelta
    events: list[dict[str, Any]]
    faults: frozenset[str] = frozenset()
    state: str = "pending"
    attempts: list[Attempt] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return it as ``GET /simulator/deliveries`` tells it."""
        return {
            "eventId": self.event_id,
            "hookId": self.hook_id,
            "url": self.url,
            "state": self.state,
            "due": okta_time(self.due),
            "events": [
                {"uuid": event.get("uuid"), "eventType": event.get("eventType")}
                for event in self.events
            ],
            "attempts": [
                {
                    "at": okta_time(attempt.at),
                    "seconds": round(attempt.seconds, 3),
                    "status": attempt.status,
                    "error": attempt.error,
                }
                for attempt in self.attempts
            ],
        }


class PlannedDeliveries:
    """All deliveries since the start; each hook gets one after the other.

    It is not locked: the org does that.

    :param rng: Draws their ids.
    :param batch: How long a delivery waits for more events to come with it.
    :param batch_size: How many events are in a delivery at most.
    """

    def __init__(self, rng: random.Random, *, batch: timedelta, batch_size: int) -> None:
        self._rng = rng
        self._batch = batch
        self._batch_size = batch_size
        self._all: list[PlannedDelivery] = []
        self._pending: list[PlannedDelivery] = []
        self._latest: defaultdict[str, deque[PlannedDelivery]] = defaultdict(
            lambda: deque(maxlen=LATEST)
        )
        # For each hook, the pending delivery to which the next event is added.
        self._open: dict[str, PlannedDelivery] = {}
        # The ids of the hooks that are being sent a delivery.
        self._busy: set[str] = set()

    def as_json(self) -> list[dict[str, Any]]:
        """Return all of them, in the order in which they were planned."""
        return [delivery.as_json() for delivery in self._all]

    def latest(self) -> dict[str, list[dict[str, Any]]]:
        """Return the last :data:`LATEST` deliveries of each hook by its id, the last one first."""
        return {
            hook_id: [delivery.as_json() for delivery in reversed(latest)]
            for hook_id, latest in self._latest.items()
        }

    def pending(self) -> Counter[str]:
        """Return how many deliveries wait for being sent, by the id of the hook."""
        return Counter(delivery.hook_id for delivery in self._pending)

    @property
    def is_any_sending(self) -> bool:
        """Whether a hook is getting a delivery."""
        return bool(self._busy)

    def plan(
        self,
        hook: SimulatedHook,
        events: list[dict[str, Any]],
        *,
        faults: Collection[str],
        delay: timedelta,
        now: datetime,
    ) -> None:
        """Plan how events get to a hook.

        :param faults: As for :meth:`~okta_hooks.simulator.Org.emit`, as is ``delay``.
        """
        if not delay and _OF_A_DELIVERY.isdisjoint(faults):
            for event in events:
                self._add_to_open(hook, event, now)
            return
        after = self._batch + delay
        groups: Iterator[list[dict[str, Any]]] = _batches(events, self._batch_size)
        if "reorder" in faults:
            after += _HELD_BACK
            groups = ([event] for event in reversed(events))
        for group in groups:
            for _ in range(2 if "duplicate" in faults else 1):
                self._add(hook, group, after, now, faults)

    def plan_preview(self, hook: SimulatedHook, event: dict[str, Any], now: datetime) -> None:
        """Plan a delivery of one event that waits for no other."""
        self._add(hook, [event], timedelta(0), now)

    def _add_to_open(self, hook: SimulatedHook, event: dict[str, Any], now: datetime) -> None:
        """Put an event into the delivery that its hook is about to get.

        Whether that is due already does not matter, so that a slow machine makes no other deliveries.
        """
        delivery = self._open.get(hook.id)
        if delivery is None or len(delivery.events) >= self._batch_size:
            delivery = self._open[hook.id] = self._add(hook, [], self._batch, now)
        delivery.events.append(event)

    def _add(
        self,
        hook: SimulatedHook,
        events: list[dict[str, Any]],
        after: timedelta,
        now: datetime,
        faults: Collection[str] = (),
    ) -> PlannedDelivery:
        is_lost = "lost" in faults
        delivery = PlannedDelivery(
            event_id=make_uuid(self._rng),
            hook_id=hook.id,
            url=hook.settings.uri,
            due=now + after,
            after=after,
            events=list(events),
            faults=_WHILE_SENT.intersection(faults),
            state="lost" if is_lost else "pending",
        )
        self._all.append(delivery)
        self._latest[hook.id].append(delivery)
        if not is_lost:
            self._pending.append(delivery)
        return delivery

    def take(self, now: datetime | None) -> PlannedDelivery | None:
        """Take the next delivery for sending, or None if there is none; its hook gets no other until it is finished.

        :param now: Only one that is due by then, and whichever is due first. With None, whatever the clock says:
            the one with the shortest delay.
        """
        if now is None:
            delivery = min(self._ready(), key=lambda ready: ready.after, default=None)
        else:
            delivery = min(self._ready(), key=lambda ready: ready.due, default=None)
        if delivery is None or (now is not None and delivery.due > now):
            return None
        self._pending.remove(delivery)
        if self._open.get(delivery.hook_id) is delivery:
            del self._open[delivery.hook_id]
        self._busy.add(delivery.hook_id)
        delivery.state = "sending"
        return delivery

    def finish(self, delivery: PlannedDelivery, state: str) -> None:
        """Note what became of a delivery that was taken."""
        delivery.state = state
        self._busy.remove(delivery.hook_id)

    def next_due(self) -> datetime | None:
        """Return when the next delivery is due that can be taken."""
        return min((delivery.due for delivery in self._ready()), default=None)

    def _ready(self) -> list[PlannedDelivery]:
        return [delivery for delivery in self._pending if delivery.hook_id not in self._busy]


def _batches(events: list[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    rest = iter(events)
    while batch := list(itertools.islice(rest, size)):
        yield batch
