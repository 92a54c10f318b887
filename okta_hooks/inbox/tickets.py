"""Tickets: what a task queue carries for a receipt that is due, and which of them are on their way.

A ticket holds ids only, and means nothing by itself: whoever comes with one claims the receipt, if it is still pending
and due, and one that was lost is sent again. This needs PostgreSQL.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import sqlalchemy as sa

from .assignments import EARLIEST
from .claims import Claim
from .tables import CLAIMED, PENDING, receipt, ticket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from .database import Database

#: Held by whoever marks tickets as sent: with two at a time, each would count without those of the other.
_ADVISORY_LOCK: Final = 0x0C7A_4071
#: A ticket that was lost so often is sent again at intervals that do not grow any more.
_MOST_DOUBLINGS: Final = 3
#: Or after so many seconds, if that is sooner.
_LONGEST: Final = 3600.0


class Ticket(NamedTuple):
    """The names of a hook and a receiver, and the id of an event, as a task queue carries them."""

    hook: str
    receiver: str
    event_id: int


class InFlight(NamedTuple):
    """How many tickets of a queue are on their way, and how many are taken for lost."""

    sent: int = 0
    lapsed: int = 0


class Tickets:
    """Keeps account of tickets, and claims receipts for them.

    Its methods raise :exc:`InboxUnavailable` if the database does not do what it is asked.

    :param clock: Returns the time, in seconds since the epoch.
    """

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def in_flight(self) -> dict[str, InFlight]:
        """Return what is on its way, by queue. There are never many: see the window of :meth:`mark`."""
        is_lapsed = ticket.c.lapses_at <= self._now()
        query = sa.select(
            ticket.c.queue,
            sa.func.count().filter(~is_lapsed),
            sa.func.count().filter(is_lapsed),
        ).group_by(ticket.c.queue)
        with self._database.reading() as connection:
            return {queue: InFlight(*numbers) for queue, *numbers in connection.execute(query)}

    def mark(
        self,
        queue: str,
        receivers: Sequence[tuple[str, str]],
        *,
        window: int,
        waiting: int = 0,
        unmarked: int = 0,
        seconds: float,
        limit: int | None = None,
        retries_first: bool = False,
    ) -> list[Ticket]:
        """Choose receipts that are due and have no ticket on its way, and mark them as having one from now on.

        No receiver gets more than it leaves of the window for the others: a long backlog of one must not keep
        the others waiting. One that is paused gets none.

        :param queue: The task queue that the tickets are for.
        :param receivers: Those of the queue, each a hook and a name.
        :param window: The most tickets of the queue that may be on their way.
        :param waiting: How many messages wait in the queue itself: tickets that were taken for lost may be there.
        :param unmarked: How many of these are more than were on their way: other relays may have sent some since.
        :param seconds: When a ticket is taken for lost, and sent again. Each time that takes twice as long.
        :param limit: The most to choose; by default as many as the window has room for.
        :param retries_first: Whether receipts that have been tried before go first, as for :meth:`.Claims.claim`.
        :return: the tickets, to be sent now; none if another relay is just marking some.
        """
        with self._database.transaction() as connection:
            if not connection.scalar(sa.select(sa.func.pg_try_advisory_xact_lock(_ADVISORY_LOCK))):
                return []
            of_each = self._on_their_way(connection, queue)
            free = window - max(sum(of_each.values()) + unmarked, waiting)
            room = free if limit is None else min(free, limit)
            # Then at least as much is free as the receiver has.
            shares = [(*key, min((free - of_each.get(key, 0) + 1) // 2, room)) for key in receivers]
            shares = [share for share in shares if share[-1] > 0]
            if not shares:
                return []
            chosen: list[Ticket] = []
            for after in (0.0, EARLIEST - 1.0) if retries_first else (EARLIEST - 1.0,):
                if len(chosen) < room:
                    chosen += self._mark(
                        connection, queue, shares, after, room - len(chosen), seconds
                    )
            return chosen

    def _on_their_way(self, connection: sa.Connection, queue: str) -> Mapping[tuple[str, str], int]:
        query = (
            sa.select(ticket.c.hook, ticket.c.receiver, sa.func.count())
            .where(ticket.c.queue == queue, ticket.c.lapses_at > self._now())
            .group_by(ticket.c.hook, ticket.c.receiver)
        )
        return {(hook, name): number for hook, name, number in connection.execute(query)}

    def _mark(
        self,
        connection: sa.Connection,
        queue: str,
        shares: Sequence[tuple[str, str, int]],
        after: float,
        room: int,
        seconds: float,
    ) -> list[Ticket]:
        asked = ", ".join(["(%s, %s, %s::integer)"] * len(shares))
        parameters = (*chain.from_iterable(shares), after, room, queue, seconds, seconds, seconds)
        rows = connection.exec_driver_sql(_MARK.format(asked=asked), parameters)
        return [Ticket(row.hook, row.receiver, row.event_id) for row in rows]

    def withdraw(self, tickets: Iterable[Ticket]) -> None:
        """Take back the marks of tickets that could not be sent, so that they are sent as soon as that is possible."""
        keys = [(each.event_id, each.receiver) for each in tickets]
        if keys:
            with self._database.transaction() as connection:
                connection.execute(_WITHDRAW, {"keys": keys})

    def clean(self) -> None:
        """Forget tickets that were taken for lost and are not needed any more: others have claimed the receipts."""
        with self._database.transaction() as connection:
            connection.execute(
                ticket.delete().where(ticket.c.lapses_at <= self._now(), ~_IS_PENDING)
            )

    def claim(self, worker_id: str, presented: Ticket) -> list[Claim]:
        """Claim the receipt of a ticket, if it is pending and due. Either way the mark of the ticket is deleted.

        A worker whose lease is gone gets nothing, and of a receiver that is paused nobody gets anything: it is sent
        again when that is resumed.

        :return: the claim, or nothing.
        """
        hook, receiver, event_id = presented
        chosen = (event_id, receiver, hook)
        parameters = (event_id, receiver, worker_id, *chosen, worker_id, hook, receiver)
        with self._database.exchange() as exchange:
            (rows,) = exchange.finish((_CLAIM, parameters))
        return [
            Claim(
                event_id=event_id,
                delivery_id=delivery_id,
                ordinal=ordinal,
                hook=hook,
                receiver=receiver,
                attempts=attempts,
                claims=claims,
            )
            for delivery_id, ordinal, attempts, claims in rows
        ]

    def _now(self) -> Any:
        return self._database.now(self._clock)


_IS_PENDING: Final = sa.exists().where(
    receipt.c.event_id == ticket.c.event_id,
    receipt.c.receiver == ticket.c.receiver,
    receipt.c.state == PENDING,
)
_WITHDRAW: Final = ticket.delete().where(
    sa.tuple_(ticket.c.event_id, ticket.c.receiver).in_(sa.bindparam("keys", expanding=True))
)
#: By one clock, whichever host asks: a receipt that is due where its ticket is sent is so where that is presented.
_NOW: Final = "extract(epoch FROM clock_timestamp())::double precision"
_MARK: Final = f"""
WITH asked (hook, receiver, share) AS (VALUES {{asked}}), chosen AS (
    SELECT due.* FROM asked CROSS JOIN LATERAL (
        SELECT r.event_id, r.receiver, r.hook, r.due, row_number() OVER (ORDER BY r.due, r.event_id) AS place
        FROM okta_hooks_receipt r
        WHERE r.hook = asked.hook AND r.receiver = asked.receiver AND r.state = '{PENDING}'
        AND r.due > %s AND r.due <= {_NOW} AND NOT EXISTS (
            SELECT 1 FROM okta_hooks_ticket t
            WHERE t.event_id = r.event_id AND t.receiver = r.receiver AND t.lapses_at > {_NOW}
        )
        ORDER BY r.due, r.event_id LIMIT asked.share
    ) due WHERE NOT EXISTS (
        SELECT 1 FROM okta_hooks_pause p WHERE p.hook = asked.hook AND p.receiver = asked.receiver
    ) ORDER BY due.place, due.due LIMIT %s
)
INSERT INTO okta_hooks_ticket AS known (event_id, receiver, hook, queue, lapses_at, times_sent)
SELECT event_id, receiver, hook, %s, {_NOW} + %s, 1 FROM chosen
ON CONFLICT (event_id, receiver) DO UPDATE SET queue = excluded.queue, times_sent = known.times_sent + 1,
lapses_at = {_NOW} + least(%s * 2 ^ least(known.times_sent, {_MOST_DOUBLINGS}), greatest(%s, {_LONGEST}))
RETURNING hook, receiver, event_id
"""  # noqa: S608 - our own names
_CLAIM: Final = f"""
WITH presented AS (DELETE FROM okta_hooks_ticket WHERE event_id = %s AND receiver = %s)
UPDATE okta_hooks_receipt r SET state = '{CLAIMED}', worker = %s, claims = r.claims + 1
FROM okta_hooks_event e
WHERE r.event_id = %s AND r.receiver = %s AND r.hook = %s AND e.id = r.event_id
AND r.state = '{PENDING}' AND r.due <= {_NOW} AND EXISTS (SELECT 1 FROM okta_hooks_worker WHERE id = %s)
AND NOT EXISTS (SELECT 1 FROM okta_hooks_pause WHERE hook = %s AND receiver = %s)
RETURNING e.delivery_id, e.ordinal, r.attempts, r.claims
"""  # noqa: S608 - our own names
