"""What a PostgreSQL server needs: connections with a deadline, and transactions that are ours whatever a role says.

A transaction brings its settings along, and nothing is set for a session, nor prepared in one that is a pooler's:
behind PgBouncer in transaction mode the next transaction may have another session, and a neighbour this one.
"""

from __future__ import annotations

import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final

import psycopg
import sqlalchemy as sa
from psycopg import pq
from sqlalchemy.dialects.postgresql import insert

from okta_hooks.exceptions import InboxUnavailable
from okta_hooks.secret import frameless

from . import pipeline
from .statements import values

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from contextlib import AbstractContextManager

    from .database import Exchange, Row, Statement

#: libpq takes no less than 2 for the time to connect.
_CONNECT_SECONDS: Final = 2.0
_SECONDS_TO_CONNECT_AGAIN: Final = 1.0
#: A connection that was used before and has not begun a transaction after this is not waited for any longer.
_PROBE_SECONDS: Final = 0.75
#: The least time for an operation on a new connection: connecting may have used up its deadline.
_FRESH_SECONDS: Final = 1.0
#: How long a connection is taken to work without being asked. A role may end sessions that are idle for milliseconds.
_WARM_SECONDS: Final = 0.01
#: How long data may go on coming after a deadline.
_GRACE_SECONDS: Final = 1.0

