from __future__ import annotations

import os
import resource
import signal
import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from tests.support import SQLITE_FIRST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tests.acceptance.conftest import Host, Server

EVENTS = ["one", "two"]
EACH_ONCE = sorted((uuid, receiver) for uuid in EVENTS for receiver in ("audit", "crm"))
IN_TIME = 2.5


@contextmanager
def locked(host: Host, server: Server) -> Iterator[None]:
    """Let another process of the host's be in the middle of writing to the SQLite file."""
    assert host.inbox.path is not None
    with closing(sqlite3.connect(host.inbox.path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield


@contextmanager
def full(host: Host, server: Server) -> Iterator[None]:
    """Let no file of the server's grow: what it writes fails as on a disk that is full."""
    soft, hard = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (4096, hard))
    try:
        yield
    finally:
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def frozen(host: Host, server: Server) -> Iterator[None]:
    """Let PostgreSQL stand still: connections stay open, new ones are taken, nobody answers."""
    pids = host.postgresql_pids()
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("is_open", [True, False], ids=["open", "not yet open"])
@pytest.mark.parametrize(
    ("trouble", "inbox_url"),
    [(locked, "SQLite"), (full, "SQLite"), (frozen, "PostgreSQL")],
    ids=["locked", "full", "frozen"],
    indirect=["inbox_url"],
)
def test_a_database_in_trouble(
    host: Host,
    trouble: Callable[[Host, Server], AbstractContextManager[None]],
    is_open: bool,
) -> None:
    """Okta gets its 503 before it stops waiting; what it sends again afterwards is stored and handled."""
    server = host.flask_run()
    if is_open:
        host.send_until_stored(server, "before")
        host.await_state(done=1)

    with trouble(host, server):
        # What a process imports at its first request would count otherwise.
        host.get(server)
        refused = [host.post(server, *EVENTS), host.post(server, *EVENTS)]

    assert [answer.status for answer in refused] == [503, 503]
    assert max(answer.seconds for answer in refused) < IN_TIME
    host.send_until_stored(server, *EVENTS)
    host.await_state(pending=0, claimed=0, done=len(EVENTS) + is_open)
    assert [run for run in host.ran("begin") if run[0] != "before"] == EACH_ONCE


@SQLITE_FIRST
def test_a_receiver_that_hangs(host: Host) -> None:
    """It delays no answer, and the other receivers get what is theirs meanwhile."""
    server = host.flask_run()
    host.send_until_stored(server, "hangs", seconds=60)
    host.await_run("hangs", "crm", "begin")

    answers = [host.post(server, uuid) for uuid in EVENTS]
    for uuid in EVENTS:
        host.await_run(uuid, "audit")

    assert [answer.status for answer in answers] == [204] * len(EVENTS)
    assert max(answer.seconds for answer in answers) < IN_TIME
    assert [run for run in host.ran("begin") if run[1] == "crm"] == [("hangs", "crm")]
    assert ("hangs", "crm") not in host.ran()


@pytest.mark.parametrize("inbox_url", ["PostgreSQL"], indirect=True)
@pytest.mark.parametrize("arguments", [(), ("--drain",)], ids=["worker", "drain"])
def test_a_stop_while_the_database_refuses(
    host: Host, postgresql: sa.Engine, inbox_url: str, arguments: tuple[str, ...]
) -> None:
    """A worker that cannot write down what it did says so in a handful of lines, and ends."""
    host.store("slow", seconds=3)
    worker = host.flask("okta-hooks", "worker", *arguments)
    host.await_run("slow", "crm", "begin")

    name = sa.make_url(inbox_url).database
    with postgresql.connect() as connection:
        connection.exec_driver_sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        connection.execute(
            sa.text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"),
            {"name": name},
        )
    worker.send(signal.SIGTERM)
    worker.await_end()
    with postgresql.connect() as connection:
        connection.exec_driver_sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")

    worker.read()
    lines = [line for line in worker.output.splitlines() if "okta-hooks" not in line]
    print(f"{len(lines)} lines")
    assert len(lines) < 40
    assert sum("cannot" in line or "could not" in line for line in lines) <= 6
