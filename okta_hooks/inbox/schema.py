"""The tables of the inbox in a database: whether they are there, and making what is missing of them."""

from __future__ import annotations

import sqlalchemy as sa

from .keys import index_by_time
from .tables import (
    AUTOINCREMENT,
    SCHEMA_VERSION,
    WHERE,
    attempt_hour,
    event,
    meta,
    metadata,
    total,
)


def described(*dialects: str) -> sa.MetaData:
    """Return a copy of the tables that has what their `info` says in the words of some dialects."""
    found = sa.MetaData()
    for table in metadata.sorted_tables:
        copy = table.to_metadata(found)
        if "sqlite" in dialects and AUTOINCREMENT in table.info:
            copy.dialect_kwargs["sqlite_autoincrement"] = True
        rows = {index.name: index.info[WHERE] for index in table.indexes if WHERE in index.info}
        for index in copy.indexes:
            if index.name in rows:
                index.dialect_kwargs.update(
                    {f"{name}_where": rows[index.name] for name in dialects}
                )
    return found


def is_current(connection: sa.Connection) -> bool:
    """Return whether all that this version needs is there."""
    return _is_current(connection, sa.inspect(connection))


def create(connection: sa.Connection) -> bool:
    """Create what is missing: tables, and columns and indexes that a newer version has added.

    :return: whether there was an inbox of an earlier version, so that what is done has to be counted.
    """
    inspector = sa.inspect(connection)
    if _is_current(connection, inspector):
        return False
    present = set(inspector.get_table_names())
    tables = described(connection.dialect.name)
    for table in tables.sorted_tables:
        if table.name in present:
            _add_missing(connection, inspector, table)
    if event.name not in present:
        index_by_time(tables.tables[event.name])
    tables.create_all(connection)
    if total.name in present and attempt_hour.name not in present:
        _note_attempts(connection)
    connection.execute(meta.delete())
    connection.execute(meta.insert().values(schema_version=SCHEMA_VERSION))
    return event.name in present and total.name not in present


def _note_attempts(connection: sa.Connection) -> None:
    """Note what had been attempted before it was written down by hours: it belongs to none of them."""
    keys = ("hook", "receiver")
    numbers = [c.name for c in attempt_hour.c if not c.primary_key]
    before = (
        sa.select(
            sa.literal(0),
            *(total.c[name] for name in keys),
            *(sa.func.sum(total.c[name]) for name in numbers),
        )
        .where(total.c.receiver != "")
        .group_by(*(total.c[name] for name in keys))
    )
    connection.execute(attempt_hour.insert().from_select(["hour", *keys, *numbers], before))


def _is_current(connection: sa.Connection, inspector: sa.Inspector) -> bool:
    if not inspector.has_table(meta.name):
        return False
    version = connection.scalar(sa.select(sa.func.max(meta.c.schema_version)))
    return version is not None and version >= SCHEMA_VERSION


def _add_missing(connection: sa.Connection, inspector: sa.Inspector, table: sa.Table) -> None:
    there = {column["name"] for column in inspector.get_columns(table.name)}
    for column in table.columns:
        if column.name not in there:
            definition = sa.schema.CreateColumn(column).compile(dialect=connection.dialect)
            connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {definition}")
    indexed = _indexes(connection, inspector, table)
    for index in table.indexes:
        if index.name not in indexed:
            index.create(connection)


def _indexes(
    connection: sa.Connection, inspector: sa.Inspector, table: sa.Table
) -> set[str | None]:
    if connection.dialect.name == "sqlite":
        # The inspector warns of an index that has an expression, and leaves it out.
        names = sa.text("SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = :table")
        return set(connection.scalars(names, {"table": table.name}))
    return {index["name"] for index in inspector.get_indexes(table.name)}
