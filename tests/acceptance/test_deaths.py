"""What counts as a death, and whose: real processes are killed, and stopped."""

from __future__ import annotations

import contextlib
import http.client
import signal
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from okta_hooks.inbox.tables import receipt
from tests.support import LONG, POSTGRESQL_FIRST, SQLITE, SQLITE_FIRST

from .conftest import until

if TYPE_CHECKING:
    from tests.acceptance.conftest import Host, Server

DEADLY = "tests.acceptance.deadly"
#: So often a process dies before what it died of is given up.
DEATHS = 5
#: How often a process is stopped in a way that is no death: the first that is counted is found.
STOPS = DEATHS + 1 if LONG else 2
#: The same, where a process takes its time to end.
SLOW_STOPS = 3 if LONG else 1


def receipts(host: Host, uuid: str) -> dict[str, tuple[str, int]]:
    return {
        row.receiver: (row.state, row.attempts)
        for row in host.inbox.overview.show(uuid)[0].receipts
    }


def deaths(host: Host) -> int:
    """Return how many deaths are held against receipts, all in all."""
    with host.inbox.database.reading() as connection:
        held = sa.func.sum(
            receipt.c.claims
            - receipt.c.attempts
            - sa.case((receipt.c.state == "claimed", 1), else_=0)
        )
        return int(connection.scalar(sa.select(held)) or 0)


@SQLITE_FIRST
def test_what_kills_is_told_from_what_runs_beside_it(host: Host) -> None:
    """After five deaths the killer is a dead letter; what was in hand beside it is handled, each receiver's."""
    host.store("slow", seconds=3)
    host.store("kill-1", "innocent")

    died = 0
    for _ in range(DEATHS):
        worker = host.flask("okta-hooks", "worker", app=DEADLY)
        died += worker.await_end() == -signal.SIGKILL
        host.let_leases_run_out()
    host.worker(app=DEADLY)
    host.await_state(done=2, dead=1)

    assert died == DEATHS
    assert receipts(host, "kill-1") == {
        "audit": ("done", 1),
        "crm": ("done", 1),
        "killer": ("dead", 0),
    }
    assert receipts(host, "slow")["crm"] == ("done", 1)
    assert len(host.await_run("slow", "crm", "begin")) > 0


@pytest.mark.long
@POSTGRESQL_FIRST
def test_a_worker_that_is_made_to_stop(host: Host) -> None:
    """Two signals end a worker in the middle of a run: no death is counted, however often."""
    host.store("slow", seconds=60)
    for number in range(1, STOPS + 1):
        worker = host.worker(app=DEADLY)
        host.await_run("slow", "crm", "begin", times=number)
        worker.send(signal.SIGTERM)
        worker.await_output("Finishing what is in hand")
        worker.send(signal.SIGTERM)
        assert worker.await_end() == 128 + signal.SIGTERM
        assert deaths(host) == 0

    assert receipts(host, "slow")["crm"] == ("pending", 0)


@pytest.mark.long
@SQLITE_FIRST
def test_a_worker_that_is_killed_while_it_stops(host: Host) -> None:
    """As a container is that takes longer than its grace: that it was told to stop is written down at once."""
    host.store("slow", seconds=60)
    for number in range(1, SLOW_STOPS + 1):
        worker = host.worker(app=DEADLY)
        host.await_run("slow", "crm", "begin", times=number)
        worker.send(signal.SIGTERM)
        until(lambda: _is_stopping(host))
        worker.kill()
        host.let_leases_run_out()

    host.worker(app=DEADLY)
    host.await_run("slow", "crm", "begin", times=SLOW_STOPS + 1)
    assert deaths(host) == 0


def _is_stopping(host: Host) -> bool:
    with host.inbox.database.reading() as connection:
        found = connection.exec_driver_sql("SELECT max(is_stopping) FROM okta_hooks_worker")
        return bool(found.scalar())


