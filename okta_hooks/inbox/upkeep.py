"""What is done to stored events now and then: replay, prune."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from . import totals
from .statements import lock_events
from .tables import CLAIMED, DEAD, DONE, PENDING, attempt, delivery, event, receipt
from .totals import Change, done_receipts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .database import Database
    from .selection import Selection

_BATCH: Final = 500
#: For one batch. Other writers wait meanwhile, but on SQLite only.
_SECONDS: Final = 30.0


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

    def try_writing(self, *, seconds: float = _SECONDS) -> None:
        """Write a delivery and take it back: nothing of it is left, and nobody else sees it.

        To begin a transaction would not do: a database that is read-only lets one that writes begin.

        :param seconds: What it may take.
        """
        with self._database.transaction(seconds=seconds) as connection:
            savepoint = connection.begin_nested()
            connection.execute(
                delivery.insert().values(hook="", via="hook", received_at=self._clock())
            )
            savepoint.rollback()

    def replay(
        self, chosen: Selection, *, receiver: str | None = None, dry_run: bool = False
    ) -> int:
        """Send events to their receivers again.

        Of a dead event the dead receipts become pending. A done event loses all its receipts, and is pending.

        :param receiver: Reset the receipts of this receiver, done or dead, and nothing else.
        :param dry_run: Only count.
        :return: how many events.
        """
        with self._database.reading(seconds=_SECONDS) as connection:
            conditions = chosen.conditions(connection)
        query = (
            sa.select(event.c.id, event.c.hook, event.c.state)
            .join(delivery, delivery.c.id == event.c.delivery_id)
            .where(
                *conditions,
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
                    self.reset(connection, rows, receiver)
                    total += len(rows)
            else:
                total += len(ids)
            if len(ids) < _BATCH:
                return total
            after = ids[-1]

    def reset(self, connection: sa.Connection, rows: Sequence[Any], receiver: str | None) -> None:
        """Let events that the transaction has locked go to their receivers again, as :meth:`replay` does.

        :param rows: The id, the hook and the state of each.
        """
        fresh = {
            "state": PENDING,
            "due": 0.0,
            "wait": None,
            "attempts": 0,
            "claims": 0,
            "error": None,
            "ended_at": None,
            "seconds": None,
        }
        ids = [row.id for row in rows]
        change = Change()
        for row in rows:
            if row.state == DONE:
                change.add(row.hook, "", events=-1)
        if receiver is not None:
            _forget(change, connection, event_ids=ids, receiver=receiver)
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
            totals.add(self._database, connection, "", change)
            return
        done = [row.id for row in rows if row.state == DONE]
        dead = [row.id for row in rows if row.state == DEAD]
        _forget(change, connection, event_ids=done)
        connection.execute(receipt.delete().where(receipt.c.event_id.in_(done)))
        connection.execute(
            receipt.update()
            .where(receipt.c.event_id.in_(dead), receipt.c.state == DEAD)
            .values(**fresh)
        )
        has_receipts = sa.exists().where(receipt.c.event_id == event.c.id)
        connection.execute(
            event.update()
            .where(event.c.id.in_(ids))
            .values(
                state=sa.case((has_receipts, CLAIMED), else_=PENDING), reason=None, readings=None
            )
        )
        totals.add(self._database, connection, "", change)

    def prune(self, *, bodies_before: float, keys_before: float) -> int:
        """Forget what is old and done: bodies and receipts first, keys later. One small batch.

        A delivery with an event that is not done keeps everything.

        :param bodies_before: Deliveries received before this lose their body, and the receipts of their events.
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
            change = Change()
            self._delete_finished(connection, gone, change)
            bare = self._still(connection, finished, stale.order_by(oldest).limit(_BATCH))
            self._delete_receipts(connection, bare, change)
            connection.execute(delivery.update().where(delivery.c.id.in_(bare)).values(body=None))
            totals.add(self._database, connection, "", change)
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
                self.delete(connection, ids)
            total += len(ids)
            if len(found) < _BATCH:
                return total

    def delete(self, connection: sa.Connection, ids: Sequence[int]) -> None:
        """Delete events that the transaction has locked, with their receipts, and deliveries that have no other."""
        change = Change()
        _forget(change, connection, event_ids=ids)
        connection.execute(attempt.delete().where(attempt.c.event_id.in_(ids)))
        connection.execute(receipt.delete().where(receipt.c.event_id.in_(ids)))
        gone = event.delete().where(event.c.id.in_(ids)).returning(event.c.delivery_id)
        touched = set(connection.scalars(gone))
        bare = ~sa.exists().where(event.c.delivery_id == delivery.c.id)
        connection.execute(delivery.delete().where(delivery.c.id.in_(touched), bare))
        totals.add(self._database, connection, "", change)

    def _delete_finished(
        self, connection: sa.Connection, delivery_ids: Sequence[int], change: Change
    ) -> None:
        self._delete_receipts(connection, delivery_ids, change)
        finished = event.delete().where(event.c.delivery_id.in_(delivery_ids))
        for hook in connection.scalars(finished.returning(event.c.hook)):
            change.add(hook, "", events=-1)
        connection.execute(delivery.delete().where(delivery.c.id.in_(delivery_ids)))

    def _delete_receipts(
        self, connection: sa.Connection, delivery_ids: Sequence[int], change: Change
    ) -> None:
        """Delete the receipts of deliveries that are finished: all of them are done."""
        of_these = sa.select(event.c.id).where(event.c.delivery_id.in_(delivery_ids))
        _forget(change, connection, event_ids=of_these)
        connection.execute(attempt.delete().where(attempt.c.event_id.in_(of_these)))
        connection.execute(receipt.delete().where(receipt.c.event_id.in_(of_these)))


def _forget(
    change: Change, connection: sa.Connection, *, event_ids: Any, receiver: str | None = None
) -> None:
    """Add to a change that the receipts of these events will not be done any more."""
    condition = sa.and_(
        receipt.c.event_id.in_(event_ids),
        sa.true() if receiver is None else receipt.c.receiver == receiver,
    )
    for hook, name, number in done_receipts(connection, condition):
        change.add(hook, name, receipts=-number)
