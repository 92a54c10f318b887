"""What an SQLite file needs: connections with deadlines and settings, and transactions that wait their turn."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
import threading
import time
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from okta_hooks.database_url import behind_links
from okta_hooks.exceptions import InboxUnavailable
from okta_hooks.logs import plain_logger

from . import file_access
from .file_system import identity, owner_and_me
from .statements import values
from .write_queue import write_queue

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from .database import Exchange, Row, Statement

logger = plain_logger(__name__)

#: How long a new connection may try to make its settings, if it was not opened for an operation with a deadline.
_PREPARE_SECONDS: Final = 5.0
_QUEUE_PATIENCE: Final = 2.0
_SHORTEST_PAUSE: Final = 0.001
_LONGEST_PAUSE: Final = 0.02
#: How many steps of SQLite's virtual machine: about a millisecond's work.
_STEPS_BETWEEN_LOOKS: Final = 50_000
_ROWS_AT_ONCE: Final = 1000
#: Result codes after which a connection is dropped: a new one may find the file in order.
_LOST: Final = frozenset(
    {
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_NOTADB,
    }
)


class _Connection(sqlite3.Connection):
    """A connection whose statements end at a deadline, and whose commits stop no other greenlet.

    Its isolation level is None: the driver would begin transactions by itself, and too late.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.isolation_level = None
        self.was_used = False
        #: In a list, because a progress handler that held the connection would keep it alive.
        self._until = until = [float("inf")]
        self.set_progress_handler(lambda: time.monotonic() > until[0], _STEPS_BETWEEN_LOOKS)

    def set_deadline(self, deadline: float) -> None:
        """Let no statement run for longer than this, by ``time.monotonic()``."""
        self._until[0] = deadline

    def commit(self) -> None:
        """Commit; under gevent in a thread of the system: to wait for the disk would stop every greenlet."""
        monkey = sys.modules.get("gevent.monkey")
        if monkey is None or not monkey.is_module_patched("threading"):
            super().commit()
            return
        gevent: Any = sys.modules["gevent"]
        if (error := gevent.get_hub().threadpool.apply(_error_of, (super().commit,))) is not None:
            raise error


def _error_of(function: Any) -> sqlite3.Error | None:
    """Call a function and return what it raised: gevent would print what a thread of its pool raises."""
    try:
        function()
    except sqlite3.Error as error:
        return error
    return None


class SQLite:
    """An SQLite file.

    :param url: Its URL, of SQLAlchemy.
    :param named: Its path, as the URL names it.
    :param connections: How many are kept at most.
    """

    insert: Final = staticmethod(insert)
    placeholder: Final = "?"

    def __init__(self, url: sa.URL, named: Path, connections: int) -> None:
        self._named = named
        self.path = behind_links(named)
        self.url = url.set(database=str(self.path))
        self._queue = write_queue(self.path.with_name(f"{self.path.name}.turn"))
        self._opened: tuple[int, int] | None = None
        self._is_examined = False
        self._here = threading.local()
        self.engine = sa.create_engine(
            self.url,
            # SQLite's own wait would stop every greenlet, so `begin` waits.
            connect_args={"timeout": 0, "factory": _Connection},
            pool_size=connections,
            max_overflow=-1,
            pool_use_lifo=True,
            hide_parameters=True,
        )
        sa.event.listen(self.engine, "connect", self._set)
        sa.event.listen(self.engine, "handle_error", _mark_disconnected)

    def prepare(self) -> None:
        """Create the file if there is none, and note which it is."""
        _create_file(self.path)
        if not os.access(self.path, os.R_OK | os.W_OK):
            raise InboxUnavailable(
                f"{owner_and_me(self.path)}, which may not read and write it", is_transient=True
            )
        _unlock_companions(self.path)
        self._opened = identity(self.path)
        if not self._is_examined:
            self._is_examined = True
            for complaint in file_access.complaints(self._named, os.geteuid()):
                logger.warning(
                    "The inbox is not its owner's alone. %(finding)s", {"finding": complaint}
                )

    def is_moved(self) -> bool:
        """Return whether the file is another than the one that was opened, or none.

        SQLite would go on writing to what nobody can find any more.
        """
        return identity(self.path) != self._opened

    def turn(self, deadline: float, *, first: bool) -> contextlib.AbstractContextManager[None]:
        """Wait for the turn to write, but not so long that no time is left to wait for SQLite's own lock.

        :param first: Go before all whose turn is not ``first``.
        """
        left = max(deadline - time.monotonic(), 0.0)
        return self._queue.turn(min(_QUEUE_PATIENCE, left / 2), first=first)

    def lock_schema(self, connection: sa.Connection) -> None:
        """Do nothing: nobody else writes during a transaction."""

    def connect(self, deadline: float) -> sa.Connection:
        """Return a connection out of the pool, or a new one."""
        self._here.deadline = deadline
        return self.engine.connect()

    def _set(self, raw: _Connection, _: object) -> None:
        deadline = getattr(self._here, "deadline", time.monotonic() + _PREPARE_SECONDS)
        # Of two that open a new file at once, SQLite refuses one here.
        _patiently(raw, ["PRAGMA journal_mode = WAL"], deadline)
        raw.execute("PRAGMA synchronous = FULL")

    def begin(self, connection: sa.Connection, deadline: float, *, reads: bool) -> bool:
        """Begin a transaction; return False if the connection, which worked before, does not work any more.

        One that writes has SQLite's lock from the beginning: if it read first, and another had written
        meanwhile, it would fail. One that reads begins with its first statement, so one is executed here.
        """
        raw: Any = connection.connection.driver_connection
        is_fresh = not raw.was_used
        raw.was_used = True
        raw.set_deadline(deadline)
        try:
            _patiently(raw, _READ if reads else _WRITE, deadline)
        except sqlite3.Error as error:
            if not _is_lost(error):
                raise InboxUnavailable(str(error), is_transient=True) from error
            connection.invalidate()
            if is_fresh:
                raise InboxUnavailable(str(error), is_transient=True) from error
            return False
        return True

    def is_warm(self, connection: sa.Connection) -> bool:  # noqa: ARG002 - PostgreSQL's
        """Return False: a transaction has begun before an exchange does."""
        return False

    def exchange(self, connection: sa.Connection, deadline: float) -> _Exchange:  # noqa: ARG002 - PostgreSQL's
        """Return what executes statements in a transaction that has begun."""
        return _Exchange(connection)

    def lock_rows(
        self, connection: sa.Connection, query: sa.Select[Any], parameters: dict[str, Any]
    ) -> None:
        """Do nothing: nobody else writes during a transaction."""

    def now(self, clock: Callable[[], float]) -> float:
        """Return the time by the clock: the processes that share a file share that."""
        return clock()

    def next_ids(self, exchange: Exchange, table: sa.Table, number: int) -> Sequence[int]:
        """Return the ids after the last: nobody else writes during this transaction."""
        # As SQLite does: what was repaired by hand may have lost its sequence.
        statement = (
            "SELECT max(id) FROM (SELECT seq AS id FROM sqlite_sequence WHERE name = ?"  # noqa: S608 - our own names
            f" UNION ALL SELECT max(id) FROM {table.name})"
        )
        (((last,),),) = exchange.run((statement, (table.name,)))
        first = (last or 0) + 1
        return range(first, first + number)

    def insertion(
        self, columns: Sequence[sa.Column[Any]], rows: Sequence[Row], *, skip_known: bool
    ) -> list[Statement]:
        """Return what inserts rows: a statement has a parameter for each value, and SQLite takes 32,766."""
        return [
            values(
                self.placeholder,
                columns,
                rows[start : start + _ROWS_AT_ONCE],
                skip_known=skip_known,
            )
            for start in range(0, len(rows), _ROWS_AT_ONCE)
        ]

    def among(self, ids: Sequence[int]) -> Statement:
        """Return the condition that what stands before it is one of some ids."""
        return f"IN ({', '.join([self.placeholder] * len(ids))})", tuple(ids)

    def given(self, kinds: Sequence[str], rows: Sequence[Row]) -> Statement:
        """Return some rows as a query, with a parameter for each value."""
        one = f"({', '.join([self.placeholder] * len(kinds))})"
        return f"VALUES {', '.join([one] * len(rows))}", tuple(chain.from_iterable(rows))


