"""What receivers have failed at, and when they try again, for people: nothing here changes anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import sqlalchemy as sa

from .tables import CLAIMED, DEAD, PENDING, receipt

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
        is_failing = receipt.c.state.in_([PENDING, CLAIMED]) & (receipt.c.attempts > 0)
        oldest = (
            sa.select(
                receipt.c.hook,
                receipt.c.receiver,
                sa.func.min(receipt.c.event_id).label("event_id"),
            )
            .where(is_failing)
            .group_by(receipt.c.hook, receipt.c.receiver)
            .order_by(sa.func.min(receipt.c.event_id), receipt.c.receiver)
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

    def later(self, receivers: Sequence[tuple[str, str]]) -> Later:
        """Return how many receipts of these receivers, each a hook and a name, are due later than now."""
        query = sa.select(sa.func.count(), sa.func.min(receipt.c.due)).where(
            receipt.c.state == PENDING,
            receipt.c.due > self._clock(),
            sa.tuple_(receipt.c.hook, receipt.c.receiver).in_(receivers),
        )
        with self._database.reading(seconds=_SECONDS) as connection:
            return Later(*connection.execute(query).one())

    def is_known(self, receiver: str) -> bool:
        """Return whether any receipt is of a receiver of this name."""
        query = sa.select(receipt.c.event_id).where(receipt.c.receiver == receiver).limit(1)
        with self._database.reading(seconds=_SECONDS) as connection:
            return connection.execute(query).first() is not None