_CONNECT: Final[dict[str, Any]] = {
    "connect_timeout": int(_CONNECT_SECONDS),
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
#: Parameters of a connection that a URL cannot change.
_PINNED: Final[dict[str, Any]] = {
    "autocommit": True,  # transactions begin with settings of ours, see `begin`
    "client_encoding": "utf8",
    "prepare_threshold": None,
}
#: Held by whoever creates tables in this database; the number is arbitrary.
_ADVISORY_LOCK: Final = 0x0C7A_400C
#: Sources, in ``pg_settings``, of a ``default_transaction_read_only`` that is overridden: it was set for this role
#: or connection alone. Set for a server or a database, it marks an old primary, and what is written there is lost.
_OWN_SOURCES: Final = frozenset({"client", "database user", "session", "user"})
#: How the SQLSTATEs begin after which a connection is dropped: a server that does not write any more or shuts down,
#: a connection that broke, a table or a schema that is not there, or a statement that was prepared and is not there,
#: is there already, or returns something else since its tables were altered.
#: https://www.postgresql.org/docs/current/errcodes-appendix.html
_WRONG_SERVER: Final = (
    "25006",
    "25P03",
    "25P04",
    "57P",
    "08",
    "42P01",
    "3F000",
    "26000",
    "42P05",
    "0A000",
)

#: The versions of servers that have these settings.
_HAS_TRANSACTION_TIMEOUT: Final = 17_00_00
_HAS_PLAN_CACHE_MODE: Final = 12_00_00

#: From how many rows on arrays are faster than parameters.
_MANY_ROWS: Final = 20
_NEXT_IDS: Final = "SELECT nextval(pg_get_serial_sequence(%s, 'id')) FROM generate_series(1, %s)"

_FACTS: Final = """
SELECT pg_backend_pid(), current_setting('search_path'), current_schema(), (
    SELECT source FROM pg_settings WHERE name = 'default_transaction_read_only' AND setting = 'on'
), EXISTS (
    SELECT FROM pg_settings WHERE name = 'default_toast_compression' AND source = 'default' AND 'lz4' = ANY (enumvals)
)
"""


class _Connection(psycopg.Connection[Any]):
    """A connection that waits for its server until a deadline, and is closed then.

    ``statement_timeout`` is the server's to keep, and one that is gone keeps nothing.
    """

    #: By ``time.monotonic()``.
    deadline: float = float("inf")
    was_used = False
    #: By ``time.monotonic()``, too.
    used_at = float("-inf")
    search_path = ""
    access = ""
    #: Whether bodies are to be compressed by lz4, which takes a fraction of the time of PostgreSQL's own way.
    uses_lz4 = False
    prepared: pipeline.Prepared | None = None

    def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
        """Do as psycopg does, which comes back to its generator ten times a second at least."""
        return super().wait(self._bounded(gen), *args, **kwargs)

    def _bounded(self, generator: Any) -> Generator[Any, Any, Any]:
        try:
            wanted = next(generator)
            while True:
                ready = yield wanted
                late = time.monotonic() - self.deadline
                if late > (_GRACE_SECONDS if ready else 0.0):
                    generator.close()
                    self.close()
                    raise psycopg.OperationalError("the database did not answer in time")
                wanted = generator.send(ready)
        except StopIteration as end:
            return end.value


class PostgreSQL:
    """A PostgreSQL database.

    :param url: Its URL, of SQLAlchemy.
    :param connections: How many are kept at most.
    :raises InboxUnavailable: if the URL has a parameter that is none of a connection, or libpq is older than 14.
    """

    insert: Final = staticmethod(insert)
    placeholder: Final = "%s"
    path: Final = None

    def __init__(self, url: sa.URL, connections: int) -> None:
        try:
            psycopg.capabilities.has_pipeline(check=True)
        except psycopg.NotSupportedError as error:
            raise InboxUnavailable(str(error), is_transient=False) from None
        options = pq.Conninfo.get_defaults()
        known = {option.keyword.decode() for option in options}
        if unknown := sorted(url.query.keys() - known - _PINNED.keys()):
            raise InboxUnavailable(
                f"OKTA_HOOKS_INBOX has a parameter that PostgreSQL does not know: {unknown[0]}"
            )
        # SQLAlchemy 2.0 and 2.1 mean different drivers by the bare name.
        meant = url.set(drivername="postgresql+psycopg").difference_update_query(_PINNED)
        # libpq's own mark of what is not to be shown, such as `sslpassword`.
        hidden = {option.keyword.decode() for option in options if option.dispchar == b"*"}
        shown = meant.difference_update_query(hidden)
        self.url = shown.set(password="***") if meant.password else shown  # noqa: S106 - stands for one
        self.engine = sa.create_engine(
            self.url,
            # SQLAlchemy itself would keep the password among the variables of its frames.
            creator=self._connect,
            pool_size=connections,
            max_overflow=-1,
            pool_use_lifo=True,
            hide_parameters=True,
            use_native_hstore=False,
        )
        _, parameters = self.engine.dialect.create_connect_args(meant)
        self._parameters: dict[str, Any] = {**_CONNECT, **parameters, **_PINNED}
        sa.event.listen(self.engine, "connect", _end_connecting)
        sa.event.listen(self.engine, "handle_error", _mark_disconnected)

    @frameless
    def _connection(self) -> _Connection:
        return _Connection.connect(**self._parameters)

    def _connect(self) -> _Connection:
        """Connect.

        The transaction that this begins is still open when SQLAlchemy asks its first questions:
        what a role has set must not matter to these either.
        """
        give_up_at = time.monotonic() + _SECONDS_TO_CONNECT_AGAIN
        while True:
            raw = self._connection()
            if _is_fit(raw, give_up_at):
                return raw

    def prepare(self) -> None:
        """Do nothing: a server is there or not."""

    def is_moved(self) -> bool:
        """Return False: who gets another server by a name loses the connection to the one before."""
        return False

    def turn(self, deadline: float, *, first: bool) -> AbstractContextManager[None]:  # noqa: ARG002 - SQLite's
        """Wait for nothing: many may write at a time."""
        return nullcontext()

    def connect(self, deadline: float) -> sa.Connection:  # noqa: ARG002 - connecting has its own
        """Return a connection out of the pool, or a new one."""
        return self.engine.connect()

    def lock_schema(self, connection: sa.Connection) -> None:
        """Let nobody else create tables until the end of the transaction."""
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ADVISORY_LOCK)))

    def begin(self, connection: sa.Connection, deadline: float, *, reads: bool) -> bool:
        """Begin a transaction; return False if the connection, which worked before, does not work any more."""
        raw: Any = connection.connection.driver_connection
        now = time.monotonic()
        is_fresh = not raw.was_used
        raw.was_used = True
        if is_fresh:
            deadline = max(deadline, now + _FRESH_SECONDS)
        raw.deadline = deadline if is_fresh else min(deadline, now + _PROBE_SECONDS)
        access = " READ ONLY" if reads else raw.access
        try:
            raw.execute(_begin(raw, access, deadline - now))
        except psycopg.Error as error:
            connection.invalidate()
            if is_fresh:
                raise InboxUnavailable(str(error).partition("\n")[0], is_transient=True) from error
            return False
        raw.deadline = deadline
        return True

    def is_warm(self, connection: sa.Connection) -> bool:
        """Return whether the last exchange was so lately that the connection works still, most likely."""
        raw: Any = connection.connection.driver_connection
        return bool(time.monotonic() < raw.used_at + _WARM_SECONDS)

    def exchange(self, connection: sa.Connection, deadline: float) -> _Exchange:
        """Return what begins a transaction with its first statements, if it has not begun yet."""
        return _Exchange(connection, deadline)

    def lock_rows(
        self, connection: sa.Connection, query: sa.Select[Any], parameters: dict[str, Any]
    ) -> None:
        """Lock the rows of a query: another transaction that has changed one is waited for."""
        connection.execute(query, parameters)

    def now(self, clock: Callable[[], float]) -> sa.ColumnElement[float]:  # noqa: ARG002 - SQLite's
        """Return the time by the server's clock, to be used in a statement: those of the hosts differ."""
        return sa.func.extract("epoch", sa.func.clock_timestamp()).cast(sa.Double)

    def next_ids(self, exchange: Exchange, table: sa.Table, number: int) -> Sequence[int]:
        """Take ids from the table's sequence."""
        (rows,) = exchange.run((_NEXT_IDS, (table.name, number)))
        return [row[0] for row in rows]

    def insertion(
        self, columns: Sequence[sa.Column[Any]], rows: Sequence[Row], *, skip_known: bool
    ) -> list[Statement]:
        """Return what inserts rows: if there are many, from an array for each column, which takes half the time."""
        if len(rows) < _MANY_ROWS:
            return [values(self.placeholder, columns, rows, skip_known=skip_known)]
        names = [column.name for column in columns]
        kinds = [column.type.compile(self.engine.dialect) for column in columns]
        of_each = list(zip(*rows, strict=True))
        # What is the same in all rows, such as their hook, is one parameter.
        differing = [
            place for place, given in enumerate(of_each) if given.count(given[0]) < len(given)
        ] or [0]
        same = [place for place in range(len(columns)) if place not in differing]
        chosen = [
            names[place] if place in differing else f"%s::{kinds[place]}"
            for place in range(len(columns))
        ]
        arrays = ", ".join(f"%s::{kinds[place]}[]" for place in differing)
        ending = " ON CONFLICT DO NOTHING" if skip_known else ""
        statement = (
            f"INSERT INTO {columns[0].table.name} ({', '.join(names)}) SELECT {', '.join(chosen)}"  # noqa: S608 - our own names
            f" FROM unnest({arrays}) AS given ({', '.join(names[place] for place in differing)}){ending}"
        )
        constants = [of_each[place][0] for place in same]
        return [(statement, (*constants, *(pipeline.array(of_each[place]) for place in differing)))]

    def among(self, ids: Sequence[int]) -> Statement:
        """Return the condition that what stands before it is one of some ids.

        An array takes a fraction of the time to plan that a parameter for each takes, and its text is prepared once.
        """
        return "= ANY (%s::bigint[])", (pipeline.array(ids),)

    def given(self, kinds: Sequence[str], rows: Sequence[Row]) -> Statement:
        """Return some rows as a query, with an array for each column, as in :meth:`among`."""
        arrays = ", ".join(f"%s::{kind}[]" for kind in kinds)
        columns = tuple(map(pipeline.array, zip(*rows, strict=True)))
        return f"SELECT * FROM unnest({arrays})", columns  # noqa: S608 - our own types


