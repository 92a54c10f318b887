"""What would keep stored events from their receivers: a look for it, and the repair."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Self

import sqlalchemy as sa

from . import totals
from .statements import HAS_DEAD, IDS, has_open, lock_events
from .tables import CLAIMED, DEAD, DONE, PENDING, attempt, event, lane, receipt
from .totals import Change, done_receipts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .database import Database

_BATCH: Final = 500
#: For one batch. Other writers wait meanwhile, but on SQLite only.
_SECONDS: Final = 30.0
#: How many rows each look of :meth:`Consistency.check` goes through at most.
_MOST_LOOKED_AT: Final = 10_000
#: A hook whose receivers have been watched so long without being connected is one that nobody has, in seconds.
_SECONDS_TO_MISS: Final = 24 * 3600.0
#: By how many seconds the clocks of hosts may differ without a receipt being due too late.
_TOLERANCE: Final = 60.0


class Kind(StrEnum):
    """What an :class:`Inconsistency` is; ``description`` says it to people."""

    description: str

    def __new__(cls, token: str, description: str) -> Self:
        """Make a member of a token that programs compare, and of what people read."""
        member = str.__new__(cls, token)
        member._value_ = token
        member.description = description
        return member

    NO_OPEN_RECEIPT = "no_open_receipt", "claimed event without an open receipt"
    DUE_TOO_LATE = "due_too_late", "receipt that is due later than it was to wait"
    NO_EVENT = "no_event", "receipt without its event"
    UNKNOWN_HOOK = "unknown_hook", "pending event of a hook that no app has"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inconsistency:
    """Something that normal operation does not leave in the inbox: a fault, a repair by hand, or a set clock did.

    ``number`` is of events or receipts; ``repaired`` is whether it has been put right.
    """

    kind: Kind
    hook: str
    number: int
    repaired: bool


class Consistency:
    """Looks for what normal operation does not leave in the inbox, and puts right what it can, in small batches.

    What it changes it looks at again in the transaction that changes it: another may have changed it since.

    Its methods raise :exc:`InboxUnavailable` if the database does not do what it is asked.

    :param clock: Returns the time, in seconds since the epoch.
    """

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def check(
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
            (Kind.NO_OPEN_RECEIPT, _unheld_events(), self._repair_events, True),
            (
                Kind.DUE_TOO_LATE,
                _late_receipts(now, longest_wait),
                _bring_forward(now, longest_wait),
                True,
            ),
            (Kind.NO_EVENT, _stray_receipts(), self._delete_receipts, True),
            (Kind.UNKNOWN_HOOK, _foreign_events(hooks), None, False),
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
        change = Change()
        for row in connection.execute(_REOPEN_OR_CLOSE, {"ids": ids}):
            if row.state == DONE:
                change.add(row.hook, "", events=1)
        totals.add(self._database, connection, "", change)

    def _delete_receipts(self, connection: sa.Connection, rows: Sequence[Any]) -> None:
        ids = [row.event_id for row in rows]
        strays = receipt.c.event_id.in_(ids) & ~sa.exists().where(event.c.id == receipt.c.event_id)
        change = Change()
        for hook, receiver, number in done_receipts(connection, strays):
            change.add(hook, receiver, receipts=-number)
        connection.execute(attempt.delete().where(attempt.c.event_id.in_(ids), ~_HAS_EVENT))
        connection.execute(receipt.delete().where(strays))
        totals.add(self._database, connection, "", change)


def _oldest(state: str) -> sa.Subquery:
    """Select as many events in a state as one look may take."""
    return (
        sa.select(event.c.id, event.c.hook)
        .where(event.c.state == state)
        .order_by(event.c.id)
        .limit(_MOST_LOOKED_AT)
        .subquery()
    )


def _unheld_events() -> Any:
    looked_at = _oldest(CLAIMED)
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


def _foreign_events(hooks: Sequence[str]) -> Any:
    looked_at = _oldest(PENDING)
    # Another app may use the same inbox.
    is_elsewhere = sa.exists().where(
        lane.c.hook == looked_at.c.hook, sa.func.coalesce(lane.c.unseen, 0.0) < _SECONDS_TO_MISS
    )
    return sa.select(looked_at).where(looked_at.c.hook.not_in(hooks), ~is_elsewhere).limit(_BATCH)


_HAS_EVENT: Final = sa.exists().where(event.c.id == attempt.c.event_id)
_HAS_ANY: Final = sa.exists().where(receipt.c.event_id == event.c.id)
#: An event without any receipt is pending again, so that its receivers are decided on.
_REOPEN_OR_CLOSE: Final = (
    event.update()
    .where(event.c.id.in_(IDS), event.c.state == CLAIMED, ~has_open(event.c.id))
    .values(state=sa.case((HAS_DEAD, DEAD), (_HAS_ANY, DONE), else_=PENDING))
    .returning(event.c.hook, event.c.state)
)
