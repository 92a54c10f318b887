"""Receipts that workers claim, settle and give back."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from . import failed_attempts, totals
from .assignments import EARLIEST
from .failed_attempts import stored_error
from .pauses import is_paused
from .statements import IDS, close_events, close_statement, lock_statement
from .tables import CLAIMED, DEAD, DONE, PENDING, event, receipt, worker
from .totals import Change

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from .database import Database, Statement

#: An event that stopped this many processes while it was read, or a receipt that stopped them while it ran, is dead.
DEATHS_ALLOWED: Final = 5
DIED_HERE: Final = "the process died here"

#: A statement has two parameters for each; SQLite takes 32,766.
_MOST_ASKED: Final = 5000
#: In one statement.
_MOST_SETTLED: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A receipt that a worker has claimed.

    ``claims`` is the fence: it differs at each claim, so whoever holds an older one cannot settle the receipt.
    """

    event_id: int
    delivery_id: int
    ordinal: int
    hook: str
    receiver: str
    attempts: int
    claims: int

    @property
    def deaths(self) -> int:
        """How many processes have died with this receipt claimed since its last attempt that ended.

        ``claims`` grows with each claim and shrinks when one is given back; ``attempts`` grows when an attempt ends.
        What remains between them, but for the present claim, are claims that ended with their process.
        """
        return self.claims - 1 - self.attempts


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What is to become of a claimed receipt: done, dead, or pending again after ``wait`` seconds.

    ``seconds`` is how long the receiver ran, or None if it was not called.
    """

    claim: Claim
    state: str
    wait: float = 0.0
    error: str | None = None
    seconds: float | None = None


class Claims:
    """Claims receipts for workers, and stores what became of them.

    Its methods raise :exc:`InboxUnavailable` if the database does not do what it is asked.

    :param clock: Returns the time, in seconds since the epoch.
    """

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def claim(
        self,
        worker_id: str,
        hook: str,
        receiver: str,
        limit: int,
        *,
        retries_first: bool = False,
    ) -> list[Claim]:
        """Take receipts of one receiver that are due, in the order in which Okta delivered the events.

        A receipt that was claimed by a process that died is claimed alone:
        if it is what kills processes, no other receipt is claimed by the one that it kills next.
        A worker whose lease is gone gets nothing, and of a receiver that is paused nobody gets anything.

        :param retries_first: Whether receipts that have been tried before go first. Callers should alternate
            between the two: otherwise a backlog of either kind keeps the other waiting.
        """
        with self._database.transaction() as connection:
            return self._claim(
                connection, worker_id, hook, receiver, limit, retries_first=retries_first
            )

    def _claim(
        self,
        connection: sa.Connection,
        worker_id: str,
        hook: str,
        receiver: str,
        limit: int,
        *,
        retries_first: bool,
    ) -> list[Claim]:
        chosen = {
            "hook": hook,
            "receiver": receiver,
            "most": limit,
            "now": self._clock(),
            "after": 0.0 if retries_first else EARLIEST - 1.0,
            "of_worker": worker_id,
        }
        rows = list(connection.execute(_DUE, chosen))
        if retries_first and not rows:
            rows = list(connection.execute(_DUE, chosen | {"after": EARLIEST - 1.0}))
        suspects = [index for index, row in enumerate(rows) if row.claims > row.attempts]
        if suspects:
            rows = rows[: suspects[0] or 1]
        if rows:
            ids = [row.event_id for row in rows]
            mine = {"ids": ids, "of_receiver": receiver, "of_worker": worker_id}
            connection.execute(_TAKE, mine)
        return [
            Claim(
                event_id=row.event_id,
                delivery_id=row.delivery_id,
                ordinal=row.ordinal,
                hook=hook,
                receiver=receiver,
                attempts=row.attempts,
                claims=row.claims + 1,
            )
            for row in rows
        ]

    def with_work(self, receivers: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        """Return those of the receivers, each a hook and a name, for which something is due now.

        Those that are paused are not among them.
        That is one statement for all of them, and one look into an index for each.
        """
        found: list[tuple[str, str]] = []
        mark = self._database.placeholder
        for start in range(0, len(receivers), _MOST_ASKED):
            some = receivers[start : start + _MOST_ASKED]
            asked = ", ".join([f"({mark}, {mark})"] * len(some))
            parameters = (*chain.from_iterable(some), self._clock())
            with self._database.reading() as connection:
                rows = connection.exec_driver_sql(
                    _WITH_WORK.format(asked=asked, now=mark, pending=PENDING), parameters
                )
                found += [(row.hook, row.receiver) for row in rows]
        return found

    def settle(
        self, worker_id: str, settlements: Sequence[Settlement]
    ) -> tuple[list[Settlement], dict[int, str]]:
        """Write down what became of claimed receipts, and close events that have no open one left.

        :return: the settlements that counted (the others' receipts had been taken away: a lease ran out),
            and the events that this closed, by id, with their state.
        """
        if not settlements:
            return [], {}
        if len(settlements) > _MOST_SETTLED:
            with self._database.transaction() as connection:
                return self._settle(connection, worker_id, settlements)
        mark = self._database.placeholder
        ids = sorted({one.claim.event_id for one in settlements})
        statements = [self._settlement(worker_id, settlements)]
        if self._database.path is None:
            statements.append(lock_statement(mark, ids))
        # Also of events of which no settlement counts: they are closed already, or stay open.
        statements.append(close_statement(mark, ids))
        with self._database.exchange() as exchange:
            fences, *_, states = exchange.run(*statements)
            counted = _counted(settlements, fences)
            closed = dict(map(tuple, states))
            failed = failed_attempts.addition(mark, self._clock(), counted)
            adding = totals.addition(mark, worker_id, _change(settlements, counted, closed))
            exchange.finish(*filter(None, (failed, adding)))
        return counted, closed

    def settle_and_claim(
        self,
        worker_id: str,
        settlements: Sequence[Settlement],
        hook: str,
        receiver: str,
        limit: int,
        *,
        retries_first: bool = False,
    ) -> tuple[list[Settlement], dict[int, str], list[Claim]]:
        """Do :meth:`settle` and :meth:`claim` in one transaction: a busy lane waits for the disk once."""
        with self._database.transaction() as connection:
            counted, closed = self._settle(connection, worker_id, settlements)
            claims = self._claim(
                connection, worker_id, hook, receiver, limit, retries_first=retries_first
            )
            return counted, closed, claims

    def _settle(
        self, connection: sa.Connection, worker_id: str, settlements: Sequence[Settlement]
    ) -> tuple[list[Settlement], dict[int, str]]:
        fences: list[Any] = []
        for start in range(0, len(settlements), _MOST_SETTLED):
            some = self._settlement(worker_id, settlements[start : start + _MOST_SETTLED])
            fences += connection.exec_driver_sql(*some)
        counted = _counted(settlements, fences)
        closed = close_events(self._database, connection, [item.claim.event_id for item in counted])
        failed = failed_attempts.addition(self._database.placeholder, self._clock(), counted)
        if failed is not None:
            connection.exec_driver_sql(*failed)
        totals.add(self._database, connection, worker_id, _change(settlements, counted, closed))
        return counted, closed

    def _settlement(self, worker_id: str, settlements: Sequence[Settlement]) -> Statement:
        """Return what writes down what became of those of the claims that the worker still holds: it returns these.

        A receipt that was taken from it, and perhaps claimed again, is not among them.
        """
        now = self._clock()
        mark = self._database.placeholder
        # In one order for all, so that no two workers wait for each other.
        rows = sorted(_row(one, now) for one in settlements)
        first = ", ".join(f"CAST({mark} AS {kind})" for kind in _KINDS)
        others = ", ".join([mark] * len(_KINDS))
        values = ", ".join(f"({others if number else first})" for number in range(len(rows)))
        statement = _SETTLE.format(values=values, now=mark, worker=mark)
        return statement, (*chain.from_iterable(rows), now, worker_id)

    def confirm(self, settlements: Sequence[Settlement]) -> tuple[list[Settlement], dict[int, str]]:
        """Return of settlements what the database has of them, as :meth:`settle` would.

        It is for when the answer to that was lost: it may have been committed all the same.
        """
        by_receipt = {(each.claim.event_id, each.claim.receiver): each for each in settlements}
        ids = {event_id for event_id, _ in by_receipt}
        receipts = sa.select(
            receipt.c.event_id,
            receipt.c.receiver,
            receipt.c.state,
            receipt.c.attempts,
            receipt.c.claims,
        ).where(receipt.c.event_id.in_(ids))
        closed = sa.select(event.c.id, event.c.state).where(
            event.c.id.in_(ids), event.c.state.in_([DONE, DEAD])
        )
        with self._database.reading() as connection:
            rows = connection.execute(receipts).all()
            states = {row.id: row.state for row in connection.execute(closed)}
        counted = [
            one
            for row in rows
            if (one := by_receipt.get((row.event_id, row.receiver))) is not None
            and row.state == one.state
            and row.attempts == one.claim.attempts + 1
            and row.claims == one.claim.claims
        ]
        return counted, {
            one.claim.event_id: states[one.claim.event_id]
            for one in counted
            if one.claim.event_id in states
        }

    def release(self, worker_id: str, claims: Sequence[Claim], *, wait: float = 0.0) -> None:
        """Give back receipts that were claimed and have not run to an end: nothing is counted against them.

        :param wait: Seconds for which nobody is to have them.
        """
        fences = [_fence(claim) for claim in claims]
        later = {"due": self._clock() + wait, "wait": wait} if wait else {}
        with self._database.transaction() as connection:
            for event_id, receiver_name, _ in self._held(connection, worker_id, fences):
                connection.execute(
                    receipt.update()
                    .where(receipt.c.event_id == event_id, receipt.c.receiver == receiver_name)
                    .values(state=PENDING, worker=None, claims=receipt.c.claims - 1, **later)
                )

    def _held(
        self, connection: sa.Connection, worker_id: str, fences: Iterable[_Fence]
    ) -> list[_Fence]:
        """Lock and return those of the claims that the worker still holds, in the order that all workers lock them in.

        A receipt that was taken from it, and perhaps claimed again, is not among them.
        """
        wanted = set(fences)
        ids = {event_id for event_id, _, _ in wanted}
        rows = connection.execute(_HELD, {"ids": list(ids), "of_worker": worker_id}).all()
        return [fence for row in rows if (fence := tuple(row)) in wanted]

    def take_back(
        self, worker_id: str, hook: str, receiver_name: str, *, keep: Iterable[Claim]
    ) -> None:
        """Give back what is stored as claimed by a worker for one receiver, but for the claims that it knows of.

        :param keep: The claims that it knows of. A receipt that it held before, and has claimed again
            in a transaction whose answer was lost, is given back: ``claims`` differs.
        """
        known = [(claim.event_id, claim.claims) for claim in keep]
        with self._database.transaction() as connection:
            connection.execute(
                receipt.update()
                .where(
                    receipt.c.state == CLAIMED,
                    receipt.c.worker == worker_id,
                    receipt.c.hook == hook,
                    receipt.c.receiver == receiver_name,
                    sa.tuple_(receipt.c.event_id, receipt.c.claims).not_in(known),
                )
                .values(state=PENDING, worker=None, claims=receipt.c.claims - 1)
            )


_Fence = tuple[int, str, int]


def _counted(settlements: Sequence[Settlement], fences: Iterable[Any]) -> list[Settlement]:
    """Return the settlements of these fences."""
    by_fence = {_fence(settlement.claim): settlement for settlement in settlements}
    return [by_fence[tuple(fence)] for fence in fences]


def _change(
    settlements: Sequence[Settlement], counted: Sequence[Settlement], closed: Mapping[int, str]
) -> Change:
    """Return what is to be added to the totals."""
    change = Change()
    claims = {one.claim.event_id: one.claim for one in settlements}
    for event_id, state in closed.items():
        if state == DONE:
            change.add(claims[event_id].hook, claims[event_id].receiver, events=1)
    for one in counted:
        change.add_attempt(one.claim.hook, one.claim.receiver, one.state, one.seconds)
    return change


def _row(one: Settlement, now: float) -> tuple[Any, ...]:
    """Return the fence of a settlement, and what its receipt gets."""
    is_pending = one.state == PENDING
    return (
        *_fence(one.claim),
        one.state,
        now + one.wait if is_pending else 0.0,
        one.wait if is_pending else None,
        stored_error(one.error),
        one.seconds,
    )


def _fence(claim: Claim) -> _Fence:
    return claim.event_id, claim.receiver, claim.claims


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
        receipt.c.due > sa.bindparam("after"),
        receipt.c.due <= sa.bindparam("now"),
        sa.exists().where(worker.c.id == sa.bindparam("of_worker")),
        ~is_paused(sa.bindparam("hook"), sa.bindparam("receiver")),
    )
    .order_by(receipt.c.due, receipt.c.event_id)
    .limit(sa.bindparam("most"))
    .with_for_update(skip_locked=True, of=receipt)
)
_TAKE: Final = (
    receipt.update()
    .where(receipt.c.event_id.in_(IDS), receipt.c.receiver == sa.bindparam("of_receiver"))
    .values(state=CLAIMED, worker=sa.bindparam("of_worker"), claims=receipt.c.claims + 1)
)
_HELD: Final = (
    sa.select(receipt.c.event_id, receipt.c.receiver, receipt.c.claims)
    .where(
        receipt.c.state == CLAIMED,
        receipt.c.worker == sa.bindparam("of_worker"),
        receipt.c.event_id.in_(IDS),
    )
    .order_by(receipt.c.event_id, receipt.c.receiver)
    .with_for_update()
)
#: What a row of a settlement has: the fence, and what the receipt gets.
_KINDS: Final = (
    "BIGINT",
    "TEXT",
    "BIGINT",
    "TEXT",
    "DOUBLE PRECISION",
    "DOUBLE PRECISION",
    "TEXT",
    "DOUBLE PRECISION",
)
#: Not through SQLAlchemy, which takes longer over it than the database.
_SETTLE: Final = (
    "WITH given (event_id, receiver, claims, state, due, wait, error, seconds) AS (VALUES {values}) "
    "UPDATE okta_hooks_receipt SET state = given.state, due = given.due, wait = given.wait, error = given.error,"
    " seconds = given.seconds, ended_at = {now}, attempts = attempts + 1, worker = NULL FROM given"
    " WHERE okta_hooks_receipt.event_id = given.event_id AND okta_hooks_receipt.receiver = given.receiver"
    " AND okta_hooks_receipt.claims = given.claims AND okta_hooks_receipt.state = 'claimed'"
    " AND okta_hooks_receipt.worker = {worker}"
    " RETURNING okta_hooks_receipt.event_id, okta_hooks_receipt.receiver, okta_hooks_receipt.claims"
)
#: Not through SQLAlchemy: SQLite cannot parse the table of VALUES that it writes.
_WITH_WORK: Final = (
    "WITH asked (hook, receiver) AS (VALUES {asked}) SELECT hook, receiver FROM asked WHERE EXISTS ("
    "SELECT 1 FROM okta_hooks_receipt r WHERE r.hook = asked.hook AND r.receiver = asked.receiver"
    " AND r.state = '{pending}' AND r.due <= {now}) AND NOT EXISTS ("
    "SELECT 1 FROM okta_hooks_pause p WHERE p.hook = asked.hook AND p.receiver = asked.receiver)"
)
