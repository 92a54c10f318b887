"""What the inbox holds at a moment, as metrics have it: by hook and receiver, and whatever is done left out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from .tables import CLAIMED, DEAD, PENDING, delivery, event, lane, receipt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from .database import Database
    from .hours import Hours

_DAY: Final = 24 * 3600.0
#: Below the number of parameters that a statement may have in any SQLite.
_BATCH: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """How many receipts of a receiver are pending, claimed and dead, and the age in seconds of the oldest open one.

    That of no receiver, whose name is empty, has the events that have no receipts yet, and as dead those that could
    not be read.
    """

    hook: str
    receiver: str
    pending: int = 0
    claimed: int = 0
    dead: int = 0
    oldest_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """What a hook has brought: when last, in seconds since the epoch, and how many new events in 24 hours."""

    hook: str
    last_at: float | None
    events_24h: int


@dataclass(slots=True)
class _Found:
    numbers: dict[str, int] = field(default_factory=dict)
    oldest: list[int] = field(default_factory=list)


class Gauges:
    """Reads what changes all the time.

    Its methods raise :exc:`InboxUnavailable` if the database does not do what it is asked.

    :param clock: Returns the time, in seconds since the epoch.
    """

    def __init__(self, database: Database, hours: Hours, clock: Callable[[], float]) -> None:
        self._database = database
        self._hours = hours
        self._clock = clock

    def held(self, hooks: Iterable[str]) -> list[Held]:
        """Return what each receiver has that was ever connected, or has a receipt that is not done.

        :param hooks: The hooks of which there is to be an entry of no receiver in any case.
        """
        found: dict[tuple[str, str], _Found] = {(hook, ""): _Found() for hook in hooks}
        with self._database.reading() as connection:
            for row in connection.execute(sa.select(lane.c.hook, lane.c.receiver)):
                found.setdefault((row.hook, row.receiver), _Found())
            for state, query in QUERIES:
                for row in connection.execute(query):
                    hook, receiver, number, first = tuple(row)
                    one = found.setdefault((hook, receiver), _Found())
                    one.numbers[state] = number
                    if state != DEAD:
                        one.oldest.append(first)
            received = _received_at(
                connection, [first for one in found.values() for first in one.oldest]
            )
        now = self._clock()
        return [
            Held(
                hook=hook,
                receiver=receiver,
                **one.numbers,
                oldest_seconds=max(
                    (now - received[first] for first in one.oldest if first in received),
                    default=0.0,
                ),
            )
            for (hook, receiver), one in sorted(found.items())
        ]

    def arrived(self, hooks: Iterable[str]) -> list[Arrived]:
        """Return what each hook has brought."""
        received = self._hours.received(self._clock() - _DAY)
        recent = {hook: one for (hook, via), one in received.items() if via == "hook"}
        names = list(hooks)
        # What has come since then is known already.
        before = {} if recent.keys() >= set(names) else self._hours.last_by_hook()
        return [
            Arrived(hook=hook, last_at=one.last_at, events_24h=one.events)
            if (one := recent.get(hook))
            else Arrived(hook=hook, last_at=before.get(hook), events_24h=0)
            for hook in names
        ]


def _received_at(connection: sa.Connection, event_ids: list[int]) -> Mapping[int, float]:
    found: dict[int, float] = {}
    for start in range(0, len(event_ids), _BATCH):
        query = (
            sa.select(event.c.id, delivery.c.received_at)
            .join(delivery, delivery.c.id == event.c.delivery_id)
            .where(event.c.id.in_(event_ids[start : start + _BATCH]))
        )
        found.update((row.id, row.received_at) for row in connection.execute(query))
    return found


def _of_receipts(state: str) -> sa.Select[Any]:
    return (
        sa.select(
            receipt.c.hook, receipt.c.receiver, sa.func.count(), sa.func.min(receipt.c.event_id)
        )
        .where(receipt.c.state == state)
        .group_by(receipt.c.hook, receipt.c.receiver)
    )


def _of_events(*conditions: sa.ColumnElement[bool]) -> sa.Select[Any]:
    # Not by the column itself: SQLite would go through the whole index that has events in the order of hooks.
    hook: Any = event.c.hook.concat("")
    return (
        sa.select(hook, sa.literal(""), sa.func.count(), sa.func.min(event.c.id))
        .where(*conditions)
        .group_by(hook)
    )


#: What is counted for each receiver, by state.
QUERIES: Final = (
    (PENDING, _of_receipts(PENDING)),
    (CLAIMED, _of_receipts(CLAIMED)),
    (DEAD, _of_receipts(DEAD)),
    (PENDING, _of_events(event.c.state == PENDING)),
    (DEAD, _of_events(event.c.state == DEAD, event.c.reason.is_not(None))),
)
