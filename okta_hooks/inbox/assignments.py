"""From stored events to receipts: which receivers an event has is written down once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import sqlalchemy as sa

from . import totals
from .tables import CLAIMED, DEAD, DONE, PENDING, event, receipt
from .totals import Change

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .database import Database

_BATCH: Final = 500
#: SQLite allows 500 parts of one statement.
_HOOKS_AT_ONCE: Final = 100
_ORDINALS: Final = 2**20
#: The lowest ``due`` that a receipt can have: see :func:`_due_at_once`.
EARLIEST: Final = -(2.0**53)


class Unassigned(NamedTuple):
    """An event of which nobody has decided yet which receivers it has.

    ``type`` is None if no column can hold it, ``readings`` how often its body was about to be read for that.
    """

    event_id: int
    delivery_id: int
    ordinal: int
    hook: str
    type: str | None
    readings: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """Which receivers an event has; or, in ``reason``, why it cannot be read."""

    event: Unassigned
    receivers: tuple[str, ...] = ()
    reason: str | None = None


class Assignments:
    """Gives events their receipts. Which receivers an event has is decided elsewhere, and before.

    Its methods raise :exc:`InboxUnavailable` if the database does not do what it is asked.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def unassigned(self, hooks: Sequence[str], *, limit: int = _BATCH) -> list[Unassigned]:
        """Return events of hooks that have no receipts yet, oldest first."""
        found: list[Unassigned] = []
        with self._database.reading() as connection:
            for start in range(0, len(hooks), _HOOKS_AT_ONCE):
                of_each = [_oldest(hook, limit) for hook in hooks[start : start + _HOOKS_AT_ONCE]]
                rows = connection.execute(sa.union_all(*of_each))
                found += [Unassigned(*row) for row in rows]
        return sorted(found)[:limit]

    def count_readings(self, event_ids: Sequence[int]) -> dict[int, int]:
        """Note that the bodies of unassigned events are about to be read, which may be what kills the process.

        :return: how often each has been; those that somebody else has assigned are not among them.
        """
        counted = (
            event.update()
            .where(event.c.id.in_(event_ids), event.c.state == PENDING)
            .values(readings=sa.func.coalesce(event.c.readings, 0) + 1)
            .returning(event.c.id, event.c.readings)
        )
        with self._database.transaction() as connection:
            return {row.id: row.readings for row in connection.execute(counted)}

    def assign(self, assignments: Sequence[Assignment], worker_id: str = "") -> list[Assignment]:
        """Give events a receipt for each receiver that is to have them.

        An event that no receiver is to have is done, one that cannot be read is dead.

        :param worker_id: The worker that counts what is done by that.
        :return: those that counted: the others were assigned by another worker meanwhile.
        """
        if not assignments:
            return []
        ids = [item.event.event_id for item in assignments]
        rows = {item.event.event_id: _receipts(item) for item in assignments}
        waiting = sa.select(event.c.id).where(
            event.c.state == PENDING, event.c.id.between(min(ids), max(ids))
        )
        with self._database.transaction() as connection:
            still = set(connection.scalars(waiting.with_for_update(skip_locked=True)))
            counted = [item for item in assignments if item.event.event_id in still]
            receipts = [row for item in counted for row in rows[item.event.event_id]]
            self._database.add(connection, _STORED_OF_RECEIPT, receipts, skip_known=True)
            becomes: dict[tuple[str, str | None], list[int]] = {}
            for item in counted:
                open_or_done = CLAIMED if item.receivers else DONE
                state = open_or_done if item.reason is None else DEAD
                becomes.setdefault((state, item.reason), []).append(item.event.event_id)
            for (state, reason), of_these in becomes.items():
                chosen = event.update().where(event.c.id.in_(of_these))
                connection.execute(chosen.values(state=state, reason=reason))
            change = Change()
            for item in counted:
                if item.reason is None and not item.receivers:
                    change.add(item.event.hook, "", events=1)
            totals.add(self._database, connection, worker_id, change)
        return counted


def _oldest(hook: str, limit: int) -> sa.Select[Any]:
    """Select the oldest unassigned events of one hook.

    One look into an index: with several hooks in one condition, either all their events would be sorted,
    or those of every other hook gone through.
    """
    of_hook = (
        sa.select(
            event.c.id,
            event.c.delivery_id,
            event.c.ordinal,
            event.c.hook,
            event.c.type,
            sa.func.coalesce(event.c.readings, 0),
        )
        .where(event.c.state == PENDING, event.c.hook == hook)
        .order_by(event.c.id)
        .limit(limit)
    )
    return sa.select(of_hook.subquery())


def _receipts(of: Assignment) -> list[tuple[Any, ...]]:
    """Return the rows of the receipts that an event is to have."""
    event_id, hook, due = of.event.event_id, of.event.hook, _due_at_once(of.event)
    return [(event_id, name, hook, PENDING, due, 0, 0) for name in of.receivers]


def _due_at_once(of: Unassigned) -> float:
    """Return a negative ``due``, which is due whatever the clock says and sorts by delivery and ordinal.

    A double holds these numbers exactly.
    """
    order = of.delivery_id * _ORDINALS + min(of.ordinal, _ORDINALS - 1)
    return float(min(EARLIEST + order, -1))


_STORED_OF_RECEIPT: Final = (
    receipt.c.event_id,
    receipt.c.receiver,
    receipt.c.hook,
    receipt.c.state,
    receipt.c.due,
    receipt.c.attempts,
    receipt.c.claims,
)
