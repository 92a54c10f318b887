"""What is in the inbox, for people and for commands: nothing here changes anything."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import sqlalchemy as sa

from okta_hooks.wire import reading

from .keys import has_key
from .pauses import not_paused
from .selection import Selection, hooks_of_events
from .tables import CLAIMED, DEAD, DONE, PENDING, delivery, event, lane, pause, receipt, total

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .database import Database

#: People wait for it, no request does: some of it grows with the inbox.
_SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many events are in each state, and the age in seconds of the oldest that is pending or claimed."""

    pending: int = 0
    claimed: int = 0
    done: int = 0
    dead: int = 0
    oldest_pending_seconds: float | None = None

    @property
    def open(self) -> int:
        """How many are neither done nor dead."""
        return self.pending + self.claimed


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """An event as it is stored. Times are in seconds since the epoch.

    ``uuid`` is its key: a hash where the event has no usable uuid. ``event_id`` is the delivery's.
    """

    id: int
    hook: str
    uuid: str
    type: str | None
    published: float | None
    state: str
    reason: str | None
    via: str
    event_id: str | None
    received_at: float
    has_body: bool


#: What a :class:`StoredEvent` is made of, of events and their deliveries.
STORED_EVENT: Final = (
    event.c.id,
    event.c.hook,
    event.c.key.label("uuid"),
    event.c.type,
    event.c.published,
    event.c.state,
    event.c.reason,
    delivery.c.via,
    delivery.c.event_id,
    delivery.c.received_at,
    delivery.c.body.is_not(None).label("has_body"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredReceipt:
    """What one receiver has done with an event. ``due`` is when its next attempt is; 0 is none."""

    receiver: str
    state: str
    due: float
    attempts: int
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventDetails:
    """An event with its receipts, and as it came; ``raw`` is None if retention has taken the body."""

    event: StoredEvent
    receipts: tuple[StoredReceipt, ...]
    raw: Any = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverCounts:
    """When a receiver was last connected anywhere, in seconds since the epoch, and its receipts by state."""

    hook: str
    receiver: str
    seen_at: float
    pending: int = 0
    claimed: int = 0
    done: int = 0
    dead: int = 0


class Arrival(NamedTuple):
    """How an event came, and when; in seconds since the epoch."""

    via: str
    received_at: float


class Overview:
    """Answers what is in the inbox.

    Its methods raise :exc:`InboxUnavailable` if the database does not do what it is asked.

    :param clock: Returns the time, in seconds since the epoch.
    """

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def counts(self) -> Counts:
        """Return how many events are in each state, and how old the oldest open one is."""
        with self._database.reading(seconds=_SECONDS) as connection:
            found = {state: _number(connection, event, state) for state in (PENDING, CLAIMED, DEAD)}
            done = connection.scalar(sa.select(sa.func.sum(total.c.events)))
            oldest = [
                connection.scalar(
                    sa.select(delivery.c.received_at)
                    .join(event, event.c.delivery_id == delivery.c.id)
                    .where(event.c.state == state)
                    .order_by(event.c.id)
                    .limit(1)
                )
                for state in (PENDING, CLAIMED)
            ]
        received = [at for at in oldest if at is not None]
        age = max(0.0, self._clock() - min(received)) if received else None
        return Counts(**found, done=int(done or 0), oldest_pending_seconds=age)

    def backlog_seconds(self) -> float | None:
        """Return how old the oldest open event is; those are left out that wait for paused receivers only."""
        with self._database.reading(seconds=_SECONDS) as connection:
            keys = connection.execute(sa.select(pause.c.hook, pause.c.receiver))
            paused = [(row.hook, row.receiver) for row in keys]
            is_paused = sa.tuple_(receipt.c.hook, receipt.c.receiver).in_(paused)
            first_events = (
                sa.select(sa.func.min(event.c.id)).where(event.c.state == PENDING),
                *(
                    sa.select(sa.func.min(receipt.c.event_id)).where(
                        receipt.c.state == state, ~is_paused
                    )
                    for state in (PENDING, CLAIMED)
                ),
            )
            ids = [connection.scalar(query) for query in first_events]
            received = (
                sa.select(sa.func.min(delivery.c.received_at))
                .join(event, event.c.delivery_id == delivery.c.id)
                .where(event.c.id.in_([one for one in ids if one is not None]))
            )
            oldest = connection.scalar(received)
        return None if oldest is None else max(0.0, self._clock() - oldest)

    def next_due(self, receivers: Sequence[tuple[str, str]]) -> float | None:
        """Return when the next attempt is due, in seconds since the epoch, or None if none is to come.

        Whatever is due at once is due at 0 or before.

        :param receivers: The hooks and names of the receivers that count, unless they are paused.
        """
        query = sa.select(sa.func.min(receipt.c.due)).where(receipt.c.state == PENDING)
        with self._database.reading(seconds=_SECONDS) as connection:
            of_these = sa.tuple_(receipt.c.hook, receipt.c.receiver).in_(
                not_paused(connection, receivers)
            )
            due: float | None = connection.scalar(query.where(of_these))
        return due

    def has_due(self, receivers: Sequence[tuple[str, str]]) -> bool:
        """Return whether there is anything that a worker could do now, or another worker has in hand.

        What waits for receivers that are paused is nothing of that kind.

        :param receivers: The hooks and names of the receivers that it has.
        """
        hooks = {hook for hook, _ in receivers}
        waiting = sa.select(event.c.id).where(event.c.state == PENDING, event.c.hook.in_(hooks))
        key = sa.tuple_(receipt.c.hook, receipt.c.receiver)
        with self._database.reading(seconds=_SECONDS) as connection:
            is_due = sa.and_(
                receipt.c.state == PENDING,
                receipt.c.due <= self._clock(),
                key.in_(not_paused(connection, receivers)),
            )
            is_in_hand = sa.and_(receipt.c.state == CLAIMED, key.in_(receivers))
            due = sa.select(receipt.c.event_id).where(sa.or_(is_due, is_in_hand))
            return any(connection.execute(q.limit(1)).first() is not None for q in (waiting, due))

    def find(
        self, chosen: Selection, *, limit: int = 100, before: int | None = None
    ) -> list[StoredEvent]:
        """Return events, newest first.

        :param before: The id of the last event of the page before: only what comes after it.
        """
        # The order of the index that finds them.
        order = (delivery.c.received_at, event.c.id) if chosen.is_by_time else (event.c.id,)
        query = (
            sa.select(*STORED_EVENT)
            .join(delivery, delivery.c.id == event.c.delivery_id)
            .order_by(*(column.desc() for column in order))
            .limit(limit)
        )
        with self._database.reading(seconds=_SECONDS) as connection:
            if before is not None:
                row = connection.execute(_place(order, before)).one_or_none()
                if row is None:
                    return []
                query = query.where(sa.tuple_(*order) < sa.tuple_(*row))
            # Each of these states has an index, and no two have one together.
            has_indexes = (
                bool(chosen.states) and DONE not in chosen.states and chosen.receiver is None
            )
            parts = (
                [replace(chosen, states=(state,)) for state in dict.fromkeys(chosen.states)]
                if has_indexes
                else [chosen]
            )
            found = [
                StoredEvent(**row)
                for part in parts
                for row in connection.execute(query.where(*part.conditions(connection))).mappings()
            ]
        if len(parts) > 1:
            found.sort(
                key=lambda one: (chosen.is_by_time and one.received_at, one.id), reverse=True
            )
        return found[:limit]

    def by_ids(self, ids: Sequence[int]) -> list[StoredEvent]:
        """Return those of these events that are there, in the order of their ids.

        :param ids: A page of them at most.
        """
        query = (
            sa.select(*STORED_EVENT)
            .join(delivery, delivery.c.id == event.c.delivery_id)
            .where(event.c.id.in_(ids))
            .order_by(event.c.id)
        )
        with self._database.reading(seconds=_SECONDS) as connection:
            return [StoredEvent(**row) for row in connection.execute(query).mappings()]

    def hooks(self) -> list[str]:
        """Return the hooks that have events."""
        with self._database.reading(seconds=_SECONDS) as connection:
            return hooks_of_events(connection)

    def newest_id(self) -> int:
        """Return the id of the last event that was stored; there are no more events than that."""
        with self._database.reading(seconds=_SECONDS) as connection:
            return int(connection.scalar(sa.select(sa.func.max(event.c.id))) or 0)

    def show(self, uuid: str) -> list[EventDetails]:
        """Return the events of a uuid (one per hook that got it), each with its receipts and its body."""
        return [self._details(one) for one in self.find(Selection(uuids=(uuid,)))]

    def _details(self, one: StoredEvent) -> EventDetails:
        receipts = (
            sa.select(
                receipt.c.receiver,
                receipt.c.state,
                # What is due at once has no time of its own: it has been due since it was received.
                sa.case(
                    ((receipt.c.state == PENDING) & (receipt.c.due <= 0), one.received_at),
                    (receipt.c.due <= 0, 0.0),
                    else_=receipt.c.due,
                ).label("due"),
                receipt.c.attempts,
                receipt.c.error,
            )
            .where(receipt.c.event_id == one.id)
            .order_by(receipt.c.receiver)
        )
        body = (
            sa.select(event.c.ordinal, delivery.c.body)
            .join(delivery, delivery.c.id == event.c.delivery_id)
            .where(event.c.id == one.id)
        )
        with self._database.reading(seconds=_SECONDS) as connection:
            found = tuple(StoredReceipt(**row) for row in connection.execute(receipts).mappings())
            row = connection.execute(body).one()
        raw = row.body and reading.load_delivery(row.body.encode()).events[row.ordinal]
        return EventDetails(event=one, receipts=found, raw=raw)

    def last_seen(self) -> dict[tuple[str, str], float]:
        """Return when each receiver was last connected anywhere, in seconds since the epoch, by hook and name."""
        query = sa.select(lane.c.hook, lane.c.receiver, lane.c.seen_at)
        with self._database.reading(seconds=_SECONDS) as connection:
            return {(hook, name): at for hook, name, at in connection.execute(query)}

    def receivers(self) -> list[ReceiverCounts]:
        """Return for each receiver that was ever connected: when last, and its receipts by state."""
        # One look into the index of each state.
        counted = sa.union_all(
            *(
                sa.select(
                    receipt.c.hook,
                    receipt.c.receiver,
                    sa.literal(state).label("state"),
                    sa.func.count(),
                )
                .where(receipt.c.state == state)
                .group_by(receipt.c.hook, receipt.c.receiver)
                for state in (PENDING, CLAIMED, DEAD)
            ),
            sa.select(
                total.c.hook, total.c.receiver, sa.literal(DONE), sa.func.sum(total.c.receipts)
            ).group_by(total.c.hook, total.c.receiver),
        )
        known = sa.select(lane.c.hook, lane.c.receiver, lane.c.seen_at).order_by(
            lane.c.hook, lane.c.receiver
        )
        with self._database.reading(seconds=_SECONDS) as connection:
            numbers: dict[tuple[str, str], dict[str, int]] = {}
            for hook, name, state, number in connection.execute(counted):
                numbers.setdefault((hook, name), {})[state] = int(number)
            return [
                ReceiverCounts(
                    hook=row.hook,
                    receiver=row.receiver,
                    seen_at=row.seen_at,
                    **numbers.get((row.hook, row.receiver), {}),
                )
                for row in connection.execute(known)
            ]

    def arrivals(self, hook: str, keys: Sequence[str]) -> dict[str, Arrival]:
        """Return how those of the events came that are there, by their keys."""
        query = (
            sa.select(event.c.key, delivery.c.via, delivery.c.received_at)
            .join(delivery, delivery.c.id == event.c.delivery_id)
            .where(event.c.hook == hook, has_key(keys))
        )
        with self._database.reading(seconds=_SECONDS) as connection:
            rows = connection.execute(query).all()
        return {row.key: Arrival(row.via, row.received_at) for row in rows}


def _number(connection: sa.Connection, table: sa.Table, state: str) -> int:
    """Return how many rows are in a state for which there is an index."""
    query = sa.select(sa.func.count()).select_from(table).where(table.c.state == state)
    return int(connection.scalar(query) or 0)


def _place(order: Sequence[Any], event_id: int) -> sa.Select[Any]:
    """Select where an event stands in an order."""
    return (
        sa.select(*order)
        .join(delivery, delivery.c.id == event.c.delivery_id)
        .where(event.c.id == event_id)
    )