class _Exchange:
    """Several statements in one message."""

    def __init__(self, connection: sa.Connection, deadline: float) -> None:
        self._connection = connection
        raw: Any = connection.connection.driver_connection
        self._raw: _Connection = raw
        has_begun = raw.info.transaction_status != pq.TransactionStatus.IDLE
        # That of a new connection is later.
        self._deadline = raw.deadline if has_begun else deadline
        self.changed = 0

    def run(self, *statements: Statement) -> list[list[Any]]:
        """Execute statements one after another, after the beginning if these are the first."""
        return self._send(statements)

    def finish(self, *statements: Statement) -> list[list[Any]]:
        """Execute the last statements, and commit."""
        return self._send((*statements, ("COMMIT", ())))

    def _send(self, statements: Sequence[Statement]) -> list[list[Any]]:
        raw = self._raw
        beginning: list[Statement] = []
        raw.deadline = self._deadline
        if raw.info.transaction_status == pq.TransactionStatus.IDLE:
            texts = _beginning(raw, raw.access, self._deadline - time.monotonic())
            beginning = [(text.replace("%", "%%"), ()) for text in texts]  # of the search path
        try:
            results = pipeline.execute(raw, [*beginning, *statements], prepared=raw.prepared)
        except psycopg.Error as error:
            is_lost = raw.closed or (error.sqlstate or "").startswith(_WRONG_SERVER)
            if is_lost:
                raw.close()
            raise InboxUnavailable(
                str(error).partition("\n")[0],
                is_transient=is_lost
                or isinstance(error, psycopg.OperationalError | psycopg.InterfaceError),
                connection_lost=is_lost,
            ) from error
        finally:
            if raw.closed:
                self._connection.invalidate()
        raw.used_at = time.monotonic()
        self.changed = sum(each for each in results if isinstance(each, int))
        return [each for each in results if not isinstance(each, int)]


