"""How much is done: kept, because to count it would take longer the more there is."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from .statements import accumulate, accumulation
from .tables import DEAD, DONE, DURATIONS, PENDING, event, receipt, total, worker

if TYPE_CHECKING:
    from .database import Database, Statement

#: For a look at everything: nobody waits for it.
_SECONDS: Final = 600.0
_WITHIN: Final = tuple(f"within_{number}" for number in range(len(DURATIONS)))
_KEYS: Final = ("hook", "receiver", "part")
_NUMBERS: Final = ("events", "receipts", "done", "retried", "dead", "seconds", "calls", *_WITHIN)
_OUTCOMES: Final = {DONE: "done", PENDING: "retried", DEAD: "dead"}
_SUMS: Final = [sa.func.coalesce(sa.func.sum(total.c[name]), 0).label(name) for name in _NUMBERS]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempts:
    """What the attempts of a receiver have come to, at any time, in any process; and how long they took.

    ``within`` is how many took no longer than each of :data:`~okta_hooks.inbox.tables.DURATIONS`, in seconds.
    An attempt that was given up without a call has no duration: ``calls`` are those that have one.
    """

    hook: str
    receiver: str
    done: int
    retried: int
    dead: int
    seconds: float
    calls: int
    within: tuple[int, ...]


class Change:
    """What is to be added to the totals; the events and receipts of no receiver have an empty one.

    ``numbers`` are by hook and receiver.
    """

    def __init__(self) -> None:
        self.numbers: dict[tuple[str, str], dict[str, float]] = {}

    def add(self, hook: str, receiver: str, **numbers: float) -> None:
        """Add to the totals of a receiver."""
        found = self._of(hook, receiver)
        for name, number in numbers.items():
            found[name] += number

    def add_attempt(self, hook: str, receiver: str, state: str, seconds: float | None) -> None:
        """Add an attempt.

        :param state: What has become of the receipt.
        :param seconds: How long it took, if there was a call.
        """
        found = self._of(hook, receiver)
        found[_OUTCOMES[state]] += 1
        if state == DONE:
            found["receipts"] += 1
        if seconds is None:
            return
        found["seconds"] += seconds
        found["calls"] += 1
        place = bisect_left(DURATIONS, seconds)
        if place < len(DURATIONS):
            found[_WITHIN[place]] += 1

    def _of(self, hook: str, receiver: str) -> dict[str, float]:
        found = self.numbers.get((hook, receiver))
        if found is None:
            found = self.numbers[hook, receiver] = dict.fromkeys(_NUMBERS, 0)
        return found


class Totals:
    """Keeps the numbers of what is done, and of attempts.

    Whoever changes what is done adds the change in the same transaction, as its last statement: so the numbers are
    right whatever fails, and nobody holds the row of a total for long.

    Its methods raise :exc:`InboxUnavailable` if the database does not do what it is asked.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def attempts(self) -> list[Attempts]:
        """Return what the attempts of each receiver have come to."""
        query = (
            sa.select(total.c.hook, total.c.receiver, *_SUMS)
            .where(total.c.receiver != "")
            .group_by(total.c.hook, total.c.receiver)
            .order_by(total.c.hook, total.c.receiver)
        )
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        found = []
        for row in rows:
            within, up_to = [], 0
            for name in _WITHIN:
                up_to += int(getattr(row, name))
                within.append(up_to)
            found.append(
                Attempts(
                    hook=row.hook,
                    receiver=row.receiver,
                    done=int(row.done),
                    retried=int(row.retried),
                    dead=int(row.dead),
                    seconds=float(row.seconds),
                    calls=int(row.calls),
                    within=tuple(within),
                )
            )
        return found

    def fold(self) -> None:
        """Add the rows of workers that are gone to those of all others."""
        is_left = (total.c.part != "") & total.c.part.not_in(sa.select(worker.c.id))
        query = (
            sa.select(total)
            .where(is_left)
            .order_by(total.c.part, total.c.hook, total.c.receiver)
            .with_for_update()
        )
        with self._database.transaction() as connection:
            change = Change()
            rows = connection.execute(query).mappings().all()
            for row in rows:
                change.add(row["hook"], row["receiver"], **{name: row[name] for name in _NUMBERS})
            of_gone = total.c.part.in_({row["part"] for row in rows})
            connection.execute(total.delete().where(of_gone))
            add(self._database, connection, "", change)

    def recount(self) -> bool:
        """Count everything, and put the numbers right if they are not.

        It takes the longer the more there is, but holds nobody up. Processes of version 0.1 do not keep these numbers.

        :return: whether they had to be put right.
        """
        with self._database.reading(seconds=_SECONDS) as connection:
            change, counted_with = _difference(connection)
        if not change.numbers:
            return False
        kept = sa.select(total).where(total.c.part == "").order_by(total.c.hook, total.c.receiver)
        with self._database.transaction() as connection:
            rows = connection.execute(kept.with_for_update()).all()
            # Somebody else may have put them right, or have changed them, since.
            if {
                (row.hook, row.receiver): (row.events, row.receipts) for row in rows
            } != counted_with:
                return False
            add(self._database, connection, "", change)
        return True


