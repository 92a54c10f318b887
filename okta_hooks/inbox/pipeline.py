"""Several statements in one message to PostgreSQL, with their parameters beside them: libpq's pipeline mode.

The simple protocol sends several, too, but with the parameters in their texts, and a server writes the text of a
statement that fails into its log: no body may stand there.
https://www.postgresql.org/docs/current/libpq-pipeline-mode.html
"""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg import pq
from psycopg.adapt import Transformer
from psycopg.waiting import Ready, Wait

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

    from psycopg.abc import Transformer as Loaders
    from psycopg.pq.abc import PGconn, PGresult

    from .database import Statement

#: A session keeps each as it was parsed, which takes some memory of the server.
_MOST_PREPARED: Final = 50
_MOST_KNOWN: Final = 500
#: How often a session executes a statement before it prepares it.
_TIMES_UNPREPARED: Final = 3
_DIGITS: Final = 32
_ROWS: Final = pq.ExecStatus.TUPLES_OK
_SYNC: Final = pq.ExecStatus.PIPELINE_SYNC
_FAILED: Final = pq.ExecStatus.FATAL_ERROR


class Prepared:
    """The statements that one session has parsed, and need not parse again."""

    def __init__(self) -> None:
        self._names: dict[bytes, bytes] = {}
        self._times: Counter[bytes] = Counter()

    def send(self, pgconn: PGconn, query: bytes, values: list[bytes | None]) -> bytes | None:
        """Send a statement, prepared if it comes often; return its name if it is prepared by that."""
        name = self._names.get(query)
        if name is not None:
            pgconn.send_query_prepared(name, values)
            return None
        if len(self._times) < _MOST_KNOWN or query in self._times:
            self._times[query] += 1
        if self._times[query] <= _TIMES_UNPREPARED or len(self._names) >= _MOST_PREPARED:
            pgconn.send_query_params(query, values)
            return None
        # By the text, so that whoever else may have used this session meant the same by it.
        name = b"okta_hooks_" + hashlib.sha256(query).hexdigest()[:_DIGITS].encode()
        pgconn.send_prepare(name, query)
        pgconn.send_query_prepared(name, values)
        return name

    def add(self, query: bytes, name: bytes) -> None:
        """Note that the server has prepared a statement."""
        self._names[query] = name


def execute(
    connection: psycopg.Connection[Any],
    statements: Sequence[Statement],
    prepared: Prepared | None = None,
) -> list[list[tuple[Any, ...]] | int]:
    """Send statements together, and return the rows of each, or how many it has changed.

    A statement is not executed if one before it has failed. The connection is closed if anything but the server's
    answers ends this: nobody could use it any more.

    :param connection: One with ``autocommit``.
    :param statements: Texts with ``%s`` for each parameter, which is None, an integer, a float or a text.
    :param prepared: What its session has prepared; None if the next transaction may have another session.
    :raises psycopg.Error: as psycopg itself does.
    """
    pgconn = connection.pgconn
    #: For each result the statement that was prepared there, with its name, or None.
    preparations: list[tuple[bytes, bytes] | None] = []
    sent = [
        (
            (text % tuple(f"${place + 1}" for place in range(len(parameters)))).encode(),
            [_encoded(value) for value in parameters],
        )
        for text, parameters in statements
    ]
    try:
        pgconn.enter_pipeline_mode()
        for query, values in sent:
            if prepared is None or not values:
                pgconn.send_query_params(query, values)
            elif (name := prepared.send(pgconn, query, values)) is not None:
                preparations.append((query, name))
            preparations.append(None)
        pgconn.pipeline_sync()
        results = connection.wait(_results(pgconn))
        pgconn.exit_pipeline_mode()
    except BaseException:
        connection.close()
        raise
    found: list[list[tuple[Any, ...]] | int] = []
    loaders = Transformer(connection)
    for result, preparation in zip(results, preparations, strict=False):
        if result.status == _FAILED:
            raise _error(result)
        if (
            result.command_status == b"ROLLBACK"
        ):  # what COMMIT does after a failure, without an error
            raise psycopg.OperationalError("the transaction was rolled back")
        if prepared is not None and preparation is not None:
            prepared.add(*preparation)
        elif result.status == _ROWS:
            found.append(_rows(result, loaders))
        else:
            found.append(result.command_tuples or 0)
    return found


def array(column: Iterable[Any]) -> str:
    """Return an array as a parameter; psycopg takes much longer over that."""
    elements = [
        "NULL"
        if value is None
        else f'"{value.replace(_BACKSLASH, _TWO).replace(_QUOTE, _ESCAPED)}"'
        if isinstance(value, str)
        else str(value)
        for value in column
    ]
    return f"{{{','.join(elements)}}}"


_BACKSLASH, _TWO, _QUOTE, _ESCAPED = "\\", r"\\", '"', r"\""


def _encoded(value: float | str | None) -> bytes | None:
    """Return a parameter as a text, of which the server finds out what it stands for."""
    if value is None:
        return None
    encoded = str(value).encode()
    if b"\0" in encoded:  # libpq would end it there
        raise psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes")
    return encoded


def _results(pgconn: PGconn) -> Generator[Wait, Ready | int, list[PGresult]]:
    """Send what waits to be sent, and receive what the statements return."""
    while pgconn.flush():
        # The server may wait for its answers to be taken before it takes more.
        if (yield Wait.RW) & Ready.R:
            pgconn.consume_input()
    results: list[PGresult] = []
    while True:
        while pgconn.is_busy():
            yield Wait.R
            pgconn.consume_input()
        result = pgconn.get_result()
        if result is None:  # the end of what one statement returns
            if pgconn.status != pq.ConnStatus.OK:
                raise psycopg.OperationalError("the connection is lost")
        elif result.status == _SYNC:
            return results
        else:
            results.append(result)


def _rows(result: PGresult, loaders: Loaders) -> list[tuple[Any, ...]]:
    columns = [
        (column, loaders.get_loader(result.ftype(column), pq.Format.TEXT).load)
        for column in range(result.nfields)
    ]
    return [
        tuple(
            None if (value := result.get_value(row, column)) is None else load(value)
            for column, load in columns
        )
        for row in range(result.ntuples)
    ]


def _error(result: PGresult) -> psycopg.Error:
    state = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
    message = result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or result.error_message
    try:
        kind = psycopg.errors.lookup(state)
    except KeyError:
        kind = psycopg.OperationalError if not state else psycopg.DatabaseError
    return kind(message.decode(errors="replace").strip())
