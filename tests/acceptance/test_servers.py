from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.support import POSTGRESQL_FIRST, SQLITE, SQLITE_FIRST

if TYPE_CHECKING:
    from tests.acceptance.conftest import Host

APP = "tests.acceptance.stored:app"
GUNICORN = ["gunicorn", "--bind=127.0.0.1:0", "--workers=2"]
SERVERS = {
    "gunicorn, sync": [*GUNICORN, APP],
    "gunicorn, gthread": [*GUNICORN, "--threads=2", APP],
    "gunicorn, preload": [*GUNICORN, "--preload", APP],
    "waitress": ["waitress", "--listen=127.0.0.1:0", APP],
    "flask run, reloader": ["flask", f"--app={APP}", "run", "--debug", "--port=0"],
}
UUIDS = [f"uuid-{number}" for number in range(12)]
EACH_ONCE = sorted((uuid, receiver) for uuid in UUIDS for receiver in ("audit", "crm"))


@SQLITE
@pytest.mark.parametrize("command", SERVERS.values(), ids=SERVERS)
def test_a_server_dispatches_in_one_of_its_processes(host: Host, command: list[str]) -> None:
    """Whatever forks, threads or reloads: a file has one process that runs receivers, each once."""
    server = host.serve(*command)

    for uuid in UUIDS:
        host.send_until_stored(server, uuid)
    host.await_state(done=len(UUIDS))

    assert host.ran() == EACH_ONCE
    assert len({run.pid for run in host.runs("begin")}) == 1


@POSTGRESQL_FIRST
def test_gevent_leaves_the_receivers_to_a_worker(host: Host) -> None:
    """Under gevent, with an external worker, the server stores and the worker runs the receivers."""
    command = [*GUNICORN, "--worker-class=gevent", APP]
    server = host.serve(*command, WORKER="external")

    for uuid in UUIDS:
        host.send_until_stored(server, uuid)
    worker = host.worker()
    host.await_state(done=len(UUIDS))

    assert host.ran() == EACH_ONCE
    assert {run.pid for run in host.runs("begin")} == {worker.pid}


@pytest.mark.parametrize(
    ("command", "number"),
    [
        (SERVERS["gunicorn, sync"], signal.SIGTERM),
        (SERVERS["gunicorn, gthread"], signal.SIGTERM),
        (SERVERS["gunicorn, preload"], signal.SIGTERM),
        # Waitress has no way with SIGTERM; Ctrl-C ends it in order.
        (SERVERS["waitress"], signal.SIGINT),
    ],
    ids=["gunicorn, sync", "gunicorn, gthread", "gunicorn, preload", "waitress"],
)
@SQLITE
def test_a_server_that_stops_finishes_what_is_in_hand(
    host: Host, command: list[str], number: signal.Signals
) -> None:
    """At the signal the receiver that is running finishes, it is written down, and the rest is left."""
    server = host.serve(*command)
    host.send_until_stored(server, "running", "waiting", seconds=2)
    host.await_run("running", "audit")
    host.await_run("running", "crm", "begin")

    server.send(number)

    assert server.await_end() == 0
    assert ("running", "crm") in host.ran()
    assert ("waiting", "crm") not in host.ran("begin")
    host.await_state(claimed=1, done=1)


@SQLITE
def test_a_child_of_multiprocessing_finishes_what_is_in_hand(host: Host) -> None:
    """So it is in servers that serve in such a process, granian for one: it does not come to ``atexit``."""
    server = host.serve("tests.acceptance.child")
    host.send_until_stored(server, "running", "waiting", seconds=2)
    host.await_run("running", "audit")
    host.await_run("running", "crm", "begin")

    server.send(signal.SIGTERM)

    assert server.await_end() == 0
    assert ("running", "crm") in host.ran()
    assert ("waiting", "crm") not in host.ran("begin")
    host.await_state(claimed=1, done=1)


@SQLITE_FIRST
def test_a_worker_that_stops_finishes_what_is_in_hand(host: Host) -> None:
    """At SIGTERM the receiver that is running finishes, and the next worker has only the rest."""
    host.store("running", "waiting", seconds=2)
    worker = host.worker()
    host.await_run("running", "crm", "begin")

    worker.send(signal.SIGTERM)

    assert worker.await_end() == 0
    assert ("waiting", "crm") not in host.ran("begin")
    drained = host.flask("okta-hooks", "worker", "--drain")
    assert drained.await_end() == 0
    assert host.ran("begin") == sorted(
        (uuid, receiver) for uuid in ("running", "waiting") for receiver in ("audit", "crm")
    )
    assert host.inbox.overview.counts().done == 2
