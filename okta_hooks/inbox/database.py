"""The database under the inbox: transactions that end by a deadline, over few connections."""

from __future__ import annotations

import gc
import os
import threading
import time
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

import sqlalchemy as sa

from okta_hooks.database_url import file_of
from okta_hooks.exceptions import InboxUnavailable
from okta_hooks.logs import plain_logger
from okta_hooks.secret import frameless, revealed

from . import autovacuum, schema
from .file_system import EPHEMERAL, file_system, is_shared
from .totals import count_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from okta_hooks.secret import Secret

    Row: TypeAlias = tuple[Any, ...]
    #: A statement and its parameters.
    Statement: TypeAlias = tuple[str, Sequence[Any]]

logger = plain_logger(__name__)

#: How many seconds an operation may take, unless its caller gives another time.
SECONDS: Final = 5.0
#: How many operations may go on at a time, each on a connection, besides the one that is reserved.
CONNECTIONS: Final = 5
#: Adding an index to a table of many rows takes its time.
_SECONDS_TO_UPGRADE: Final = 600.0
_ATTEMPTS_TO_BEGIN: Final = 3
#: By when all that is done in a context has to have ended, by a monotonic clock.
_latest: ContextVar[float] = ContextVar("okta_hooks_latest", default=float("inf"))


class Exchange(Protocol):
    """A transaction of statements that are given as text, with the placeholders of the database, and few waits."""

    #: How many rows the statements of the last call have changed, but for those that return rows.
    changed: int

    def run(self, *statements: Statement) -> list[list[Any]]:
        """Execute statements one after another, and return the rows of each that returns any."""

    def finish(self, *statements: Statement) -> list[list[Any]]:
        """Execute the last statements, as :meth:`run`, and commit."""


class _System(Protocol):
    """Where SQLite and PostgreSQL differ."""

    engine: sa.Engine
    url: sa.URL

    @property
    def path(self) -> Path | None: ...
    @property
    def insert(self) -> Any: ...
    @property
    def placeholder(self) -> str: ...
    def prepare(self) -> None: ...
    def is_moved(self) -> bool: ...
    def turn(self, deadline: float, *, first: bool) -> AbstractContextManager[None]: ...
    def connect(self, deadline: float) -> sa.Connection: ...
    def is_warm(self, connection: sa.Connection) -> bool: ...
    def exchange(self, connection: sa.Connection, deadline: float) -> Exchange: ...
    def begin(self, connection: sa.Connection, deadline: float, *, reads: bool) -> bool: ...
    def lock_schema(self, connection: sa.Connection) -> None: ...
    def lock_rows(
        self, connection: sa.Connection, query: sa.Select[Any], parameters: dict[str, Any]
    ) -> None: ...
    def now(self, clock: Callable[[], float]) -> Any: ...
    def next_ids(self, exchange: Exchange, table: sa.Table, number: int) -> Sequence[int]: ...
    def insertion(
        self, columns: Sequence[sa.Column[Any]], rows: Sequence[Row], *, skip_known: bool
    ) -> list[Statement]: ...
    def among(self, ids: Sequence[int]) -> Statement: ...
    def given(self, kinds: Sequence[str], rows: Sequence[Row]) -> Statement: ...