def add(database: Database, connection: sa.Connection, part: str, change: Change) -> None:
    """Add a change to the totals, in the transaction of which it is a part.

    :param part: The worker that has rows of its own for it, or the empty string.
    """
    accumulate(database, connection, total, _KEYS, _NUMBERS, _rows(part, change))


def addition(placeholder: str, part: str, change: Change) -> Statement | None:
    """Return the statement of :func:`add` for the change of a few lanes, or None if there is none."""
    rows = sorted(_rows(part, change))
    return accumulation(placeholder, total, _KEYS, _NUMBERS, rows) if rows else None


def _rows(part: str, change: Change) -> list[tuple[Any, ...]]:
    return [
        (hook, receiver, part, *(numbers[name] for name in _NUMBERS))
        for (hook, receiver), numbers in change.numbers.items()
        if any(numbers.values())
    ]


def count_all(database: Database, connection: sa.Connection) -> None:
    """Count everything for the first time, in the transaction that makes the table."""
    change, _ = _difference(connection)
    add(database, connection, "", change)


def done_receipts(connection: sa.Connection, condition: Any) -> list[tuple[str, str, int]]:
    """Return how many of the receipts for which a condition is true are done, by hook and receiver."""
    query = (
        sa.select(receipt.c.hook, receipt.c.receiver, sa.func.count())
        .where(condition, receipt.c.state == DONE)
        .group_by(receipt.c.hook, receipt.c.receiver)
    )
    return [(hook, name, number) for hook, name, number in connection.execute(query)]


def _difference(
    connection: sa.Connection,
) -> tuple[Change, dict[tuple[str, str], tuple[int, int]]]:
    """Look at everything; return what the totals lack, and those of no worker as they were at that moment."""
    nobody, nothing = sa.literal("").label("receiver"), sa.literal(0)
    kept = sa.select(
        total.c.hook,
        total.c.receiver,
        sa.case((total.c.part == "", 1), else_=0),
        total.c.events,
        total.c.receipts,
    )
    # One statement, so that all of it is of the same moment on PostgreSQL, too.
    query = sa.union_all(
        kept,
        sa.select(event.c.hook, nobody, sa.literal(2), sa.func.count(), nothing)
        .where(event.c.state == DONE)
        .group_by(event.c.hook),
        sa.select(receipt.c.hook, receipt.c.receiver, sa.literal(2), nothing, sa.func.count())
        .where(receipt.c.state == DONE)
        .group_by(receipt.c.hook, receipt.c.receiver),
    )
    events: Counter[str] = Counter()
    receipts: Counter[tuple[str, str]] = Counter()
    of_nobody: dict[tuple[str, str], tuple[int, int]] = {}
    for hook, receiver, kind, some_events, some_receipts in connection.execute(query):
        sign = 1 if kind == _COUNTED else -1
        events[hook] += sign * some_events
        receipts[hook, receiver] += sign * some_receipts
        if kind == _OF_NOBODY:
            of_nobody[hook, receiver] = some_events, some_receipts
    change = Change()
    for hook, number in events.items():
        if number:
            change.add(hook, "", events=number)
    for (hook, receiver), number in receipts.items():
        if number:
            change.add(hook, receiver, receipts=number)
    return change, of_nobody


_COUNTED: Final = 2
_OF_NOBODY: Final = 1
