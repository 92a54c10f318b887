"""What is done to stored events now and then: replay, prune, repair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from .statements import HAS_DEAD, IDS, has_open, lock_events
from .tables import CLAIMED, DEAD, DONE, PENDING, delivery, event, lane, receipt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .database import Database
    from .selection import Selection

_BATCH: Final = 500
#: For one batch. Other writers wait meanwhile, but on SQLite only.
_SECONDS: Final = 30.0
#: How many rows each look of :meth:`Upkeep.inspect` goes through at most.
_MOST_LOOKED_AT: Final = 10_000
#: A hook whose receivers have been watched so long without being connected is one that nobody has, in seconds.
_SECONDS_TO_MISS: Final = 24 * 3600.0
#: By how many seconds the clocks of hosts may differ without a receipt being due too late.
_TOLERANCE: Final = 60.0

#: The kinds of :class:`Inconsistency`.
NO_OPEN_RECEIPT: Final = "claimed event without an open receipt"
DUE_TOO_LATE: Final = "receipt that is due later than it was to wait"
NO_EVENT: Final = "receipt without its event"
UNKNOWN_HOOK: Final = "pending event of a hook that no app has"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inconsistency:
    """Something that normal operation does not leave in the inbox: a fault, a repair by hand, or a set clock did.

    ``number`` is of events or receipts; ``repaired`` is whether it has been put right.
    """

    kind: str
    hook: str
    number: int
    repaired: bool


class Upkeep:
    """Changes stored events in small batches, so that nobody waits long for it.

    Whatever changes or deletes events locks them first, in the order of their ids, and looks again
    at what it was going to change: since it looked, another may have changed it.

    Its methods raise :exc:`InboxUnavailable` if the database does not do what it is asked.

    :param clock: Returns the time, in seconds since the epoch.
    """

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def try_writing(self) -> None:
        """Write a delivery and take it back: nothing of it is left, and nobody else sees it."""
        with self._database.transaction(seconds=_SECONDS) as connection:
            savepoint = connection.begin_nested()
            connection.execute(
                delivery.insert().values(hook="", via="hook", received_at=self._clock())
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
            page = query.where(event.c.id > after).limit(_BATCH)
            with self._database.reading(seconds=_SECONDS) as connection:
                ids = [row.id for row in connection.execute(page)]
            if not dry_run and ids:
                with self._database.transaction(seconds=_SECONDS) as connection:
                    lock_events(self._database, connection, ids)
                    rows = connection.execute(query.where(event.c.id.in_(ids))).all()
                    self._reset(connection, rows, receiver)
                    total += len(rows)
            else:
                total += len(ids)
            if len(ids) < _BATCH:
                return total
            after = ids[-1]

    def _reset(self, connection: sa.Connection, rows: Sequence[Any], receiver: str | None) -> None:
        fresh = {
            "state": PENDING,
            "due": 0.0,
            "wait": None,
            "attempts": 0,
            "claims": 0,
            "error": None,
        }
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
            .values(state=sa.case((handed, CLAIMED), else_=PENDING), reason=None, readings=None)
        )

    def prune(self, *, bodies_before: float, keys_before: float) -> int:
        """Forget what is old and done: bodies first, keys and receipts later. One small batch.

        A delivery with an event that is not done keeps everything.

        :param bodies_before: Deliveries received before this lose their body.
        :param keys_before: Deliveries received before this go altogether.
        :return: how many deliveries; call again until it is 0.
        """
        unfinished = sa.exists().where(event.c.delivery_id == delivery.c.id, event.c.state != DONE)
        finished = sa.select(delivery.c.id).where(~unfinished)
        stale = finished.where(delivery.c.received_at < bodies_before, delivery.c.body.is_not(None))
        ancient = finished.where(delivery.c.received_at < keys_before)
        oldest = delivery.c.received_at
        with self._database.transaction(seconds=_SECONDS) as connection:
            gone = self._still(connection, finished, ancient.order_by(oldest).limit(_BATCH))
            self._delete(connection, gone)
            bare = self._still(connection, finished, stale.order_by(oldest).limit(_BATCH))
            connection.execute(delivery.update().where(delivery.c.id.in_(bare)).values(body=None))
        return len(gone) + len(bare)

    def _still(self, connection: sa.Connection, finished: Any, batch: Any) -> Sequence[int]:
        """Lock the events of a batch of deliveries, and return the deliveries that are finished still."""
        ids: Sequence[int] = connection.scalars(batch).all()
        of_these = sa.select(event.c.id).where(event.c.delivery_id.in_(ids)).order_by(event.c.id)
        self._database.lock_rows(connection, of_these.with_for_update(), {})
        return list(connection.scalars(finished.where(delivery.c.id.in_(ids))))

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
            with self._database.reading(seconds=_SECONDS) as connection:
                counted = sa.select(sa.func.count()).select_from(query.subquery())
                return int(connection.scalar(counted) or 0)
        total = 0
        while True:
            with self._database.transaction(seconds=_SECONDS) as connection:
                found = connection.scalars(query.order_by(event.c.id).limit(_BATCH)).all()
                lock_events(self._database, connection, found)
                ids = connection.scalars(query.where(event.c.id.in_(found))).all()
                connection.execute(receipt.delete().where(receipt.c.event_id.in_(ids)))
                gone = event.delete().where(event.c.id.in_(ids)).returning(event.c.delivery_id)
                touched = set(connection.scalars(gone))
                bare = ~sa.exists().where(event.c.delivery_id == delivery.c.id)
                connection.execute(delivery.delete().where(delivery.c.id.in_(touched), bare))
            total += len(ids)
            if len(found) < _BATCH:
                return total

    def inspect(
        self, hooks: Sequence[str], *, longest_wait: float, repair: bool = False
    ) -> list[Inconsistency]:
        """Look for what would keep stored events from ever getting to their receivers.

        It looks at what is open only, and of a large backlog at no more than a part.

        :param hooks: The hooks that the app has.
        :param longest_wait: The longest that a receipt can be meant to wait, in seconds.
        :param repair: Whether to put right what can be put right safely.
        """
        now = self._clock()
        checks = (
            (NO_OPEN_RECEIPT, _unheld_events(), self._repair_events, True),
            (
                DUE_TOO_LATE,
                _late_receipts(now, longest_wait),
                _bring_forward(now, longest_wait),
                True,
            ),
            (NO_EVENT, _stray_receipts(), _delete_receipts, True),
            (UNKNOWN_HOOK, _foreign_events(hooks), None, False),
        )
        found = []
        for kind, query, cure, can_be_repaired in checks:
            with self._database.reading(seconds=_SECONDS) as connection:
                rows = connection.execute(query).all()
            repaired = repair and can_be_repaired and bool(rows)
            if repaired and cure is not None:
                with self._database.transaction(seconds=_SECONDS) as connection:
                    cure(connection, rows)
            numbers: dict[str, int] = {}
            for row in rows:
                numbers[row.hook] = numbers.get(row.hook, 0) + 1
            found += [
                Inconsistency(kind=kind, hook=hook, number=number, repaired=repaired)
                for hook, number in sorted(numbers.items())
            ]
        return found

    def _repair_events(self, connection: sa.Connection, rows: Sequence[Any]) -> None:
        ids = [row.id for row in rows]
        lock_events(self._database, connection, ids)
        connection.execute(_REOPEN_OR_CLOSE, {"ids": ids})

    def _delete(self, connection: sa.Connection, delivery_ids: Sequence[int]) -> None:
        of_these = sa.select(event.c.id).where(event.c.delivery_id.in_(delivery_ids))
        connection.execute(receipt.delete().where(receipt.c.event_id.in_(of_these)))
        connection.execute(event.delete().where(event.c.delivery_id.in_(delivery_ids)))
        connection.execute(delivery.delete().where(delivery.c.id.in_(delivery_ids)))


def _unheld_events() -> Any:
    looked_at = (
        sa.select(event.c.id, event.c.hook)
        .where(event.c.state == CLAIMED)
        .order_by(event.c.id)
        .limit(_MOST_LOOKED_AT)
        .subquery()
    )
    is_held = has_open(looked_at.c.id)
    return sa.select(looked_at.c.id, looked_at.c.hook).where(~is_held).limit(_BATCH)


def _late_receipts(now: float, longest_wait: float) -> Any:
    columns = receipt.c.event_id, receipt.c.receiver, receipt.c.hook, receipt.c.wait, receipt.c.due
    # By receiver: the index on what is due begins with it.
    waiting = (
        sa.select(*columns)
        .join(lane, (lane.c.hook == receipt.c.hook) & (lane.c.receiver == receipt.c.receiver))
        .where(receipt.c.state == PENDING)
    )
    # Receipts that are later than any wait can make them are found however many others there are.
    much_too_late = waiting.where(receipt.c.due > now + longest_wait + _TOLERANCE).limit(_BATCH)
    some = waiting.where(receipt.c.due > now).limit(_MOST_LOOKED_AT)
    looked_at = sa.union(sa.select(much_too_late.subquery()), sa.select(some.subquery())).subquery()
    late = now + sa.func.coalesce(looked_at.c.wait, longest_wait)
    return sa.select(looked_at).where(looked_at.c.due > late + _TOLERANCE).limit(_BATCH)


def _bring_forward(
    now: float, longest_wait: float
) -> Callable[[sa.Connection, Sequence[Any]], None]:
    def bring_forward(connection: sa.Connection, rows: Sequence[Any]) -> None:
        for row in rows:
            soon = now + (longest_wait if row.wait is None else row.wait)
            connection.execute(
                receipt.update()
                .where(
                    receipt.c.event_id == row.event_id,
                    receipt.c.receiver == row.receiver,
                    receipt.c.state == PENDING,
                    # It may have been tried meanwhile, where the clock says something else.
                    receipt.c.due > soon,
                )
                .values(due=soon)
            )

    return bring_forward


def _stray_receipts() -> Any:
    looked_at = (
        sa.select(receipt.c.event_id, receipt.c.receiver, receipt.c.hook)
        .where(receipt.c.state == PENDING)
        .limit(_MOST_LOOKED_AT)
        .subquery()
    )
    has_event = sa.exists().where(event.c.id == looked_at.c.event_id)
    return sa.select(looked_at).where(~has_event).limit(_BATCH)


def _delete_receipts(connection: sa.Connection, rows: Sequence[Any]) -> None:
    ids = [row.event_id for row in rows]
    strays = receipt.c.event_id.in_(ids) & ~sa.exists().where(event.c.id == receipt.c.event_id)
    connection.execute(receipt.delete().where(strays))


def _foreign_events(hooks: Sequence[str]) -> Any:
    looked_at = (
        sa.select(event.c.id, event.c.hook)
        .where(event.c.state == PENDING)
        .order_by(event.c.id)
        .limit(_MOST_LOOKED_AT)
        .subquery()
    )
    # Another app may use the same inbox.
    is_elsewhere = sa.exists().where(
        lane.c.hook == looked_at.c.hook, sa.func.coalesce(lane.c.unseen, 0.0) < _SECONDS_TO_MISS
    )
    return sa.select(looked_at).where(looked_at.c.hook.not_in(hooks), ~is_elsewhere).limit(_BATCH)


_HAS_ANY: Final = sa.exists().where(receipt.c.event_id == event.c.id)
#: An event without any receipt is pending again, so that its receivers are decided on.
_REOPEN_OR_CLOSE: Final = (
    event.update()
    .where(event.c.id.in_(IDS), event.c.state == CLAIMED, ~has_open(event.c.id))
    .values(state=sa.case((HAS_DEAD, DEAD), (_HAS_ANY, DONE), else_=PENDING))
)