def _begin(raw: _Connection, access: str, seconds: float) -> str:
    """Return what begins a transaction as one text."""
    return "; ".join(_beginning(raw, access, seconds))


def _beginning(raw: _Connection, access: str, seconds: float) -> list[str]:
    """Return the statements that begin a transaction with settings of its own."""
    milliseconds = max(int(seconds * 1000), 1)
    settings = [
        # A little less than the client's: what the server ends by itself costs no connection.
        ("statement_timeout", str(max(milliseconds * 9 // 10, 1))),
        ("lock_timeout", str(max(milliseconds * 9 // 10, 1))),
        ("idle_in_transaction_session_timeout", str(milliseconds + 1000)),
        ("extra_float_digits", "1"),  # as few as 15 digits would lose microseconds
    ]
    if raw.info.server_version >= _HAS_TRANSACTION_TIMEOUT:
        # That of the role has run since BEGIN, and setting another would not restart it: it is switched off.
        settings.insert(0, ("transaction_timeout", "0"))
    if raw.prepared is not None and raw.info.server_version >= _HAS_PLAN_CACHE_MODE:
        # A plan that was made while the tables were small, and kept, would look through all of them later.
        settings.append(("plan_cache_mode", "force_custom_plan"))
    if raw.uses_lz4:
        settings.append(("default_toast_compression", "lz4"))
    if raw.search_path:
        settings.append(("search_path", raw.search_path))
    # No SELECT: that takes a new session longer than a time-out of its role may allow.
    given = [f"SET LOCAL {name} = {value}" for name, value in settings]
    return [f"BEGIN ISOLATION LEVEL READ COMMITTED{access}", *given]


def _is_fit(raw: _Connection, give_up_at: float) -> bool:
    """Look what kind of server answered; return False if it has ended the session, and another may be tried."""
    try:
        raw.deadline = time.monotonic() + _CONNECT_SECONDS
        _examine(raw)
    except psycopg.OperationalError:
        raw.close()
        # A role may end sessions that say nothing for some milliseconds, before a slow machine has said anything.
        if time.monotonic() > give_up_at:
            raise
        return False
    except BaseException:
        raw.close()
        raise
    return True


def _examine(raw: _Connection) -> None:
    encoding = (raw.pgconn.parameter_status(b"server_encoding") or b"").decode()
    if encoding != "UTF8":
        raise InboxUnavailable(
            f"The encoding of the database is {encoding}, which does not store every delivery: "
            "it needs one WITH ENCODING 'UTF8'",
            is_transient=False,
        )
    raw.execute(_begin(raw, " READ ONLY", _CONNECT_SECONDS))
    facts = raw.execute(_FACTS).fetchone() or (None, "", None, None, False)
    session, path, schema, read_only_by, has_lz4 = facts
    if schema is None:
        raise InboxUnavailable(f"No schema of the search path is there: {path}", is_transient=False)
    raw.search_path = path
    raw.access = " READ WRITE" if read_only_by in _OWN_SOURCES else ""
    raw.uses_lz4 = has_lz4
    # A pooler, which may give each transaction another session, tells a number of its own.
    if session == raw.info.backend_pid:
        raw.prepared = pipeline.Prepared()


def _end_connecting(raw: _Connection, _: object) -> None:
    raw.rollback()


def _mark_disconnected(context: sa.ExceptionContext) -> None:
    """Let SQLAlchemy drop a connection that is alive, but not to the server that we want."""
    state = getattr(context.original_exception, "sqlstate", None) or ""
    context.is_disconnect = context.is_disconnect or state.startswith(_WRONG_SERVER)
    # SQLAlchemy would choose the others to drop by `time.time()`, and the clock may be set: `Database` drops them.
    context.invalidate_pool_on_disconnect = False
