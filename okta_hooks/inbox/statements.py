"""Parts of statements that several modules need."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from .tables import CLAIMED, DEAD, DONE, PENDING, event, receipt

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .database import Database

_ROWS_AT_ONCE: Final = 1000
#: The ids of the events that a statement is about.
IDS: Final[Any] = sa.bindparam("ids", expanding=True)
#: Of the events of a statement, those with a dead receipt.
HAS_DEAD: Final = sa.exists().where(receipt.c.event_id == event.c.id, receipt.c.state == DEAD)
_LOCK_EVENTS: Final = (
    sa.select(event.c.id).where(event.c.id.in_(IDS)).order_by(event.c.id).with_for_update()
)


def has_open(event_id: sa.ColumnElement[int]) -> sa.Exists:
    """Return the condition that an event has a receipt which is neither done nor dead."""
    is_open = receipt.c.state.in_([PENDING, CLAIMED])
    return sa.exists().where(receipt.c.event_id == event_id, is_open)


def lock_events(database: Database, connection: sa.Connection, ids: Sequence[int]) -> None:
    """Let nobody else change these events until the end of the transaction."""
    database.lock_rows(connection, _LOCK_EVENTS, {"ids": ids})


def close_events(
    database: Database, connection: sa.Connection, ids: Sequence[int]
) -> dict[int, str]:
    """Close those of the events that have no open receipt, and return their states by id."""
    if not ids:
        return {}
    # Without this lock, two workers that settle the last two receipts each see the other's open.
    lock_events(database, connection, ids)
    found: dict[int, str] = {}
    for start in range(0, len(ids), _ROWS_AT_ONCE):
        some = ids[start : start + _ROWS_AT_ONCE]
        # Not through SQLAlchemy, which takes longer over it than the database.
        statement = _CLOSE.format(ids=", ".join([database.placeholder] * len(some)))
        found.update(map(tuple, connection.exec_driver_sql(statement, tuple(some))))
    return found


def accumulate(
    database: Database,
    connection: sa.Connection,
    table: sa.Table,
    keys: Sequence[str],
    numbers: Sequence[str],
    rows: Iterable[tuple[Any, ...]],
) -> None:
    """Add numbers to those of the rows with the same keys, and insert the rows that are not there.

    It should be the last statement of a transaction: others wait for the rows. All lock them in the same order.

    :param rows: The values of keys and numbers, in that order.
    """
    columns = (*keys, *numbers)
    one = f"({', '.join([database.placeholder] * len(columns))})"
    adding = ", ".join(f"{name} = {table.name}.{name} + excluded.{name}" for name in numbers)
    ordered = sorted(rows)
    for start in range(0, len(ordered), _ROWS_AT_ONCE):
        some = ordered[start : start + _ROWS_AT_ONCE]
        values = ", ".join([one] * len(some))
        statement = (
            f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES {values}"  # noqa: S608 - our own names
            f" ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {adding}"
        )
        connection.exec_driver_sql(statement, tuple(chain.from_iterable(some)))


_HAS: Final = (
    "EXISTS (SELECT 1 FROM okta_hooks_receipt r WHERE r.event_id = okta_hooks_event.id AND r.state "
)
_CLOSE: Final = (
    f"UPDATE okta_hooks_event SET state = CASE WHEN {_HAS} = '{DEAD}') THEN '{DEAD}' ELSE '{DONE}' END"  # noqa: S608 - our own names
    f" WHERE id IN ({{ids}}) AND state = '{CLAIMED}' AND NOT {_HAS} IN ('{PENDING}', '{CLAIMED}'))"
    " RETURNING id, state"
)
