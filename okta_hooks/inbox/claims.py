"""Receipts that workers claim, settle and give back."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from . import failed_attempts, totals
from .assignments import EARLIEST
from .failed_attempts import stored_error
from .statements import IDS, close_statement, lock_statement
from .tables import CLAIMED, DEAD, DONE, PENDING, event, receipt
from .totals import Change

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from .database import Database, Statement

#: An event that stopped this many processes while it was read, or a receipt that stopped them while it ran, is dead.
DEATHS_ALLOWED: Final = 5
DIED_HERE: Final = "the process died here"

#: A statement has two parameters for each; SQLite takes 32,766.
_MOST_ASKED: Final = 5000


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
        *_, claims = self._settle_and_claim(
            worker_id, [], hook, receiver, limit, retries_first=retries_first
        )
        return claims

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
        with self._database.exchange() as exchange:
            found = exchange.run(*self._settling(worker_id, settlements))
            counted, closed = _counted(settlements, found)
            exchange.finish(*self._adding(worker_id, settlements, counted, closed))
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
        return self._settle_and_claim(
            worker_id, settlements, hook, receiver, limit, retries_first=retries_first
        )

    def _settle_and_claim(
        self,
        worker_id: str,
        settlements: Sequence[Settlement],
        hook: str,
        receiver: str,
        limit: int,
        *,
        retries_first: bool,
    ) -> tuple[list[Settlement], dict[int, str], list[Claim]]:
        def due(after: float) -> Statement:
            lock = " FOR UPDATE OF r SKIP LOCKED" if self._database.path is None else ""
            text = _DUE.format(mark=self._database.placeholder, lock=lock)
            return text, (hook, receiver, after, self._clock(), worker_id, hook, receiver, limit)

        with self._database.exchange() as exchange:
            settling = self._settling(worker_id, settlements)
            *found, rows = exchange.run(*settling, due(0.0 if retries_first else _EVERY_DUE))
            if retries_first and not rows:
                (rows,) = exchange.run(due(_EVERY_DUE))
            counted, closed = _counted(settlements, found)
            claims = _claims(hook, receiver, rows)
            exchange.finish(
                *self._taking(worker_id, receiver, claims),
                *self._adding(worker_id, settlements, counted, closed),
            )
        return counted, closed, claims

    def _taking(self, worker_id: str, receiver: str, claims: Sequence[Claim]) -> list[Statement]:
        """Return what writes down that a worker has claimed receipts of one receiver."""
        if not claims:
            return []
        mark = self._database.placeholder
        ids = [claim.event_id for claim in claims]
        among, parameters = self._database.among(ids)
        text = _TAKE.format(mark=mark, among=among)
        return [(text, (worker_id, receiver, *parameters))]

    def _settling(self, worker_id: str, settlements: Sequence[Settlement]) -> list[Statement]:
        """Return what writes down what became of receipts, and then closes events that have no open one left.

        The rows of the first are the fences that counted, those of the last the events that are closed.
        """
        if not settlements:
            return []
        # Also of events of which no settlement counts: they are closed already, or stay open.
        ids = sorted({one.claim.event_id for one in settlements})
        lock = [lock_statement(self._database, ids)] if self._database.path is None else []
        close = close_statement(self._database, ids)
        return [self._settlement(worker_id, settlements), *lock, close]

    def _adding(
        self,
        worker_id: str,
        settlements: Sequence[Settlement],
        counted: Sequence[Settlement],
        closed: Mapping[int, str],
    ) -> list[Statement]:
        """Return what stores the attempts that failed, and what adds to the totals, for whose row others wait."""
        mark = self._database.placeholder
        failed = failed_attempts.addition(mark, self._clock(), counted)
        change = _change(settlements, counted, closed)
        adding = totals.addition(mark, worker_id, change)
        return [each for each in (failed, adding) if each is not None]

    def _settlement(self, worker_id: str, settlements: Sequence[Settlement]) -> Statement:
        """Return what writes down what became of those of the claims that the worker still holds: it returns these.

        A receipt that was taken from it, and perhaps claimed again, is not among them.
        """
        now = self._clock()
        mark = self._database.placeholder
        # In one order for all, so that no two workers wait for each other.
        rows = sorted(_row(one, now) for one in settlements)
        given, parameters = self._database.given(_KINDS, rows)
        statement = _SETTLE.format(given=given, now=mark, worker=mark)
        return statement, (*parameters, now, worker_id)

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


def _claims(hook: str, receiver: str, rows: Sequence[Any]) -> list[Claim]:
    """Return the claims of receipts that are due; of those that were claimed by a process that died, one alone."""
    found = [
        Claim(
            event_id=event_id,
            delivery_id=delivery_id,
            ordinal=ordinal,
            hook=hook,
            receiver=receiver,
            attempts=attempts,
            claims=claims + 1,
        )
        for event_id, attempts, claims, delivery_id, ordinal in rows
    ]
    suspects = [index for index, claim in enumerate(found) if claim.deaths > 0]
    return found[: suspects[0] or 1] if suspects else found


def _counted(
    settlements: Sequence[Settlement], found: Sequence[Sequence[Any]]
) -> tuple[list[Settlement], dict[int, str]]:
    """Return the settlements that counted, and the events that they have closed, by the rows that were returned."""
    if not found:
        return [], {}
    by_fence = {_fence(settlement.claim): settlement for settlement in settlements}
    fences, *_, states = found
    return [by_fence[tuple(fence)] for fence in fences], dict(map(tuple, states))


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


#: Also what has been tried before.
_EVERY_DUE: Final = EARLIEST - 1.0
_DUE: Final = (
    "SELECT r.event_id, r.attempts, r.claims, e.delivery_id, e.ordinal"  # noqa: S608 - our own names
    " FROM okta_hooks_receipt r JOIN okta_hooks_event e ON e.id = r.event_id"
    f" WHERE r.hook = {{mark}} AND r.receiver = {{mark}} AND r.state = '{PENDING}'"
    " AND r.due > {mark} AND r.due <= {mark}"
    " AND EXISTS (SELECT 1 FROM okta_hooks_worker WHERE id = {mark})"
    " AND NOT EXISTS (SELECT 1 FROM okta_hooks_pause WHERE hook = {mark} AND receiver = {mark})"
    " ORDER BY r.due, r.event_id LIMIT {mark}{lock}"
)
_TAKE: Final = (
    f"UPDATE okta_hooks_receipt SET state = '{CLAIMED}', worker = {{mark}}, claims = claims + 1"  # noqa: S608 - our own names
    " WHERE receiver = {mark} AND event_id {among}"
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
    "WITH given (event_id, receiver, claims, state, due, wait, error, seconds) AS ({given}) "
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
