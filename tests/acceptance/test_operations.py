from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import sqlite3
import threading
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.acceptance.conftest import until
from tests.support import SOON, SQLITE, SQLITE_FIRST, receipts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tests.acceptance.conftest import Host, Server

pytest.importorskip("prometheus_client", reason="the extra prometheus is not installed")

APP = "tests.acceptance.operated"
GUNICORN = ["gunicorn", "--bind=127.0.0.1:0", "--workers=2", f"{APP}:app"]
TOKEN = "a token of the tests"
CONFIG = {"OPERATIONS_TOKEN": TOKEN, "WORKER": "external"}


class Said(NamedTuple):
    """An answer, which process it came from, and how many seconds that took."""

    status: int
    text: str
    process: str
    seconds: float


def ask(server: Server, method: str, path: str, timeout: float = 60.0) -> Said:
    """Ask as a machine with the token does."""
    began = time.monotonic()
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=timeout)) as one:
        one.request(method, path, headers={"Authorization": f"Bearer {TOKEN}"})
        answer = one.getresponse()
        text = answer.read().decode()
    process = answer.headers["X-Process"] or ""
    return Said(answer.status, text, process, time.monotonic() - began)


def refuse(server: Server) -> None:
    """Deliver without a secret."""
    with closing(http.client.HTTPConnection("127.0.0.1", server.port)) as connection:
        connection.request("POST", "/okta/events", "{}", {"Content-Type": "application/json"})
        assert connection.getresponse().status == 401


def counters(text: str) -> dict[str, float]:
    """Return the counters of a scrape, by their names and labels, as Prometheus reads it."""
    from prometheus_client.parser import text_string_to_metric_families

    return {
        f"{sample.name}{sorted(sample.labels.items())}": sample.value
        for family in text_string_to_metric_families(text)
        if family.type in ("counter", "histogram")
        for sample in family.samples
    }


@SQLITE_FIRST
def test_two_processes_agree(host: Host) -> None:
    """Whichever is scraped, it tells what all have counted, and nothing falls when one of them is killed."""
    server = host.serve(*GUNICORN, **CONFIG)
    for number in range(12):
        host.send_until_stored(server, f"uuid-{number}")
        refuse(server)
    scrapes: dict[str, dict[str, float]] = {}

    def scrape() -> float:
        said = ask(server, "GET", "/okta/metrics")
        assert said.status == 200
        scrapes[said.process] = counters(said.text)
        found = scrapes[said.process].items()
        return sum(number for name, number in found if "refused" in name and "'401'" in name)

    # Each adds what it has counted after some seconds.
    until(lambda: scrape() == 12 and len(scrapes) == 2)
    scrapes.clear()
    until(lambda: scrape() and len(scrapes) == 2)

    one, other = scrapes.values()
    assert one == other
    new = [("hook", "okta"), ("result", "new"), ("via", "hook")]
    assert one[f"okta_hooks_events_total{new}"] == 12
    os.kill(int(next(iter(scrapes))), signal.SIGKILL)
    scrapes.clear()
    until(lambda: _scraped(scrape) and len(scrapes) == 2)
    assert list(scrapes.values()) == [one, one]


def _scraped(scrape: Callable[[], float]) -> bool:
    """Scrape, unless the process that is asked has just been killed."""
    try:
        return bool(scrape())
    except (OSError, http.client.HTTPException):
        return False


