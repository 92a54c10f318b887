"""The database under the inbox: its transactions, and what SQLite and PostgreSQL need set."""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager, nullcontext
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects import sqlite as sqlite_dialect

from okta_hooks.exceptions import InboxUnavailable

from . import sqlite
from .tables import SCHEMA_VERSION, meta, metadata

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    _Row: TypeAlias = tuple[Any, ...]

logger = logging.getLogger(__name__)

_ROWS_AT_ONCE: Final = 1000
_POSTGRESQL: Final[Mapping[str, Any]] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
#: Any number: who creates tables in the same database holds the lock of this one meanwhile.
_ADVISORY_LOCK: Final = 0x0C7A_400C


class Database:
    """One database: opened when it is first used, safe for threads, not for forks.

    :param url: An SQLAlchemy URL of SQLite (a file) or PostgreSQL (psycopg 3).
    :param folder: Where a relative path of an SQLite file begins.
    :raises InboxUnavailable: if the URL cannot be understood, or its driver is not installed.
    """

    def __init__(self, url: str, folder: str) -> None:
        try:
            self.url = _located(sa.make_url(url), folder)
            self._engine = _engine(self.url)
        except ImportError as error:
            raise InboxUnavailable(
                f"{error}: for PostgreSQL, pip install 'okta-hooks[postgresql]'"
            ) from error
        except (sa.exc.ArgumentError, ValueError):
            # `from None`, and no word of it: a password may stand where a port should.
            raise InboxUnavailable("OKTA_HOOKS_INBOX is no URL of a database") from None
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        #: The dialect's INSERT, which can tell what to do on a conflict.
        self.insert: Any = sqlite_dialect.insert if self.is_sqlite else postgresql.insert
        self._queue = sqlite.write_queue(Path(f"{self.path}.turn")) if self.is_sqlite else None
        self._opening = threading.Lock()
        self._is_open = False
        #: Changes when another file takes the place of the one that was opened: ids begin anew.
        self.generation = 0
        self._opened_inode: int | None = None

    @property
    def path(self) -> Path | None:
        """The file, if it is SQLite."""
        return Path(str(self.url.database)) if self.is_sqlite else None

    def close(self) -> None:
        """Close the connections. The database opens again when it is used again."""
        self._engine.dispose()
        self._is_open = False

    def _create_tables(self) -> None:
        """Create what is missing: tables, and columns and indexes that a newer version has added."""
        with self._engine.begin() as connection:
            if not self.is_sqlite:
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
            inspector = sa.inspect(connection)
            present = set(inspector.get_table_names())
            if meta.name in present:
                version = connection.scalar(sa.select(sa.func.max(meta.c.schema_version)))
                if version is not None and version >= SCHEMA_VERSION:
                    return
            for table in metadata.sorted_tables:
                if table.name in present:
                    self._add_missing(connection, inspector, table)
            metadata.create_all(connection)
            connection.execute(meta.delete())
            connection.execute(meta.insert().values(schema_version=SCHEMA_VERSION))

    def _add_missing(self, connection: sa.Connection, inspector: Any, table: sa.Table) -> None:
        there = {column["name"] for column in inspector.get_columns(table.name)}
        for column in table.columns:
            if column.name not in there:
                definition = sa.schema.CreateColumn(column).compile(dialect=connection.dialect)
                connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {definition}")
        indexed = {index["name"] for index in inspector.get_indexes(table.name)}
        for index in table.indexes:
            if index.name not in indexed:
                index.create(connection)

    def open(self) -> None:
        """Connect, and create the tables if they are not there. Any use of the inbox does this.

        :raises InboxUnavailable: if the database cannot be reached or written.
        """
        if self._is_open and not self._is_moved():
            return
        with self._opening:
            if self._is_open and self._is_moved():
                logger.error("The inbox %s was moved or deleted: a new one is made.", self.path)
                self.close()
                self.generation += 1
            if not self._is_open:
                self._prepare()
            self._is_open = True

    def _is_moved(self) -> bool:
        """Return whether the file is another than the one that was opened, or none.

        SQLite would go on writing to what nobody can find any more.
        """
        return self.path is not None and sqlite.inode(self.path) != self._opened_inode

    def _prepare(self) -> None:
        with _translated():
            if self.path is not None:
                sqlite.create_file(self.path)
                self._opened_inode = sqlite.inode(self.path)
            self._create_tables()
        logger.info("The inbox is %s.", self.url.set(query={}).render_as_string(hide_password=True))
        if self.path is not None and (kind := sqlite.file_system(self.path)) in sqlite.EPHEMERAL:
            logger.warning(
                "The inbox %s lies on a file system (%s) that may not survive a restart: "
                "put it on a disk or a volume, or events will be lost.",
                self.path,
                kind,
            )

    def add(
        self,
        connection: sa.Connection,
        columns: Sequence[sa.Column[Any]],
        rows: Sequence[_Row],
        *,
        skip_known: bool = False,
    ) -> int:
        """Insert rows, many with one statement; return how many were inserted.

        A driver releases Python's global lock at each statement, and waits for it again at its end.
        In a server with busy threads that takes up to 5 ms each time, so a statement for each row,
        or a fetch for each row that comes back, takes many times as long as one for all of them.

        :param skip_known: Leave out rows whose keys are there already, instead of failing.
        """
        table = columns[0].table.name
        names = ", ".join(column.name for column in columns)
        one = f"({', '.join(['?' if self.is_sqlite else '%s'] * len(columns))})"
        ending = " ON CONFLICT DO NOTHING" if skip_known else ""
        inserted = 0
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            some = rows[start : start + _ROWS_AT_ONCE]
            values = ", ".join([one] * len(some))
            statement = f"INSERT INTO {table} ({names}) VALUES {values}{ending}"  # noqa: S608 - our own names
            parameters = tuple(chain.from_iterable(some))
            inserted += connection.exec_driver_sql(statement, parameters).rowcount
        return inserted

    def next_ids(self, connection: sa.Connection, table: sa.Table, number: int) -> Sequence[int]:
        """Return ids that no row of a table has had or will get, for rows to be inserted with them."""
        if self.is_sqlite:  # nobody else writes during this transaction
            # As SQLite does: what was repaired by hand may have lost its sequence.
            statement = (
                "SELECT max(id) FROM (SELECT seq AS id FROM sqlite_sequence WHERE name = ?"  # noqa: S608 - our own names
                f" UNION ALL SELECT max(id) FROM {table.name})"
            )
            last = connection.exec_driver_sql(statement, (table.name,)).scalar() or 0
            return range(last + 1, last + 1 + number)
        statement = "SELECT nextval(pg_get_serial_sequence(%s, 'id')) FROM generate_series(1, %s)"
        return connection.exec_driver_sql(statement, (table.name, number)).scalars().all()

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """Begin a transaction that writes; it is committed at the end.

        :raises InboxUnavailable: if the database does not do what it is asked.
        """
        if not self._is_open:
            self.open()
        with _translated(), self._queue.turn() if self._queue else nullcontext():
            # Again: while this waited, the file may have been replaced.
            self.open()
            with self._engine.begin() as connection:
                yield connection

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Begin a transaction that only reads, and waits for no writer.

        :raises InboxUnavailable: if the database does not do what it is asked.
        """
        self.open()
        with _translated(), self._engine.connect() as connection:
            yield connection.execution_options(okta_hooks_reads=True)


def _located(url: sa.URL, folder: str) -> sa.URL:
    if url.get_backend_name() == "sqlite":
        return url.set(database=str(Path(folder, str(url.database)).resolve()))
    # SQLAlchemy 2.0 and 2.1 mean different drivers by the bare name.
    return url.set(drivername="postgresql+psycopg")


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sa.exc.DBAPIError as error:
        raise InboxUnavailable(
            str(error.orig).partition("\n")[0],
            is_transient=isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError),
            connection_lost=error.connection_invalidated,
        ) from error
    except (sa.exc.SQLAlchemyError, OSError) as error:
        raise InboxUnavailable(str(error)) from error


def _engine(url: sa.URL) -> sa.Engine:
    if url.get_backend_name() != "sqlite":
        return sa.create_engine(
            url,
            connect_args={name: url.query.get(name, value) for name, value in _POSTGRESQL.items()},
            pool_pre_ping=True,
            pool_size=20,
            max_overflow=-1,
            hide_parameters=True,
        )
    engine = sa.create_engine(
        url,
        connect_args={"timeout": sqlite.PATIENCE},
        pool_size=20,
        max_overflow=-1,
        hide_parameters=True,
    )
    sa.event.listen(engine, "connect", sqlite.prepare)
    sa.event.listen(engine, "begin", sqlite.begin)
    return engine
