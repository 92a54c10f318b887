"""What receivers have failed at, and when they try again, for people: nothing here changes anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import sqlalchemy as sa

from .pauses import not_paused
from .selection import hooks_of_events
from .tables import CLAIMED, DEAD, PENDING, event, lane, pause, receipt, total

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .database import Database

#: Below the number of parameters that a statement may have in any SQLite.
_BATCH: Final = 500
_SECONDS: Final = 120.0


class Failure(NamedTuple):
    """The last error of a receiver over one event."""

    receiver: str
    error: str | None


class Failing(NamedTuple):
    """A receiver that is tried again, with the oldest receipt that it has failed at.

    ``due`` is in seconds since the epoch.
    """

    receiver: str
    attempts: int
    due: float
    error: str | None


class Retried(NamedTuple):
    """A receipt whose last attempt has failed, and that is tried again; ``due`` is in seconds since the epoch."""

    event_id: int
    attempts: int
    due: float
    error: str | None


class Later(NamedTuple):
    """How many receipts are due later than now, and when the first is, in seconds since the epoch."""

    number: int
    next_due: float | None


class Receipts:
    """Answers what has become of receipts.

    Its methods raise :exc:`InboxUnavailable` if the database does not do what it is asked.

    :param clock: Returns the time, in seconds since the epoch.
    """

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def first_dead(self, event_ids: Sequence[int]) -> dict[int, Failure]:
        """Return for each of these events that a receiver has given up the first of these receivers, by name."""
        found: dict[int, Failure] = {}
        with self._database.reading(seconds=_SECONDS) as connection:
            for start in range(0, len(event_ids), _BATCH):
                query = (
                    sa.select(receipt.c.event_id, receipt.c.receiver, receipt.c.error)
                    .where(
                        receipt.c.event_id.in_(event_ids[start : start + _BATCH]),
                        receipt.c.state == DEAD,
                    )
                    .order_by(receipt.c.event_id, receipt.c.receiver)
                )
                for row in connection.execute(query):
                    found.setdefault(row.event_id, Failure(row.receiver, row.error))
        return found

    def failing(self, *, limit: int) -> list[Failing]:
        """Return receivers that have failed and are tried again, those first that have for longest."""
        # What was never tried is due at 0 or before: so each is a look into an index.
        failing = sa.union_all(
            *(
                sa.select(receipt.c.hook, receipt.c.receiver, receipt.c.event_id).where(*conditions)
                for conditions in (
                    (receipt.c.state == PENDING, receipt.c.due > 0, receipt.c.attempts > 0),
                    (receipt.c.state == CLAIMED, receipt.c.attempts > 0),
                )
            )
        ).subquery()
        first = sa.func.min(failing.c.event_id)
        oldest = (
            sa.select(failing.c.hook, failing.c.receiver, first.label("event_id"))
            .group_by(failing.c.hook, failing.c.receiver)
            .order_by(first, failing.c.receiver)
            .limit(limit)
            .subquery()
        )
        query = (
            sa.select(receipt.c.receiver, receipt.c.attempts, receipt.c.due, receipt.c.error)
            .join(
                oldest,
                (oldest.c.event_id == receipt.c.event_id)
                & (oldest.c.receiver == receipt.c.receiver),
            )
            .order_by(receipt.c.event_id, receipt.c.receiver)
        )
        with self._database.reading(seconds=_SECONDS) as connection:
            return [Failing(*row) for row in connection.execute(query)]

    def retried(self, hook: str, receiver: str, *, limit: int) -> list[Retried]:
        """Return what a receiver has failed at and tries again, the next first."""
        # What was never tried is due at 0 or before: so this is a look into an index.
        query = (
            sa.select(receipt.c.event_id, receipt.c.attempts, receipt.c.due, receipt.c.error)
            .where(
                receipt.c.state == PENDING,
                receipt.c.hook == hook,
                receipt.c.receiver == receiver,
                receipt.c.due > 0,
                receipt.c.attempts > 0,
            )
            .order_by(receipt.c.due)
            .limit(limit)
        )
        with self._database.reading(seconds=_SECONDS) as connection:
            return [Retried(*row) for row in connection.execute(query)]

    def due(self, receivers: Sequence[tuple[str, str]]) -> int:
        """Return how much these receivers, each a hook and a name, could do now: receipts, and events without any.

        Receipts of those that are paused do not count.
        """
        of_receipts = (
            sa.select(sa.func.count())
            .select_from(receipt)
            .where(receipt.c.state == PENDING, receipt.c.due <= self._clock())
        )
        of_events = (
            sa.select(sa.func.count())
            .select_from(event)
            .where(event.c.state == PENDING, event.c.hook.in_({hook for hook, _ in receivers}))
        )
        with self._database.reading(seconds=_SECONDS) as connection:
            of_these = sa.tuple_(receipt.c.hook, receipt.c.receiver).in_(
                not_paused(connection, receivers)
            )
            queries = (of_receipts.where(of_these), of_events)
            return sum(connection.scalar(query) or 0 for query in queries)

    def later(self, receivers: Sequence[tuple[str, str]]) -> Later:
        """Return how many receipts of these receivers, each a hook and a name, are due later than now.

        Receipts of those that are paused do not count.
        """
        query = sa.select(sa.func.count(), sa.func.min(receipt.c.due)).where(
            receipt.c.state == PENDING,
            receipt.c.due > self._clock(),
        )
        with self._database.reading(seconds=_SECONDS) as connection:
            of_these = sa.tuple_(receipt.c.hook, receipt.c.receiver).in_(
                not_paused(connection, receivers)
            )
            return Later(*connection.execute(query.where(of_these)).one())

    def is_known(self, receiver: str) -> bool:
        """Return whether a receiver of this name was ever connected, or has a receipt."""
        return bool(self.hooks_of(receiver))

    def hooks_of(self, receiver: str) -> set[str]:
        """Return the hooks at which a receiver of this name was ever connected, or has a receipt or a pause."""
        with self._database.reading(seconds=_SECONDS) as connection:
            found = {
                hook
                for table in (lane, total, pause)
                for hook in connection.scalars(
                    sa.select(table.c.hook).where(table.c.receiver == receiver).distinct()
                )
            }
            for hook in set(hooks_of_events(connection)) - found:
                open_or_dead = (
                    sa.select(receipt.c.hook)
                    .where(
                        receipt.c.state == state,
                        receipt.c.hook == hook,
                        receipt.c.receiver == receiver,
                    )
                    .limit(1)
                    for state in (PENDING, CLAIMED, DEAD)
                )
                if any(connection.execute(query).first() for query in open_or_dead):
                    found.add(hook)
        return found
