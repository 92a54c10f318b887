"""The inbox: stored deliveries and events on their way to receivers. Every statement of SQL is here."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import sqlalchemy as sa

from okta_hooks.exceptions import UnreadableEvent
from okta_hooks.wire import reading
from okta_hooks.wire.events import Delivery

from .database import Database
from .tables import (
    CLAIMED,
    DEAD,
    DONE,
    PENDING,
    cursor,
    delivery,
    event,
    lane,
    metadata,
    receipt,
    worker,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from okta_hooks.wire.events import Envelope

__all__ = ["Inbox", "Selection", "incoming", "metadata"]

STATES: Final = (PENDING, CLAIMED, DONE, DEAD)

DIED_HERE: Final = "the process died here"
NOT_CONNECTED: Final = "its receiver has not been connected for a day"

#: A receipt that took this many processes with it is not tried again.
DEATHS_ALLOWED: Final = 5
_BATCH: Final = 500
#: The least that tells two times of today apart, in seconds.
_TICK: Final = 1e-6
_LONGEST_ERROR: Final = 500
_LATEST_DELIVERIES: Final = 1000


class NewEvent(NamedTuple):
    """What is stored of one event beside its delivery's body. ``reason``: why it cannot be read."""

    key: str
    type: str | None
    published: float | None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDelivery:
    """A delivery that is to be stored.

    ``secret`` is the place of the secret that it was authenticated by, in the list of
    secrets that :func:`okta_hooks.wire.protocol.tag_of` has given the tag ``secret_list``.
    """

    hook: str
    delivery: Delivery
    body: str = field(repr=False)
    events: tuple[NewEvent, ...]
    secret: int | None = None
    secret_list: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What became of a delivery: how many of its events are new, how many were there before.

    ``dead`` holds the reasons of new events that cannot be read.
    """

    new: int
    duplicate: int
    dead: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A receipt in the hands of a worker. ``claims`` is the fence: it differs at each claim."""

    event_id: int
    delivery_id: int
    ordinal: int
    hook: str
    receiver: str
    attempts: int
    claims: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What is to become of a claimed receipt: done, dead, or pending again from ``due`` on."""

    claim: Claim
    state: str
    due: float = 0.0
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """How far the System Log of an org has been read: where to go on, and which time that is."""

    next_url: str
    reached_at: float | None


class Arrival(NamedTuple):
    """How an event came, and when; in seconds since the epoch."""

    via: str
    received_at: float


def incoming(
    hook: str,
    envelope: Envelope,
    received: Delivery,
    *,
    secret: int | None = None,
    secret_list: int | None = None,
) -> NewDelivery:
    """Return what is to be stored of a delivery.

    :param hook: The hook's name.
    :param envelope: The delivery, of which the keys suffice.
    :param secret: The place of the secret that it was authenticated by, in the list of secrets.
    :param secret_list: The tag of that list: see :func:`okta_hooks.wire.protocol.tag_of`.
    """
    occurrences: dict[str, int] = {}
    events = []
    for ordinal, raw in enumerate(envelope.events):
        key = _key(raw, envelope.text, ordinal, occurrences)
        try:
            keys = reading.event_keys(raw)
        except UnreadableEvent as unreadable:
            events.append(NewEvent(key=key, type=None, published=None, reason=unreadable.reason))
            continue
        # A type that a column may not take is read again at fan-out: half of one would match nothing.
        kind = _plain(keys.event_type)
        events.append(NewEvent(key=key, type=kind, published=keys.published))
    return NewDelivery(
        hook=hook,
        delivery=received,
        body=envelope.text,
        events=tuple(events),
        secret=secret,
        secret_list=secret_list,
    )


def _key(raw: Any, text: str, ordinal: int, occurrences: dict[str, int]) -> str:
    """Return what tells an event from all others of its hook: its uuid, if that can be a key."""
    uuid = raw.get("uuid") if isinstance(raw, dict) else None
    if isinstance(uuid, str) and reading.is_plain(uuid):
        return uuid
    try:
        canonical = json.dumps(raw, sort_keys=True)
    except RecursionError:
        canonical = f"{ordinal} {json.dumps(text)}"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    occurrences[digest] = occurrences.get(digest, 0) + 1
    return f"sha256:{digest}:{occurrences[digest]}"


def _plain(text: str | None) -> str | None:
    """Return a text that any column takes, or None: a NUL in one would cost the whole delivery."""
    return text if text is not None and reading.is_plain(text) else None


def _escaped(text: str, longest: int) -> str:
    """Return a text of printable ASCII with everything else written as an escape."""
    return json.dumps(text)[1:-1][:longest] if not reading.is_plain(text) else text


class Inbox:
    """What is done to the stored deliveries, events and receipts. Every SQL statement is here.

    An instance belongs to one process; it may be used by many threads.
    Every method raises :exc:`InboxUnavailable` if the database does not do what it is asked.

    :param url: An SQLAlchemy URL of SQLite (a file) or PostgreSQL (psycopg 3).
    :param folder: Where a relative path of an SQLite file begins.
    :param clock: Returns the time, in seconds since the epoch.
    """

    def __init__(
        self, url: str, *, folder: str = ".", clock: Callable[[], float] = time.time
    ) -> None:
        self._database = Database(url, folder)
        self.clock = clock

    @property
    def generation(self) -> int:
        """A number that changes when the file was replaced by another: ids begin anew."""
        return self._database.generation

    @property
    def path(self) -> Path | None:
        """The file, if it is SQLite."""
        return self._database.path

    def open(self) -> None:
        """Connect, and create the tables if they are not there. Any use of the inbox does this."""
        self._database.open()

    def close(self) -> None:
        """Close the connections. The inbox opens again when it is used again."""
        self._database.close()

    # From Okta into the inbox.

    def store(self, deliveries: Sequence[NewDelivery]) -> list[Stored]:
        """Store deliveries, all in one transaction, and return what became of each.

        When this returns, they are on the disk.
        """
        with self._database.transaction() as connection:
            return self._add(connection, deliveries)

    def _add(self, connection: sa.Connection, deliveries: Sequence[NewDelivery]) -> list[Stored]:
        ids = self._database.next_ids(connection, delivery, len(deliveries))
        self._database.add(
            connection,
            _STORED_OF_DELIVERY,
            [
                (
                    delivery_id,
                    new.hook,
                    new.delivery.via,
                    _plain(new.delivery.event_id),
                    _plain(new.delivery.source),
                    new.secret,
                    new.secret_list,
                    new.body,
                    new.delivery.received_at.timestamp(),
                )
                for delivery_id, new in zip(ids, deliveries, strict=True)
            ],
        )
        rows = [
            (
                new.hook,
                item.key,
                delivery_id,
                ordinal,
                item.type,
                item.published,
                PENDING if item.reason is None else DEAD,
                item.reason,
            )
            for delivery_id, new in zip(ids, deliveries, strict=True)
            for ordinal, item in enumerate(new.events)
        ]
        # In one order everywhere, or two processes that store the same keys wait for each other.
        rows.sort(key=lambda row: row[:2])
        kept = [(row[2], row[-1]) for row in rows]
        inserted = self._database.add(connection, _STORED_OF_EVENT, rows, skip_known=True)
        if inserted < len(rows):
            of_these = sa.select(event.c.delivery_id, event.c.reason).where(
                event.c.delivery_id.in_(ids)
            )
            kept = [tuple(row) for row in connection.execute(of_these)]
        stored: dict[int, list[str | None]] = {delivery_id: [] for delivery_id in ids}
        for delivery_id, reason in kept:
            stored[delivery_id].append(reason)
        bare = [delivery_id for delivery_id, reasons in stored.items() if not reasons]
        if bare:
            connection.execute(delivery.delete().where(delivery.c.id.in_(bare)))
        return [
            Stored(
                new=len(stored[delivery_id]),
                duplicate=len(new.events) - len(stored[delivery_id]),
                dead=tuple(filter(None, stored[delivery_id])),
            )
            for delivery_id, new in zip(ids, deliveries, strict=True)
        ]

    # From the System Log into the inbox.

    def cursor(self, org: str) -> Cursor | None:
        """Return how far the System Log of an org has been read, or None if it never was.

        :param org: Its URL.
        """
        query = sa.select(cursor.c.next_url, cursor.c.reached_at).where(cursor.c.org == org)
        with self._database.reading() as connection:
            row = connection.execute(query).one_or_none()
        return row and Cursor(next_url=row.next_url, reached_at=row.reached_at)

    def backfill(
        self,
        deliveries: Sequence[NewDelivery],
        org: str,
        *,
        before: Cursor | None,
        after: Cursor,
    ) -> list[Stored] | None:
        """Store what was read of a System Log and how far that was, in one transaction.

        :param before: The cursor when it was read.
        :param after: The cursor from now on.
        :return: as :meth:`store`; or None, and nothing is stored, if the cursor is another by now.
        """
        values = {"next_url": after.next_url, "reached_at": after.reached_at}
        if before is None:
            move: Any = self._database.insert(cursor).values(org=org, **values)
            move = move.on_conflict_do_nothing()
        else:
            here = (cursor.c.org == org) & (cursor.c.next_url == before.next_url)
            move = cursor.update().where(here).values(**values)
        with self._database.transaction() as connection:
            if connection.execute(move.returning(cursor.c.org)).first() is None:
                return None
            return self._add(connection, deliveries)

    def sources(self, hook: str) -> set[str]:
        """Return what sent the latest deliveries to a hook: URLs of hooks at Okta."""
        latest = (
            sa.select(delivery.c.source)
            .where(delivery.c.hook == hook, delivery.c.via == "hook")
            .order_by(delivery.c.id.desc())
            .limit(_LATEST_DELIVERIES)
            .subquery()
        )
        query = sa.select(latest.c.source).where(latest.c.source.is_not(None)).distinct()
        with self._database.reading() as connection:
            return set(connection.scalars(query))

    def arrivals(self, hook: str, keys: Sequence[str]) -> dict[str, Arrival]:
        """Return how those of the events came that are there, by their keys."""
        query = (
            sa.select(event.c.key, delivery.c.via, delivery.c.received_at)
            .join(delivery, delivery.c.id == event.c.delivery_id)
            .where(event.c.hook == hook, event.c.key.in_(keys))
        )
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        return {row.key: Arrival(row.via, row.received_at) for row in rows}

    # From the inbox to the receivers.

    def fan_out(
        self,
        hooks: Sequence[str],
        decide: Callable[[Any], Sequence[str]],
        *,
        limit: int = 500,
    ) -> set[tuple[str, str]]:
        """Give pending events a receipt for each receiver that is to have them, oldest first.

        An event that no receiver is to have is done.

        :param hooks: Whose events.
        :param decide: Gets a row with ``id``, ``delivery_id``, ``ordinal``, ``hook`` and ``type``;
            returns the receivers' names, or raises :exc:`UnreadableEvent`.
        :return: the lanes, each a hook and a receiver, that have something to do now.
        """
        query = (
            sa.select(event.c.id, event.c.delivery_id, event.c.ordinal, event.c.hook, event.c.type)
            .where(event.c.state == PENDING, event.c.hook.in_(hooks))
            .order_by(event.c.id)
            .limit(limit)
        )
        with self._database.reading() as connection:
            if connection.execute(query.limit(1)).first() is None:
                return set()
        lanes = set()
        with self._database.transaction() as connection:
            now = self.clock()
            receipts: list[tuple[Any, ...]] = []
            events: dict[str, list[int]] = {CLAIMED: [], DONE: []}
            rows = connection.execute(query.with_for_update(skip_locked=True)).all()
            # Ids are in the order of keys: what came together is due in the order in which Okta put it.
            for place, row in enumerate(
                sorted(rows, key=lambda row: (row.delivery_id, row.ordinal))
            ):
                try:
                    receivers = decide(row)
                except UnreadableEvent as unreadable:
                    dead = event.update().where(event.c.id == row.id)
                    connection.execute(dead.values(state=DEAD, reason=unreadable.reason))
                    continue
                events[CLAIMED if receivers else DONE].append(row.id)
                for name in receivers:
                    lanes.add((row.hook, name))
                    due = now - (limit - place) * _TICK
                    receipts.append((row.id, name, row.hook, PENDING, due, 0, 0))
            self._database.add(connection, _STORED_OF_RECEIPT, receipts, skip_known=True)
            for state, ids in events.items():
                if ids:
                    chosen = event.update().where(event.c.id.in_(ids))
                    connection.execute(chosen.values(state=state, reason=None))
        return lanes

    def claim(self, worker_id: str, hook: str, receiver: str, limit: int) -> list[Claim]:
        """Take receipts of one lane that are due, oldest first.

        A receipt that was in the hands of a process that died is taken alone:
        if it is what kills, it kills nothing beside it.
        """
        lane_of = {"hook": hook, "receiver": receiver, "most": limit, "now": self.clock()}
        with self._database.reading() as connection:
            if connection.execute(_DUE, lane_of | {"most": 1}).first() is None:
                return []
        with self._database.transaction() as connection:
            return self._claim(connection, worker_id, lane_of)

    def _claim(
        self, connection: sa.Connection, worker_id: str, lane_of: dict[str, Any]
    ) -> list[Claim]:
        rows = connection.execute(_DUE_LOCKED, lane_of).all()
        suspects = [place for place, row in enumerate(rows) if row.claims > row.attempts]
        if suspects:
            rows = rows[: suspects[0] or 1]
        if rows:
            ids = [row.event_id for row in rows]
            mine = {"ids": ids, "of_receiver": lane_of["receiver"], "of_worker": worker_id}
            connection.execute(_TAKE, mine)
        return [
            Claim(
                event_id=row.event_id,
                delivery_id=row.delivery_id,
                ordinal=row.ordinal,
                hook=lane_of["hook"],
                receiver=lane_of["receiver"],
                attempts=row.attempts,
                claims=row.claims + 1,
            )
            for row in rows
        ]

    def place_of(self, event_id: int) -> tuple[int, int]:
        """Return where an event is: its delivery's id, and its place in it."""
        with self._database.reading() as connection:
            row = connection.execute(
                sa.select(event.c.delivery_id, event.c.ordinal).where(event.c.id == event_id)
            ).one()
        return row.delivery_id, row.ordinal

    def load(self, delivery_id: int) -> tuple[Delivery, str | None]:
        """Return a delivery and its body; the body is None if retention has taken it."""
        with self._database.reading() as connection:
            row = connection.execute(_DELIVERY, {"of_delivery": delivery_id}).one_or_none()
        if row is None:  # somebody has deleted it by hand
            lost = Delivery(event_id=None, source=None, via="hook", received_at=datetime.now(UTC))
            return lost, None
        made = Delivery(
            event_id=row.event_id,
            source=row.source,
            via=row.via,
            received_at=datetime.fromtimestamp(row.received_at, UTC),
        )
        return made, row.body

    def settle(
        self, worker_id: str, settlements: Sequence[Settlement]
    ) -> tuple[list[Settlement], dict[int, str]]:
        """Write down what became of claimed receipts, and close events that have no open one left.

        :return: the settlements that counted (the others' receipts had been taken away: a lease ran out),
            and the events that this closed, by id, with their state.
        """
        with self._database.transaction() as connection:
            return self._settle(connection, worker_id, settlements)

    def settle_and_claim(
        self,
        worker_id: str,
        settlements: Sequence[Settlement],
        hook: str,
        receiver: str,
        limit: int,
    ) -> tuple[list[Settlement], dict[int, str], list[Claim]]:
        """Do :meth:`settle` and :meth:`claim` in one transaction: a busy lane waits for the disk once."""
        with self._database.transaction() as connection:
            counted, closed = self._settle(connection, worker_id, settlements)
            lane_of = {"hook": hook, "receiver": receiver, "most": limit, "now": self.clock()}
            return counted, closed, self._claim(connection, worker_id, lane_of)

    def _settle(
        self, connection: sa.Connection, worker_id: str, settlements: Sequence[Settlement]
    ) -> tuple[list[Settlement], dict[int, str]]:
        by_place = {_place(settlement.claim): settlement for settlement in settlements}
        counted = [by_place[place] for place in self._held(connection, worker_id, by_place)]
        alike: dict[tuple[Any, ...], list[int]] = {}
        for one in counted:
            outcome = one.claim.receiver, one.state, one.due, one.error
            alike.setdefault(outcome, []).append(one.claim.event_id)
        for (receiver_name, state, due, error), ids in alike.items():
            settled = {
                "ids": ids,
                "of_receiver": receiver_name,
                "new_state": state,
                "new_due": due,
                "new_error": error and _escaped(error, _LONGEST_ERROR),
            }
            connection.execute(_SETTLE, settled)
        return counted, self._close(connection, [item.claim.event_id for item in counted])

    def release(self, worker_id: str, claims: Sequence[Claim]) -> None:
        """Give back receipts that were claimed and not run."""
        places = [_place(claim) for claim in claims]
        with self._database.transaction() as connection:
            for event_id, receiver_name, _ in self._held(connection, worker_id, places):
                connection.execute(
                    receipt.update()
                    .where(receipt.c.event_id == event_id, receipt.c.receiver == receiver_name)
                    .values(state=PENDING, worker=None, claims=receipt.c.claims - 1)
                )

    def _held(
        self, connection: sa.Connection, worker_id: str, places: Iterable[_Place]
    ) -> list[_Place]:
        """Return those of the claims that are still in the hands that claimed them, in one order.

        This is the fence: a receipt that was freed, and perhaps claimed again, is left alone.
        """
        wanted = set(places)
        ids = {event_id for event_id, _, _ in wanted}
        rows = connection.execute(_HELD, {"ids": list(ids), "of_worker": worker_id}).all()
        return [place for row in rows if (place := tuple(row)) in wanted]

    def take_back(self, worker_id: str, hook: str, receiver_name: str, *, keep: set[int]) -> None:
        """Give back what a worker is said to have claimed in one lane, but for what it knows of.

        :param keep: The ids of the events it has in hand.
        """
        with self._database.transaction() as connection:
            connection.execute(
                receipt.update()
                .where(
                    receipt.c.state == CLAIMED,
                    receipt.c.worker == worker_id,
                    receipt.c.hook == hook,
                    receipt.c.receiver == receiver_name,
                    receipt.c.event_id.not_in(keep),
                )
                .values(state=PENDING, worker=None, claims=receipt.c.claims - 1)
            )

    def _close(self, connection: sa.Connection, ids: Sequence[int]) -> dict[int, str]:
        """Close those of the events that have no open receipt. Returns their states."""
        if not ids:
            return {}
        if not self._database.is_sqlite:
            # Without this lock, two workers that settle the last two receipts each see the other's open.
            connection.execute(_LOCK_EVENTS, {"ids": ids})
        rows = connection.execute(_CLOSE, {"ids": ids})
        return {row.id: row.state for row in rows}

    # Leases.

    def keep_alive(self, worker_id: str, seconds: float) -> None:
        """Say that a worker lives, and will for so many seconds at least."""
        statement = self._database.insert(worker).values(
            id=worker_id, alive_until=self._lease_clock() + seconds
        )
        with self._database.transaction() as connection:
            connection.execute(
                statement.on_conflict_do_update(
                    index_elements=[worker.c.id],
                    set_={"alive_until": statement.excluded.alive_until},
                )
            )

    def _lease_clock(self) -> Any:
        """Return the time to which leases run: the database's own, for the hosts' clocks differ."""
        if self._database.is_sqlite or self.clock is not time.time:
            return self.clock()
        return sa.func.extract("epoch", sa.func.clock_timestamp()).cast(sa.Double)

    def leave(self, worker_id: str) -> None:
        """Say that a worker has stopped."""
        with self._database.transaction() as connection:
            connection.execute(worker.delete().where(worker.c.id == worker_id))

    def free(self, *, all_workers: bool = False) -> list[tuple[str, str, int]]:
        """Take receipts back from workers that are gone.

        Attempts do not count by this; but a receipt that took five processes with it is dead.

        :param all_workers: From every worker: whoever calls this knows that there is no other.
        :return: the receipts that are dead now: hook, receiver, event's id.
        """
        now = self._lease_clock()
        alive = sa.select(worker.c.id).where(worker.c.alive_until > now)
        gone = [receipt.c.state == CLAIMED]
        if not all_workers:
            gone.append(receipt.c.worker.not_in(alive))
        with self._database.reading() as connection:
            if (
                connection.execute(sa.select(receipt.c.event_id).where(*gone).limit(1)).first()
                is None
            ):
                return []
        killer = receipt.c.claims - receipt.c.attempts >= DEATHS_ALLOWED
        with self._database.transaction() as connection:
            rows = connection.execute(
                receipt.update()
                .where(*gone, killer)
                .values(state=DEAD, worker=None, error=DIED_HERE)
                .returning(receipt.c.hook, receipt.c.receiver, receipt.c.event_id)
            ).all()
            connection.execute(receipt.update().where(*gone).values(state=PENDING, worker=None))
            connection.execute(worker.delete().where(worker.c.alive_until <= now))
            self._close(connection, sorted({row.event_id for row in rows}))
        return [(row.hook, row.receiver, row.event_id) for row in rows]

    def see_lanes(self, lanes: Sequence[tuple[str, str]]) -> None:
        """Say that these receivers are connected somewhere, now."""
        if not lanes:
            return
        statement = self._database.insert(lane)
        now = self.clock()
        rows = [{"hook": hook, "receiver": name, "seen_at": now} for hook, name in sorted(lanes)]
        with self._database.transaction() as connection:
            connection.execute(
                statement.on_conflict_do_update(
                    index_elements=[lane.c.hook, lane.c.receiver],
                    set_={"seen_at": statement.excluded.seen_at},
                ),
                rows,
            )

    def bury_orphans(self, seconds: float) -> list[tuple[str, str, int]]:
        """Give up receipts whose receiver has not been connected anywhere for so many seconds.

        One small batch: call again until there are none.

        :return: as :meth:`free`.
        """
        lost = (
            sa.select(receipt.c.hook, receipt.c.receiver, receipt.c.event_id)
            .join(lane, (lane.c.hook == receipt.c.hook) & (lane.c.receiver == receipt.c.receiver))
            .where(receipt.c.state == PENDING, lane.c.seen_at < self.clock() - seconds)
            .limit(_BATCH)
            .with_for_update(skip_locked=True, of=receipt)
        )
        with self._database.transaction() as connection:
            rows = connection.execute(lost).all()
            if rows:
                connection.execute(
                    _BURY, [{"of_event": r.event_id, "of_receiver": r.receiver} for r in rows]
                )
            self._close(connection, sorted({row.event_id for row in rows}))
        return [(row.hook, row.receiver, row.event_id) for row in rows]

    # For people.

    def counts(self) -> dict[str, Any]:
        """Return how many events are in each state, and the age in seconds of the oldest open one."""
        with self._database.reading() as connection:
            counted = sa.select(event.c.state, sa.func.count()).group_by(event.c.state)
            found: dict[str, int] = {row[0]: row[1] for row in connection.execute(counted)}
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
        age = max(0.0, self.clock() - min(received)) if received else None
        return {
            **{state: found.get(state, 0) for state in STATES},
            "oldest_pending_seconds": age,
        }

    def next_due(self, lanes: Sequence[tuple[str, str]]) -> float | None:
        """Return when the next attempt is due, in seconds since the epoch, or None if none is to come.

        :param lanes: The hooks and names of the receivers that count.
        """
        query = sa.select(sa.func.min(receipt.c.due)).where(
            receipt.c.state == PENDING,
            sa.tuple_(receipt.c.hook, receipt.c.receiver).in_(lanes),
        )
        with self._database.reading() as connection:
            due: float | None = connection.scalar(query)
        return due

    def has_due(self, lanes: Sequence[tuple[str, str]]) -> bool:
        """Return whether there is anything that a worker could do now.

        :param lanes: The hooks and names of the receivers that it has.
        """
        hooks = {hook for hook, _ in lanes}
        waiting = sa.select(event.c.id).where(event.c.state == PENDING, event.c.hook.in_(hooks))
        due = sa.select(receipt.c.event_id).where(
            sa.tuple_(receipt.c.hook, receipt.c.receiver).in_(lanes),
            sa.or_(
                sa.and_(receipt.c.state == PENDING, receipt.c.due <= self.clock()),
                receipt.c.state == CLAIMED,
            ),
        )
        with self._database.reading() as connection:
            return any(connection.execute(q.limit(1)).first() is not None for q in (waiting, due))

    def find(self, chosen: Selection, *, limit: int = 100) -> list[dict[str, Any]]:
        """Return events, newest first."""
        query = (
            sa.select(
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
            .join(delivery, delivery.c.id == event.c.delivery_id)
            .where(*chosen.conditions())
            .order_by(event.c.id.desc())
            .limit(limit)
        )
        with self._database.reading() as connection:
            return [dict(row._mapping) for row in connection.execute(query)]  # noqa: SLF001

    def show(self, uuid: str) -> list[dict[str, Any]]:
        """Return the events of a uuid (one per hook that got it), each with its receipts and its body."""
        found = self.find(Selection(uuids=(uuid,)))
        for item in found:
            with self._database.reading() as connection:
                item["receipts"] = [
                    dict(row._mapping)  # noqa: SLF001
                    for row in connection.execute(
                        sa.select(
                            receipt.c.receiver,
                            receipt.c.state,
                            receipt.c.due,
                            receipt.c.attempts,
                            receipt.c.error,
                        )
                        .where(receipt.c.event_id == item["id"])
                        .order_by(receipt.c.receiver)
                    )
                ]
                row = connection.execute(
                    sa.select(event.c.ordinal, delivery.c.body)
                    .join(delivery, delivery.c.id == event.c.delivery_id)
                    .where(event.c.id == item["id"])
                ).one()
            item["raw"] = row.body and reading.load_delivery(row.body.encode()).events[row.ordinal]
        return found

    def lanes(self) -> list[dict[str, Any]]:
        """Return for each receiver that was ever connected: when last, and its receipts by state."""
        counted = sa.select(
            receipt.c.hook, receipt.c.receiver, receipt.c.state, sa.func.count()
        ).group_by(receipt.c.hook, receipt.c.receiver, receipt.c.state)
        with self._database.reading() as connection:
            seen = {
                (row.hook, row.receiver): {
                    "hook": row.hook,
                    "receiver": row.receiver,
                    "seen_at": row.seen_at,
                    **dict.fromkeys(STATES, 0),
                }
                for row in connection.execute(
                    sa.select(lane).order_by(lane.c.hook, lane.c.receiver)
                )
            }
            for hook, name, state, number in connection.execute(counted):
                if (hook, name) in seen:
                    seen[hook, name][state] = number
        return list(seen.values())

    def secret_use(
        self, hook: str, secret_list: int, *, ignoring: str | None = None
    ) -> dict[int, tuple[float, float]]:
        """Return when each of a hook's secrets first and last authenticated a delivery, by its place.

        A place means something in one list only, so what counts is what was received
        since the last delivery that knew another list.

        :param secret_list: The tag of the list that is live now.
        :param ignoring: A source whose deliveries do not count.
        """
        by_okta = (
            delivery.c.hook == hook,
            delivery.c.via == "hook",
            delivery.c.source.is_distinct_from(ignoring) if ignoring else sa.true(),
        )
        other_list = sa.select(sa.func.max(delivery.c.received_at)).where(
            *by_okta, delivery.c.secret_list.is_distinct_from(secret_list)
        )
        with self._database.reading() as connection:
            since = connection.scalar(other_list) or 0.0
            rows = connection.execute(
                sa.select(
                    delivery.c.secret,
                    sa.func.min(delivery.c.received_at).label("first"),
                    sa.func.max(delivery.c.received_at).label("last"),
                )
                .where(
                    *by_okta,
                    delivery.c.secret.is_not(None),
                    delivery.c.received_at > since,
                )
                .group_by(delivery.c.secret)
            )
            return {row.secret: (row.first, row.last) for row in rows}

    def try_writing(self) -> None:
        """Write a delivery and take it back: nothing of it is left, and nobody else sees it."""
        with self._database.transaction() as connection:
            savepoint = connection.begin_nested()
            connection.execute(
                delivery.insert().values(hook="", via="hook", received_at=self.clock())
            )
            savepoint.rollback()

    def replay(
        self, chosen: Selection, *, receiver: str | None = None, dry_run: bool = False
    ) -> int:
        """Send events to their receivers again.

        A dead event gets its dead receipts back; a done one forgets all its receipts and begins anew.

        :param receiver: Reset this receiver's receipt, done or dead, and nothing else.
        :param dry_run: Only count.
        :return: how many events.
        """
        query = (
            sa.select(event.c.id, event.c.state)
            .join(delivery, delivery.c.id == event.c.delivery_id)
            .where(
                *chosen.conditions(),
                event.c.state.in_([DONE, DEAD] if receiver is None else [CLAIMED, DONE, DEAD]),
                delivery.c.body.is_not(None),
            )
            .order_by(event.c.id)
            .limit(_BATCH)
        )
        if receiver is not None:
            mine = sa.exists().where(
                receipt.c.event_id == event.c.id,
                receipt.c.receiver == receiver,
                receipt.c.state.in_([DONE, DEAD]),
            )
            query = query.where(mine)
        total = 0
        after = 0
        while True:
            with (
                self._database.reading() if dry_run else self._database.transaction() as connection
            ):
                page = query.where(event.c.id > after)
                if not dry_run:
                    page = page.with_for_update(of=event)
                rows = connection.execute(page).all()
                if rows and not dry_run:
                    self._reset(connection, rows, receiver)
            total += len(rows)
            if len(rows) < _BATCH:
                return total
            after = rows[-1].id

    def _reset(self, connection: sa.Connection, rows: Sequence[Any], receiver: str | None) -> None:
        fresh = {"state": PENDING, "due": self.clock(), "attempts": 0, "claims": 0, "error": None}
        ids = [row.id for row in rows]
        if receiver is not None:
            connection.execute(
                receipt.update()
                .where(
                    receipt.c.event_id.in_(ids),
                    receipt.c.receiver == receiver,
                    receipt.c.state.in_([DONE, DEAD]),
                )
                .values(**fresh)
            )
            connection.execute(
                event.update().where(event.c.id.in_(ids)).values(state=CLAIMED, reason=None)
            )
            return
        done = [row.id for row in rows if row.state == DONE]
        dead = [row.id for row in rows if row.state == DEAD]
        connection.execute(receipt.delete().where(receipt.c.event_id.in_(done)))
        connection.execute(
            receipt.update()
            .where(receipt.c.event_id.in_(dead), receipt.c.state == DEAD)
            .values(**fresh)
        )
        handed = sa.exists().where(receipt.c.event_id == event.c.id)
        connection.execute(
            event.update()
            .where(event.c.id.in_(ids))
            .values(state=sa.case((handed, CLAIMED), else_=PENDING), reason=None)
        )

    def prune(self, *, bodies_before: float, keys_before: float) -> int:
        """Forget what is old and done: bodies first, keys and receipts later. One small batch.

        A delivery with an event that is not done keeps everything.

        :param bodies_before: Deliveries received before this lose their body.
        :param keys_before: Deliveries received before this go altogether.
        :return: how many deliveries; call again until it is 0.
        """
        unfinished = sa.exists().where(event.c.delivery_id == delivery.c.id, event.c.state != DONE)
        old = sa.select(delivery.c.id).where(~unfinished).order_by(delivery.c.received_at)
        stale = old.where(delivery.c.received_at < bodies_before, delivery.c.body.is_not(None))
        ancient = old.where(delivery.c.received_at < keys_before)
        with self._database.transaction() as connection:
            gone = connection.scalars(ancient.limit(_BATCH)).all()
            self._delete(connection, gone)
            bare = connection.scalars(stale.limit(_BATCH)).all()
            connection.execute(delivery.update().where(delivery.c.id.in_(bare)).values(body=None))
        return len(gone) + len(bare)

    def prune_dead(self, *, before: float, dry_run: bool = False) -> int:
        """Delete dead letters received before a time, with their receipts.

        Their keys go too: if Okta sends one of them again, it is new.

        :return: how many events.
        """
        query = (
            sa.select(event.c.id)
            .join(delivery, delivery.c.id == event.c.delivery_id)
            .where(event.c.state == DEAD, delivery.c.received_at < before)
        )
        if dry_run:
            with self._database.reading() as connection:
                counted = sa.select(sa.func.count()).select_from(query.subquery())
                return int(connection.scalar(counted) or 0)
        total = 0
        while True:
            with self._database.transaction() as connection:
                ids = connection.scalars(query.limit(_BATCH)).all()
                connection.execute(receipt.delete().where(receipt.c.event_id.in_(ids)))
                connection.execute(event.delete().where(event.c.id.in_(ids)))
                bare = ~sa.exists().where(event.c.delivery_id == delivery.c.id)
                old = delivery.c.received_at < before
                connection.execute(delivery.delete().where(old, bare))
            total += len(ids)
            if len(ids) < _BATCH:
                return total

    def _delete(self, connection: sa.Connection, delivery_ids: Sequence[int]) -> None:
        of_these = sa.select(event.c.id).where(event.c.delivery_id.in_(delivery_ids))
        connection.execute(receipt.delete().where(receipt.c.event_id.in_(of_these)))
        connection.execute(event.delete().where(event.c.delivery_id.in_(delivery_ids)))
        connection.execute(delivery.delete().where(delivery.c.id.in_(delivery_ids)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which events: all that fit everything given.

    ``patterns`` are patterns of event types; ``since`` and ``until`` bound when the event was received,
    in seconds since the epoch; ``unreceived`` chooses done events that no receiver was connected for.
    """

    uuids: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    hook: str | None = None
    since: float | None = None
    until: float | None = None
    unreceived: bool = False

    def conditions(self) -> list[Any]:
        """Return what to put into a WHERE over events and their deliveries."""
        found: list[Any] = []
        if self.uuids:
            found.append(event.c.key.in_(self.uuids))
        if self.states:
            found.append(event.c.state.in_(self.states))
        if self.patterns and "*" not in self.patterns:
            exact = [event.c.type == p for p in self.patterns if not p.endswith(".*")]
            # Not LIKE: SQLite's does not tell cases apart.
            below = [
                sa.func.substr(event.c.type, 1, len(p) - 1) == p.removesuffix("*")
                for p in self.patterns
                if p.endswith(".*")
            ]
            found.append(sa.or_(*exact, *below))
        if self.hook is not None:
            found.append(event.c.hook == self.hook)
        if self.since is not None:
            found.append(delivery.c.received_at >= self.since)
        if self.until is not None:
            found.append(delivery.c.received_at < self.until)
        if self.unreceived:
            found += [
                event.c.state == DONE,
                ~sa.exists().where(receipt.c.event_id == event.c.id),
            ]
        return found


_Place = tuple[int, str, int]


def _place(claim: Claim) -> _Place:
    return claim.event_id, claim.receiver, claim.claims


_STORED_OF_DELIVERY: Final = (
    delivery.c.id,
    delivery.c.hook,
    delivery.c.via,
    delivery.c.event_id,
    delivery.c.source,
    delivery.c.secret,
    delivery.c.secret_list,
    delivery.c.body,
    delivery.c.received_at,
)
_STORED_OF_EVENT: Final = (
    event.c.hook,
    event.c.key,
    event.c.delivery_id,
    event.c.ordinal,
    event.c.type,
    event.c.published,
    event.c.state,
    event.c.reason,
)
_STORED_OF_RECEIPT: Final = (
    receipt.c.event_id,
    receipt.c.receiver,
    receipt.c.hook,
    receipt.c.state,
    receipt.c.due,
    receipt.c.attempts,
    receipt.c.claims,
)
_BURY: Final = (
    receipt.update()
    .where(
        receipt.c.event_id == sa.bindparam("of_event"),
        receipt.c.receiver == sa.bindparam("of_receiver"),
    )
    .values(state=DEAD, error=NOT_CONNECTED)
)
#: The ids of the events that a statement is about.
_IDS: Final[Any] = sa.bindparam("ids", expanding=True)
_DUE: Final = (
    sa.select(
        receipt.c.event_id,
        receipt.c.attempts,
        receipt.c.claims,
        event.c.delivery_id,
        event.c.ordinal,
    )
    .join(event, event.c.id == receipt.c.event_id)
    .where(
        receipt.c.hook == sa.bindparam("hook"),
        receipt.c.receiver == sa.bindparam("receiver"),
        receipt.c.state == PENDING,
        receipt.c.due <= sa.bindparam("now"),
    )
    .order_by(receipt.c.due, receipt.c.event_id)
    .limit(sa.bindparam("most"))
)
_DUE_LOCKED: Final = _DUE.with_for_update(skip_locked=True, of=receipt)
_TAKE: Final = (
    receipt.update()
    .where(receipt.c.event_id.in_(_IDS), receipt.c.receiver == sa.bindparam("of_receiver"))
    .values(state=CLAIMED, worker=sa.bindparam("of_worker"), claims=receipt.c.claims + 1)
)
_HELD: Final = (
    sa.select(receipt.c.event_id, receipt.c.receiver, receipt.c.claims)
    .where(
        receipt.c.state == CLAIMED,
        receipt.c.worker == sa.bindparam("of_worker"),
        receipt.c.event_id.in_(_IDS),
    )
    .order_by(receipt.c.event_id, receipt.c.receiver)
    .with_for_update()
)
_SETTLE: Final = (
    receipt.update()
    .where(receipt.c.event_id.in_(_IDS), receipt.c.receiver == sa.bindparam("of_receiver"))
    .values(
        state=sa.bindparam("new_state"),
        due=sa.bindparam("new_due"),
        error=sa.bindparam("new_error"),
        attempts=receipt.c.attempts + 1,
        worker=None,
    )
)
_LOCK_EVENTS: Final = (
    sa.select(event.c.id).where(event.c.id.in_(_IDS)).order_by(event.c.id).with_for_update()
)
_CLOSE: Final = (
    event.update()
    .where(
        event.c.id.in_(_IDS),
        event.c.state == CLAIMED,
        ~sa.exists().where(
            receipt.c.event_id == event.c.id, receipt.c.state.in_([PENDING, CLAIMED])
        ),
    )
    .values(
        state=sa.case(
            (
                sa.exists().where(receipt.c.event_id == event.c.id, receipt.c.state == DEAD),
                DEAD,
            ),
            else_=DONE,
        )
    )
    .returning(event.c.id, event.c.state)
)
_DELIVERY: Final = sa.select(delivery).where(delivery.c.id == sa.bindparam("of_delivery"))
