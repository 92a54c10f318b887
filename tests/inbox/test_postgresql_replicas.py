from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from okta_hooks.inbox import Inbox, vacuum
from tests.support import PATIENCE

from .support import another_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import sqlalchemy as sa

    from okta_hooks.inbox.vacuum import Report

NO_TIME = -1.0


class Server:
    """A server of a test's own, that may be started again with other settings, and have a standby."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine
        self.folder = self.scalar("SHOW data_directory")
        self._programs = self.scalar("SELECT setting FROM pg_config WHERE name = 'BINDIR'")
        self.inbox = Inbox(engine.url.set(drivername="postgresql").render_as_string())

    def scalar(self, statement: str) -> str:
        """Return the first value that a statement returns."""
        with self.engine.connect() as connection:
            return str(connection.exec_driver_sql(statement).scalar())

    def run(self, program: str, *arguments: str) -> None:
        """Run a program of PostgreSQL's as the user whose server it is."""
        owner = Path(self.folder).stat().st_uid
        subprocess.run(
            [f"{self._programs}/{program}", *arguments],
            check=True,
            timeout=PATIENCE,
            cwd=self.folder,
            user=owner if os.geteuid() == 0 else None,
        )

    def await_report(self, condition: Callable[[Report], bool]) -> Report:
        """Ask for what holds vacuum back until something is so."""
        ended = threading.Event()
        timer = threading.Timer(PATIENCE, ended.set)
        timer.start()
        try:
            while True:
                found = self.inbox.vacuum.report(older_than=NO_TIME)
                assert found is not None
                if condition(found):
                    return found
                assert not ended.wait(0.1), found
        finally:
            timer.cancel()


@pytest.fixture
def server(postgresql: sa.Engine) -> Iterator[Server]:  # which is skipped without the extra
    """Return a server of this test's own."""
    with another_server() as engine:
        made = Server(engine)
        made.inbox.open()
        yield made
        made.inbox.close()


def test_a_prepared_transaction(server: Server) -> None:
    """One that nobody has ended is told of by its name."""
    with server.engine.connect() as connection:
        connection.exec_driver_sql("ALTER SYSTEM SET max_prepared_transactions = 1")
    server.run("pg_ctl", "restart", "-D", server.folder, "-m", "fast", "-l", "log")
    with server.engine.connect() as connection:
        for statement in (
            "BEGIN",
            "CREATE TABLE of_the_host ()",
            "PREPARE TRANSACTION 'order 12'",
        ):
            connection.exec_driver_sql(statement)

    (prepared,) = server.await_report(lambda found: bool(found.prepared)).prepared

    assert (prepared.name, prepared.owner) == ("order 12", "postgres")
    assert 0 <= prepared.seconds < PATIENCE
    found = server.inbox.vacuum.report(older_than=3600.0)
    assert found is not None
    assert found.prepared == ()


@pytest.mark.parametrize("slot", [None, "east"])
def test_a_standby_that_needs_old_rows(
    server: Server, monkeypatch: pytest.MonkeyPatch, slot: str | None
) -> None:
    """It is told of if that is much; its slot is told of when nobody uses it, however much that is."""
    standby = f"{server.folder}/standby"
    source = ["-d", f"host={server.engine.url.query['host']} user=postgres application_name=west"]
    used = ["-C", "-S", slot] if slot else []
    server.run("pg_basebackup", *source, "-D", standby, "-R", "-c", "fast", *used)
    # The server keeps its socket among its data.
    Path(standby, ".s.PGSQL.5432.lock").unlink()
    settings = "-c hot_standby_feedback=on -c wal_receiver_status_interval=1"
    own = f"-h '' -k {standby}"
    server.run("pg_ctl", "start", "-w", "-D", standby, "-l", "log", "-o", f"{settings} {own}")
    try:
        assert server.await_report(lambda found: True).replicas == ()
        monkeypatch.setattr(vacuum, "_MANY_TRANSACTIONS", 0)
        (replica,) = server.await_report(lambda found: bool(found.replicas)).replicas
        monkeypatch.undo()
        assert (replica.name, replica.is_slot) == (slot or "west", slot is not None)
        assert replica.is_active
        assert 0 <= replica.transactions < 1000
    finally:
        server.run("pg_ctl", "stop", "-w", "-D", standby, "-m", "fast")
    if slot:
        (left,) = server.await_report(lambda found: bool(found.replicas)).replicas
        assert (left.name, left.is_active) == (slot, False)