class Database:
    """One database: opened when it is first used, safe for threads, not for forks.

    :param url: An SQLAlchemy URL of SQLite (a file) or PostgreSQL (psycopg 3).
    :param folder: Where a relative path of an SQLite file begins.
    :raises InboxUnavailable: if the URL cannot be understood, or its driver is not installed.
    """

    def __init__(self, url: str | Secret, folder: str) -> None:
        self._system = _system(url, folder)
        #: Without a password.
        self.url = self._system.url
        #: The file, if it is SQLite.
        self.path = self._system.path
        #: The dialect's INSERT, which can tell what to do on a conflict.
        self.insert: Any = self._system.insert
        #: What stands for a parameter in a statement that goes to the driver as it is.
        self.placeholder = self._system.placeholder
        self._slots = threading.BoundedSemaphore(CONNECTIONS)
        self._reserved = threading.BoundedSemaphore(1)
        self._opening = threading.Lock()
        self._dropping = threading.Lock()
        self._is_open = False
        self._is_logged = False
        #: The one that has opened it.
        self._process: int | None = None
        #: Changes when the database that was opened may have been replaced by another:
        #: another file, or a server that lacks the last transactions. Ids may be given out again.
        self.generation = 0

    def close(self) -> None:
        """Close the connections. The database opens again when it is used again.

        In a child of the process that has opened it this does nothing: to close what it has inherited would end
        the sessions of its parent.
        """
        if self._is_inherited:
            return
        self._system.engine.dispose()
        self._is_open = False

    @property
    def _is_inherited(self) -> bool:
        """Whether another process has opened the connections."""
        return self._process is not None and self._process != os.getpid()

    def open(self, *, seconds: float | None = None) -> None:
        """Connect, and create the tables if they are not there. Any use of the inbox does this.

        :raises InboxUnavailable: if the database cannot be reached or written, or is unfit.
        """
        self._open(_deadline(seconds))

    def _open(self, deadline: float) -> None:
        if self._is_inherited:
            raise InboxUnavailable(
                f"the inbox was opened by the process {self._process}, of which this one was forked off",
                is_transient=False,
            )
        self._process = os.getpid()
        if self._is_open and not self._system.is_moved():
            return
        if not self._opening.acquire(timeout=_left(deadline)):
            raise InboxUnavailable("the database did not open in time", is_transient=True)
        try:
            if self._is_open and self._system.is_moved():
                logger.error(
                    "The inbox %(path)s was moved or deleted: a new one is made.",
                    {"path": self.path},
                )
                self.close()
                self.generation += 1
                self._is_logged = False
            if not self._is_open:
                if self.generation:
                    # SQLite keeps a closed connection's files open while a cursor of it exists,
                    # and the traceback of the error that reported the loss may still hold one.
                    gc.collect()
                with _translated():
                    self._system.prepare()
                    self._create_tables(deadline)
                self._log_location()
            self._is_open = True
        finally:
            self._opening.release()

    def _log_location(self) -> None:
        if self._is_logged:
            return
        self._is_logged = True
        logger.info(
            "The inbox is %(inbox)s.",
            {"inbox": self.url.set(query={}).render_as_string(hide_password=True)},
        )
        kind = None if self.path is None else file_system(self.path)
        if kind in EPHEMERAL:
            logger.warning(
                "The inbox %(path)s lies on a file system (%(file_system)s) that may not survive a restart: "
                "put it on a disk or a volume, or events will be lost.",
                {"path": self.path, "file_system": kind},
            )
        elif is_shared(kind):
            logger.warning(
                "The inbox %(path)s lies on a file system (%(file_system)s) on which SQLite's locks may not work, "
                "so that events may be lost, or handled twice: put it on a disk of this machine, or use PostgreSQL.",
                {"path": self.path, "file_system": kind},
            )

    def _create_tables(self, deadline: float) -> None:
        with self._begun(deadline, reads=True) as connection:
            is_current = schema.is_current(connection)
        if not is_current:
            with self._begun(time.monotonic() + _SECONDS_TO_UPGRADE, reads=False) as connection:
                self._system.lock_schema(connection)
                if schema.create(connection):
                    count_all(self, connection)
            deadline = max(deadline, _deadline(None))
        if self.path is None:
            self._tell_autovacuum(deadline)

    def _tell_autovacuum(self, deadline: float) -> None:
        with self._begun(deadline, reads=True) as connection:
            tables = autovacuum.unset(connection)
        if tables:
            with self._begun(deadline, reads=False) as connection:
                autovacuum.set_parameters(connection, tables)

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Let all that is done in this context have ended by then, whatever time it would be given otherwise."""
        token = _latest.set(min(time.monotonic() + seconds, _latest.get()))
        try:
            yield
        finally:
            _latest.reset(token)

    @contextmanager
    def transaction(
        self, *, seconds: float | None = None, reserved: bool = False
    ) -> Iterator[sa.Connection]:
        """Begin a transaction that writes; it is committed at the end.

        :param seconds: What it may take, with all that it waits for; :data:`SECONDS` if None.
            Then it fails, whatever the database does.
        :param reserved: For one thread, which stores what Okta waits for: there is a connection for it,
            and it goes before all others who want to write.
        :raises InboxUnavailable: if the database does not do what it is asked.
        """
        deadline = _deadline(seconds)
        with _translated(), self._slot(deadline, reserved=reserved):
            self._open(deadline)
            with self._system.turn(deadline, first=reserved):
                # Again: while this waited, the file may have been replaced.
                self._open(deadline)
                with self._begun(deadline, reads=False) as connection:
                    yield connection
        if self._system.is_moved():
            raise InboxUnavailable("the file was moved during a transaction", is_transient=True)

    @contextmanager
    def exchange(
        self, *, seconds: float | None = None, reserved: bool = False
    ) -> Iterator[Exchange]:
        """Begin a transaction that writes, and that :meth:`Exchange.finish` commits.

        A PostgreSQL server is waited for once for each call of its methods, where :meth:`transaction` waits
        for its beginning, its end and each statement. So it is for what is done for every event.
        A connection that was used just before begins the transaction with the first of them.
        If it is lost then, that is an error, and the next operation has another one.

        :param seconds: As for :meth:`transaction`.
        :param reserved: As for :meth:`transaction`.
        :raises InboxUnavailable: if the database does not do what it is asked.
        """
        deadline = _deadline(seconds)
        if self.path is not None:
            with self.transaction(seconds=seconds, reserved=reserved) as connection:
                yield self._system.exchange(connection, deadline)
            return
        with _translated(), self._slot(deadline, reserved=reserved):
            self._open(deadline)
            connection = self._system.connect(deadline)
            if not self._system.is_warm(connection):
                connection.close()
                connection = self._begin(deadline, reads=False)
            generation = self.generation
            with connection:
                try:
                    yield self._system.exchange(connection, deadline)
                except InboxUnavailable as error:
                    if error.connection_lost:
                        connection.invalidate()
                        self._drop(generation)
                    raise

    def exchange_within(self, connection: sa.Connection) -> Exchange:
        """Return what executes statements in a :meth:`transaction`, which commits them at its end."""
        return self._system.exchange(connection, _deadline(None))

    @contextmanager
    def reading(self, *, seconds: float | None = None) -> Iterator[sa.Connection]:
        """Begin a transaction that only reads, and waits for no writer.

        :param seconds: As for :meth:`transaction`.
        :raises InboxUnavailable: if the database does not do what it is asked.
        """
        deadline = _deadline(seconds)
        with _translated(), self._slot(deadline, reserved=False):
            self._open(deadline)
            with self._begun(deadline, reads=True) as connection:
                yield connection

    @contextmanager
    def _slot(self, deadline: float, *, reserved: bool) -> Iterator[None]:
        """Wait until fewer use the database at a time than it has connections for."""
        slots = self._reserved if reserved else self._slots
        if not slots.acquire(timeout=_left(deadline)):
            raise InboxUnavailable("too many use the database", is_transient=True)
        try:
            yield
        finally:
            slots.release()

    @contextmanager
    def _begun(self, deadline: float, *, reads: bool) -> Iterator[sa.Connection]:
        connection = self._begin(deadline, reads=reads)
        generation = self.generation
        try:
            with connection:
                yield connection
                if not reads:
                    connection.commit()
        except sa.exc.DBAPIError as error:
            if error.connection_invalidated:
                self._drop(generation)
            raise
        except InboxUnavailable as error:
            if error.connection_lost:
                self._drop(generation)
            raise

    def _begin(self, deadline: float, *, reads: bool) -> sa.Connection:
        """Begin a transaction, on another connection if one that was used before does not work any more."""
        for _ in range(_ATTEMPTS_TO_BEGIN):
            generation = self.generation
            connection = self._system.connect(deadline)
            try:
                connection.begin()
                if self._system.begin(connection, deadline, reads=reads):
                    return connection
            except BaseException:
                connection.close()
                raise
            connection.close()
            self._drop(generation)
        raise InboxUnavailable("the database closes every connection", is_transient=True)

    def _drop(self, generation: int) -> None:
        """Drop every connection of that time: where one was lost, the others most likely are, too."""
        with self._dropping:
            if self.generation != generation:
                return
            self.generation += 1
        self.close()

    def add(
        self,
        connection: sa.Connection,
        columns: Sequence[sa.Column[Any]],
        rows: Sequence[Row],
        *,
        skip_known: bool = False,
    ) -> None:
        """Insert rows, many with one statement.

        A driver releases Python's global lock at each statement, and waits for it again at its end.
        In a server with busy threads that takes up to 5 ms each time, so a statement for each row,
        or a fetch for each row that comes back, takes many times as long as one for all of them.

        :param skip_known: Leave out rows whose keys are there already, instead of failing.
        """
        for statement in self.insertion(columns, rows, skip_known=skip_known):
            connection.exec_driver_sql(*statement)

    def insertion(
        self, columns: Sequence[sa.Column[Any]], rows: Sequence[Row], *, skip_known: bool
    ) -> list[Statement]:
        """Return the statements of :meth:`add`."""
        return self._system.insertion(columns, rows, skip_known=skip_known) if rows else []

    def among(self, ids: Sequence[int]) -> Statement:
        """Return the condition that what stands before it is one of some ids, and its parameters."""
        return self._system.among(ids)

    def given(self, kinds: Sequence[str], rows: Sequence[Row]) -> Statement:
        """Return some rows as a query, and its parameters.

        :param kinds: The type of each column.
        """
        return self._system.given(kinds, rows)

    def lock_rows(
        self, connection: sa.Connection, query: sa.Select[Any], parameters: dict[str, Any]
    ) -> None:
        """Let nobody else change the rows of a query until the end of the transaction.

        :param query: One with ``with_for_update()``, in an order that is the same everywhere.
        """
        self._system.lock_rows(connection, query, parameters)

    def now(self, clock: Callable[[], float]) -> Any:
        """Return the time for what several hosts compare, to be used in a statement.

        :param clock: Returns the time where the database has no clock of its own.
        """
        return self._system.now(clock)

    def next_ids(self, exchange: Exchange, table: sa.Table, number: int) -> Sequence[int]:
        """Return ids that no row of a table has had or will get, for rows to be inserted with them."""
        return self._system.next_ids(exchange, table, number)


@frameless
def _system(text: str | Secret, folder: str) -> _System:
    try:
        url = sa.make_url(revealed(text))
        if url.get_backend_name() == "sqlite":
            from . import sqlite  # it needs fcntl, which Windows has not

            return sqlite.SQLite(url, file_of(text, folder), CONNECTIONS + 1)
        from .postgresql import PostgreSQL  # its driver need not be installed

        return PostgreSQL(url, CONNECTIONS + 1)
    except ImportError as error:
        if error.name == "fcntl":
            raise InboxUnavailable(
                "An SQLite file needs the file locks of a POSIX system"
            ) from None
        raise InboxUnavailable(
            f"{error}: for PostgreSQL, pip install 'okta-hooks[postgresql]'"
        ) from None
    except (sa.exc.ArgumentError, ValueError):
        # No word of it: a password may stand where a port should.
        raise InboxUnavailable("OKTA_HOOKS_INBOX is no URL of a database") from None


def _deadline(seconds: float | None) -> float:
    return min(time.monotonic() + (SECONDS if seconds is None else seconds), _latest.get())


def _left(deadline: float) -> float:
    return max(deadline - time.monotonic(), 0.0)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sa.exc.DBAPIError as error:
        raise InboxUnavailable(
            str(error.orig).partition("\n")[0],
            is_transient=error.connection_invalidated
            or isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError),
            connection_lost=error.connection_invalidated,
        ) from error
    except (sa.exc.SQLAlchemyError, OSError) as error:
        raise InboxUnavailable(str(error)) from error
