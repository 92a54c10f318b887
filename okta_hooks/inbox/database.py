"""The database under the inbox: its tables, its transactions, and what SQLite and PostgreSQL need set.

Times are seconds since the epoch, bodies are text exactly as received: a `jsonb` column would refuse some.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import sqlite3
import threading
import time
from contextlib import contextmanager, nullcontext
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from weakref import WeakValueDictionary

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects import sqlite as sqlite_dialect

from okta_hooks.exceptions import InboxUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    _Row: TypeAlias = tuple[Any, ...]

logger = logging.getLogger(__name__)

SCHEMA_VERSION: Final = 2
PENDING: Final = "pending"
CLAIMED: Final = "claimed"
DONE: Final = "done"
DEAD: Final = "dead"

_SQLITE_PATIENCE: Final = 5.0
_TURN_PATIENCE: Final = 2.0
_TURN_LOOK: Final = 0.0005
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
#: File systems that may be gone after a restart.
EPHEMERAL: Final = frozenset({"tmpfs", "ramfs", "overlay"})

metadata = sa.MetaData()
_BigId = sa.BigInteger().with_variant(sa.Integer, "sqlite")

delivery = sa.Table(
    "okta_hooks_delivery",
    metadata,
    sa.Column("id", _BigId, primary_key=True),
    sa.Column("hook", sa.Text, nullable=False),
    sa.Column("via", sa.Text, nullable=False),
    sa.Column("event_id", sa.Text),
    sa.Column("source", sa.Text),
    sa.Column("secret", sa.Integer),
    sa.Column("secret_list", sa.Integer),
    sa.Column("body", sa.Text),
    sa.Column("received_at", sa.Double, nullable=False),
    sqlite_autoincrement=True,  # an id never comes back
)
sa.Index(
    "okta_hooks_delivery_body",
    delivery.c.received_at,
    sqlite_where=delivery.c.body.is_not(None),
    postgresql_where=delivery.c.body.is_not(None),
)
sa.Index("okta_hooks_delivery_received", delivery.c.received_at)

event = sa.Table(
    "okta_hooks_event",
    metadata,
    sa.Column("id", _BigId, primary_key=True),
    sa.Column("delivery_id", _BigId, nullable=False, index=True),
    sa.Column("ordinal", sa.Integer, nullable=False),
    sa.Column("hook", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("type", sa.Text),
    sa.Column("published", sa.Double),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reason", sa.Text),
    sa.UniqueConstraint("hook", "key", name="okta_hooks_event_key"),
    sqlite_autoincrement=True,
)
for _state in (PENDING, CLAIMED, DEAD):
    sa.Index(
        f"okta_hooks_event_{_state}",
        event.c.id,
        sqlite_where=event.c.state == _state,
        postgresql_where=event.c.state == _state,
    )

receipt = sa.Table(
    "okta_hooks_receipt",
    metadata,
    sa.Column("event_id", _BigId, primary_key=True, autoincrement=False),
    sa.Column("receiver", sa.Text, primary_key=True),
    sa.Column("hook", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("due", sa.Double, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("claims", sa.Integer, nullable=False),
    sa.Column("worker", sa.Text),
    sa.Column("error", sa.Text),
)
sa.Index(
    "okta_hooks_receipt_due",
    receipt.c.hook,
    receipt.c.receiver,
    receipt.c.due,
    receipt.c.event_id,
    sqlite_where=receipt.c.state == PENDING,
    postgresql_where=receipt.c.state == PENDING,
)
sa.Index(
    "okta_hooks_receipt_worker",
    receipt.c.worker,
    sqlite_where=receipt.c.state == CLAIMED,
    postgresql_where=receipt.c.state == CLAIMED,
)

worker = sa.Table(
    "okta_hooks_worker",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("alive_until", sa.Double, nullable=False),
)
lane = sa.Table(
    "okta_hooks_lane",
    metadata,
    sa.Column("hook", sa.Text, primary_key=True),
    sa.Column("receiver", sa.Text, primary_key=True),
    sa.Column("seen_at", sa.Double, nullable=False),
)
cursor = sa.Table(
    "okta_hooks_cursor",
    metadata,
    sa.Column("org", sa.Text, primary_key=True),
    sa.Column("next_url", sa.Text, nullable=False),
    sa.Column("reached_at", sa.Double),
)
meta = sa.Table(
    "okta_hooks_meta",
    metadata,
    sa.Column("schema_version", sa.Integer, primary_key=True, autoincrement=False),
)


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
        self._turn = _turn_at(Path(f"{self.path}.turn")) if self.is_sqlite else None
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
        return self.path is not None and _inode(self.path) != self._opened_inode

    def _prepare(self) -> None:
        with _translated():
            if self.path is not None:
                _create_file(self.path)
                self._opened_inode = _inode(self.path)
            self._create_tables()
        logger.info("The inbox is %s.", self.url.set(query={}).render_as_string(hide_password=True))
        if self.path is not None and (kind := file_system(self.path)) in EPHEMERAL:
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

        After each step of the driver another thread may have the interpreter for milliseconds:
        a step for each row, or for each row that comes back, takes many times as long in a busy server.

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
            statement = f"INSERT INTO {table} ({names}) VALUES {values}{ending}"  # noqa: S608
            parameters = tuple(chain.from_iterable(some))
            inserted += connection.exec_driver_sql(statement, parameters).rowcount
        return inserted

    def next_ids(self, connection: sa.Connection, table: sa.Table, number: int) -> Sequence[int]:
        """Return ids that no row of a table has had or will get, for rows to be inserted with them."""
        if self.is_sqlite:  # nobody else writes during this transaction
            # As SQLite does: what was repaired by hand may have lost its sequence.
            statement = (
                "SELECT max(id) FROM (SELECT seq AS id FROM sqlite_sequence WHERE name = ?"  # noqa: S608
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
        with _translated(), self._turn.taken() if self._turn else nullcontext():
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


class _Turn:
    """Lets who wants to write to an SQLite file queue: threads at a lock, processes at the lock of a file.

    SQLite itself makes them sleep, up to 0.1 s at a time, and who comes back first wins:
    beside a busy process that took seconds. It still guards the data; this only says whose turn it is.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None
        self._among_threads = threading.Lock()

    def __del__(self) -> None:
        if self._file is not None:
            os.close(self._file)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Wait for the turn, but not for ever: who has it may have been stopped. SQLite is next to be asked."""
        give_up_at = time.monotonic() + _TURN_PATIENCE
        is_taken = self._among_threads.acquire(timeout=_TURN_PATIENCE)
        try:
            if is_taken:
                self._lock(give_up_at)
            yield
        finally:
            if is_taken:
                self._unlock()
                self._among_threads.release()

    def _lock(self, give_up_at: float) -> None:
        try:
            # lockf's, as a lease's: the system drops it when this process dies, whatever its children do.
            if self._file is None:
                self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            # Not waiting in the system: under gevent that would stop every greenlet.
            while not _is_locked(self._file) and time.monotonic() < give_up_at:
                time.sleep(_TURN_LOOK)
        except OSError:
            logger.debug("No turns are taken at %s.", self._path, exc_info=True)

    def _unlock(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                fcntl.lockf(self._file, fcntl.LOCK_UN)


def _is_locked(file: int) -> bool:
    """Try to lock a file; return whether this process has the lock now."""
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


#: One for each file in a process: closing a file drops every lock that the process has on it.
#: By the process, because a child must not wait for a thread that it does not have.
_turns: WeakValueDictionary[tuple[int, Path], _Turn] = WeakValueDictionary()


def _turn_at(path: Path) -> _Turn:
    return _turns.setdefault((os.getpid(), path), _Turn(path))


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
        connect_args={"timeout": _SQLITE_PATIENCE},
        pool_size=20,
        max_overflow=-1,
        hide_parameters=True,
    )
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _: object) -> None:
    # The driver would begin transactions by itself, and too late.
    connection.isolation_level = None
    give_up_at = time.monotonic() + _SQLITE_PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            break
        except sqlite3.OperationalError:
            # Of two that open a new file at once, SQLite refuses one here without waiting.
            if time.monotonic() > give_up_at:
                raise
            time.sleep(0.01)
    connection.execute("PRAGMA synchronous = FULL")


def _begin_sqlite(connection: sa.Connection) -> None:
    # A transaction that reads first and writes then fails at once when another has written meanwhile.
    reads = connection.get_execution_options().get("okta_hooks_reads")
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _create_file(path: Path) -> None:
    """Create the file for its owner alone: SQLite gives its companions the same mode."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Never open a file that is there: closing it would drop every lock that SQLite has on it in this process.
    # https://www.sqlite.org/howtocorrupt.html, section 2.2
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


def file_system(path: Path) -> str | None:
    """Return the type of the file system that a file lies on, where the system tells."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    best: tuple[str, str | None] = ("", None)
    for line in mounts:
        head, _, tail = line.partition(" - ")
        point = head.split()[4].replace("\\040", " ")
        if path.resolve().is_relative_to(point) and len(point) >= len(best[0]):
            best = (point, tail.split()[0])
    return best[1]
