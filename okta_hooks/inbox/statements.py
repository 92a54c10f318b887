"""Parts of statements that several modules need."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from .tables import CLAIMED, DEAD, DONE, PENDING, event, receipt

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .database import Database, Row, Statement

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
        closing = close_statement(database, ids[start : start + _ROWS_AT_ONCE])
        found.update(map(tuple, connection.exec_driver_sql(*closing)))
    return found


def lock_statement(database: Database, ids: Sequence[int]) -> Statement:
    """Return what :func:`lock_events` does on PostgreSQL."""
    among, parameters = database.among(ids)
    return _LOCK.format(among=among), parameters


def close_statement(database: Database, ids: Sequence[int]) -> Statement:
    """Return what :func:`close_events` does: the rows are ids and states."""
    # Not through SQLAlchemy, which takes longer over it than the database.
    among, parameters = database.among(ids)
    return _CLOSE.format(among=among), parameters


def values(
    placeholder: str,
    columns: Sequence[sa.Column[Any]],
    rows: Sequence[Row],
    *,
    skip_known: bool = False,
) -> Statement:
    """Return what inserts some rows, with a parameter for each value.

    :param skip_known: Leave out rows whose keys are there already, instead of failing.
    """
    names = ", ".join(column.name for column in columns)
    one = f"({', '.join([placeholder] * len(columns))})"
    many = ", ".join([one] * len(rows))
    ending = " ON CONFLICT DO NOTHING" if skip_known else ""
    statement = f"INSERT INTO {columns[0].table.name} ({names}) VALUES {many}{ending}"  # noqa: S608 - our own names
    return statement, tuple(chain.from_iterable(rows))


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
    ordered = sorted(rows)
    for start in range(0, len(ordered), _ROWS_AT_ONCE):
        some = ordered[start : start + _ROWS_AT_ONCE]
        connection.exec_driver_sql(*accumulation(database.placeholder, table, keys, numbers, some))


def accumulation(
    placeholder: str,
    table: sa.Table,
    keys: Sequence[str],
    numbers: Sequence[str],
    rows: Sequence[tuple[Any, ...]],
) -> Statement:
    """Return the statement of :func:`accumulate` for some rows, in their order."""
    columns = [table.c[name] for name in (*keys, *numbers)]
    text, parameters = values(placeholder, columns, rows)
    adding = ", ".join(f"{name} = {table.name}.{name} + excluded.{name}" for name in numbers)
    return f"{text} ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {adding}", parameters


_LOCK: Final = "SELECT id FROM okta_hooks_event WHERE id {among} ORDER BY id FOR UPDATE"
_HAS: Final = (
    "EXISTS (SELECT 1 FROM okta_hooks_receipt r WHERE r.event_id = okta_hooks_event.id AND r.state "
)
_CLOSE: Final = (
    f"UPDATE okta_hooks_event SET state = CASE WHEN {_HAS} = '{DEAD}') THEN '{DEAD}' ELSE '{DONE}' END"  # noqa: S608 - our own names
    f" WHERE id {{among}} AND state = '{CLAIMED}' AND NOT {_HAS} IN ('{PENDING}', '{CLAIMED}'))"
    " RETURNING id, state"
)