class _Exchange:
    """Statements one after another, by the driver itself: SQLAlchemy takes longer over each than SQLite."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        raw: Any = connection.connection.driver_connection
        self._raw: sqlite3.Connection = raw
        self.changed = 0

    def run(self, *statements: Statement) -> list[list[Any]]:
        """Execute statements one after another."""
        found: list[list[Any]] = []
        self.changed = 0
        try:
            for text, parameters in statements:
                cursor = self._raw.execute(text, tuple(parameters))
                if cursor.description is None:
                    self.changed += cursor.rowcount
                else:
                    found.append(cursor.fetchall())
        except sqlite3.Error as error:
            is_lost = _is_lost(error)
            if is_lost:
                self._connection.invalidate()
            raise InboxUnavailable(
                str(error),
                is_transient=is_lost
                or isinstance(error, sqlite3.OperationalError | sqlite3.InterfaceError),
                connection_lost=is_lost,
            ) from error
        return found

    def finish(self, *statements: Statement) -> list[list[Any]]:
        """Execute the last statements; whoever has begun the transaction commits it."""
        return self.run(*statements)


_READ: Final = ("BEGIN", "SELECT 1 FROM sqlite_master LIMIT 1")
_WRITE: Final = ("BEGIN IMMEDIATE",)


def _patiently(raw: _Connection, statements: Sequence[str], deadline: float) -> None:
    """Execute statements, again and again while another process has locked the file."""
    pause = _SHORTEST_PAUSE
    while True:
        try:
            for statement in statements:
                raw.execute(statement).fetchone()
        except sqlite3.OperationalError as error:
            raw.rollback()
            if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() + pause > deadline:
                raise
        else:
            return
        time.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)


def _code(error: BaseException | None) -> int:
    """Return SQLite's primary result code: https://www.sqlite.org/rescode.html."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _is_lost(error: BaseException | None) -> bool:
    return _code(error) in _LOST


def _mark_disconnected(context: sa.ExceptionContext) -> None:
    """Let SQLAlchemy drop a connection that saw a file which is not as it should be."""
    context.is_disconnect = context.is_disconnect or _is_lost(context.original_exception)
    # SQLAlchemy would choose the others to drop by `time.time()`, and the clock may be set: `Database` drops them.
    context.invalidate_pool_on_disconnect = False


def _unlock_companions(path: Path) -> None:
    """Let the owner write to the files beside an SQLite file that was read-only for a while.

    SQLite makes them with the mode that the file has at that moment, and leaves them when it cannot write.
    """
    if os.access(path, os.W_OK):
        for ending in ("-wal", "-shm"):
            companion = path.with_name(path.name + ending)
            if companion.exists() and not os.access(companion, os.W_OK):
                with contextlib.suppress(OSError):
                    companion.chmod(path.stat().st_mode & 0o777)


def _create_file(path: Path) -> None:
    """Create the file for its owner alone: SQLite gives its companions the same mode."""
    file_access.make_folder(path.parent)
    # Never open a file that is there: closing it would drop every lock that SQLite has on it in this process.
    # https://www.sqlite.org/howtocorrupt.html, section 2.2
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