@pytest.mark.long
@SQLITE
def test_a_server_that_renews_its_processes(host: Host) -> None:
    """``--max-requests`` ends a process in the middle of a run, after the grace: that is no death."""
    server = host.serve(
        "gunicorn",
        "--bind=127.0.0.1:0",
        "--workers=1",
        "--max-requests=2",
        f"{DEADLY}:app",
        GRACE="0.5",
    )
    assert host.post(server, "slow", seconds=60, timeout=30).status == 204
    for number in range(1, SLOW_STOPS + 1):
        host.await_run("slow", "crm", "begin", times=number)
        # The second request of each process is its last.
        _get(host, server)
        _get(host, server)
        host.await_run("slow", "crm", "begin", times=number + 1)
        assert deaths(host) == 0

    assert "Autorestarting worker" in server.output + server.read()
    assert receipts(host, "slow")["crm"][1] == 0


@pytest.mark.long
@SQLITE
@pytest.mark.parametrize("name", ["waitress", "flask run"])
def test_a_server_that_leaves_sigterm_to_the_system(host: Host, name: str) -> None:
    """Nothing of Python's runs when it ends: that it was told to is found out all the same, and is no death."""
    for number in range(1, STOPS + 1):
        server = _serve(host, name)
        _begin(host, server, number)
        server.send(signal.SIGTERM)
        assert server.await_end() == -signal.SIGTERM

    server = _serve(host, name)
    _begin(host, server, STOPS + 1)
    assert deaths(host) == 0
    server.kill()

    server = _serve(host, name)
    _begin(host, server, STOPS + 2)
    assert deaths(host) == 1
    assert receipts(host, "slow")["crm"] == ("claimed", 0)


@POSTGRESQL_FIRST
def test_a_server_that_takes_its_time_at_sigterm(host: Host) -> None:
    """What is killed after it, such as the first process of a container, has written down that it was told to end."""
    for number in range(1, 3):
        server = host.flask_run("tests.acceptance.lives_on")
        _begin(host, server, number)
        server.send(signal.SIGTERM)
        until(lambda: _is_stopping(host))
        server.kill()
        host.let_leases_run_out()

    _begin(host, host.flask_run(DEADLY), 3)
    assert deaths(host) == 0


def _serve(host: Host, name: str) -> Server:
    if name == "flask run":
        return host.flask_run(DEADLY)
    return host.serve("waitress", "--listen=127.0.0.1:0", f"{DEADLY}:app")


def _begin(host: Host, server: Server, number: int) -> None:
    """Wait until the receiver has begun to run on its event so often."""
    if number == 1:
        host.send_until_stored(server, "slow", seconds=60)
        # What is in hand beside it would be cut off, too.
        until(lambda: _is_done(host, "audit") and _is_done(host, "killer"))
    else:
        _get(host, server)
    host.await_run("slow", "crm", "begin", times=number)


def _is_done(host: Host, receiver: str) -> bool:
    return receipts(host, "slow").get(receiver, ("", 0))[0] == "done"


def _get(host: Host, server: Server) -> None:
    """Ask for a page, until there is an answer: the process may just be another."""

    def is_answered() -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException):
            host.get(server)
            return True
        return False

    until(is_answered)


@pytest.mark.long
@SQLITE
def test_a_server_that_aborts_its_processes(host: Host) -> None:
    """A process whose request takes too long gets SIGABRT, and a second later SIGKILL: that is no death."""
    server = host.serve(
        "gunicorn", "--bind=127.0.0.1:0", "--workers=1", "--timeout=3", f"{DEADLY}:app"
    )
    assert host.post(server, "slow", seconds=60, timeout=30).status == 204
    for number in range(1, SLOW_STOPS + 1):
        host.await_run("slow", "crm", "begin", times=number)
        with contextlib.suppress(OSError, http.client.HTTPException):
            _hang(server)
        _get(host, server)
        host.await_run("slow", "crm", "begin", times=number + 1)
        assert deaths(host) == 0

    assert "WORKER TIMEOUT" in server.output + server.read()


def _hang(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", "/hang")
        connection.getresponse()