@contextmanager
def locked(host: Host) -> Iterator[None]:
    """Let another process of the host's be in the middle of writing to the SQLite file."""
    assert host.inbox.path is not None
    with closing(sqlite3.connect(host.inbox.path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield


@contextmanager
def frozen(host: Host) -> Iterator[None]:
    """Let PostgreSQL stand still: connections stay open, new ones are taken, nobody answers."""
    pids = host.postgresql_pids()
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize(
    ("trouble", "inbox_url", "scraped"),
    [(locked, "SQLite", 200), (frozen, "PostgreSQL", 503)],
    indirect=["inbox_url"],
)
def test_a_database_that_hangs(
    host: Host, trouble: Callable[[Host], AbstractContextManager[None]], scraped: int
) -> None:
    """Probes and scrapes are answered within a second, no thread more for each, and all is well afterwards."""
    server = host.flask_run(APP, **CONFIG)
    host.send_until_stored(server, "a")
    for path in ("readyz", "metrics"):
        until(lambda path=path: ask(server, "GET", f"/okta/{path}").status == 200)  # type: ignore[misc]
    threads = Path(f"/proc/{server.pid}/task")
    before = len(list(threads.iterdir()))

    with trouble(host):
        for path, status in (("readyz", 503), ("metrics", scraped), ("livez", 200)):
            # A busy machine may keep one of them waiting, but not all.
            answers = [ask(server, "GET", f"/okta/{path}") for _ in range(4)]
            assert status in {said.status for said in answers}, answers
            assert {said.status for said in answers} <= {status, 503}, answers
            assert min(said.seconds for said in answers) < 1.0
            assert max(said.seconds for said in answers) < SOON
        assert len(list(threads.iterdir())) <= before + 4

    for path in ("readyz", "metrics"):
        until(
            lambda path=path: ask(server, "GET", f"/okta/{path}").status == 200,  # type: ignore[misc]
            f"{path} after the database is back",
            10.0,
        )


@pytest.mark.parametrize("inbox_url", ["PostgreSQL"], indirect=True)
def test_an_instance_that_is_frozen(host: Host) -> None:
    """Past its lease another instance takes over: nothing is lost, and what the first does late settles nothing."""
    uuids = [f"uuid-{number}" for number in range(3)]
    frozen_one, other = (host.flask_run(APP, **CONFIG) for _ in range(2))
    for uuid in uuids:
        host.send_until_stored(frozen_one, uuid, seconds=1.0)
    answers: dict[str, Any] = {}

    def tick(name: str, server: Server) -> None:
        answers[name] = json.loads(ask(server, "POST", "/okta/tick").text)

    thread = threading.Thread(target=tick, args=("frozen", frozen_one))
    thread.start()
    host.await_run("uuid-0", "crm", "begin")
    frozen_one.send(signal.SIGSTOP)
    try:
        host.let_leases_run_out()
        tick("other", other)
        host.await_state(done=3)
    finally:
        frozen_one.send(signal.SIGCONT)
    thread.join(60.0)

    assert answers["other"]["due"] == answers["frozen"]["due"] == 0
    for uuid in uuids:
        assert receipts(host.inbox, uuid) == {"audit": ("done", 1), "crm": ("done", 1)}
    found = {one.receiver: one for one in host.inbox.totals.attempts()}
    assert {name: (one.done, one.retried, one.dead) for name, one in found.items()} == {
        "audit": (3, 0, 0),
        "crm": (3, 0, 0),
    }


@pytest.mark.parametrize("inbox_url", ["PostgreSQL"], indirect=True)
def test_an_instance_that_is_gone(host: Host) -> None:
    """A tick stays until it is sure of that: each later one may be a new process, which would watch anew."""
    dying, other = (host.flask_run(APP, **CONFIG) for _ in range(2))
    host.send_until_stored(dying, "a", seconds=3.0)
    with contextlib.suppress(TimeoutError):
        ask(dying, "POST", "/okta/tick", timeout=1.0)
    host.await_run("a", "crm", "begin")
    dying.kill()
    host.let_leases_run_out()

    said = ask(other, "POST", "/okta/tick")

    assert json.loads(said.text) == {"attempts": 1, "due": 0, "next_due": None}
    assert host.await_run("a", "crm").pid == other.pid


@SQLITE
def test_a_worker_has_metrics(host: Host) -> None:
    """It serves them on a port of its own, to who presents the token."""
    worker = host.flask(
        "okta-hooks", "worker", "--metrics-port", "0", app=APP, OPERATIONS_TOKEN=TOKEN
    )
    port = int(worker.await_output(r"Metrics are at http://0\.0\.0\.0:(\d+)/metrics")[1])
    worker.await_output("The worker .* has started")
    host.store("a")
    host.await_state(done=1)

    def get(path: str, **headers: str) -> tuple[int, str]:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    status, text = get("/metrics", Authorization=f"Bearer {TOKEN}")

    assert status == 200
    assert "okta_hooks_workers 1.0" in text
    assert get("/metrics")[0] == 401
    assert get("/")[0] == 404
    worker.send(signal.SIGTERM)
    assert worker.await_end() == 0


@SQLITE
def test_a_worker_without_a_token_has_metrics_on_the_loopback(host: Host) -> None:
    """Nobody else may read what nobody has to ask for."""
    worker = host.flask("okta-hooks", "worker", "--metrics-port", "0", app=APP)
    port = int(worker.await_output(r"Metrics are at http://127\.0\.0\.1:(\d+)/metrics")[1])

    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("GET", "/metrics")
        assert connection.getresponse().status == 200
