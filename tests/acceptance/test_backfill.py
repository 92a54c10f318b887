from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import signal
import socket
import sqlite3
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from okta_hooks.inbox.selection import Selection
from okta_hooks.simulator import Org, Simulator
from tests.acceptance.conftest import SESSION_START, STORED, await_verified, until
from tests.support import (
    LONG,
    POSTGRESQL_FIRST,
    SECRET,
    SQLITE,
    SQLITE_FIRST,
    answer_challenge,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.acceptance.conftest import Host, Process, Server

TOKEN = "00a-token"
#: ``make backfill-kills`` sets it to 20.
KILLS = int(os.environ.get("BACKFILL_KILLS", "5" if LONG else "3"))
#: In the log before the first start, and before each.
EVENTS_BEHIND = max(4000, 1000 * KILLS)
EVENTS_PER_KILL = 500
FULL_PAGE = 1000


class Okta:
    """A simulated org whose hook delivers to one port of this machine."""

    def __init__(self, host: Host, simulator: Simulator) -> None:
        self._host = host
        self.org = simulator.org
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/okta/events"
        self.config = {"ORG_URL": simulator.url, "API_TOKEN": TOKEN, "URL": self.url}

    def serve(self, **config: str) -> Server:
        """Start the app on that port."""
        command = ["flask", "--app", STORED, "run", "--no-reload", f"--port={self.port}"]
        return self._host.serve(*command, **config)

    def register(self) -> None:
        """Register the hook; the app is up, or about to be."""
        await_verified(self.url)
        self.org.register(self.url, [SESSION_START], secret=SECRET)

    def emit(self, count: int, *faults: str) -> list[str]:
        """Let people sign in, some minutes ago, and return the uuids."""
        events = self.org.emit(
            SESSION_START,
            count=count,
            faults=faults,
            display_message="0",  # seconds that a receiver takes
            published=datetime.now(UTC) - timedelta(minutes=5),
        )
        return [event["uuid"] for event in events]

    def start(self, *arguments: str) -> Process:
        """Start a command that talks to the org."""
        return self._host.flask("okta-hooks", *arguments, **self.config)

    def run(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """Run a command with ``--json``, and return its exit status and what it printed."""
        process = self.start(*arguments, "--json")
        status = process.await_end()
        process.read()
        (line,) = [line for line in process.output.splitlines() if line.startswith("{")]
        return status, json.loads(line)

    def stored(self) -> list[str]:
        """Return the uuids of the events in the inbox, sorted."""
        found = self._host.inbox.overview.find(Selection(), limit=100_000)
        return sorted(event.uuid for event in found)


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """Run an org that may be asked as often as a test likes."""
    org = Org(token=TOKEN, seed=1, http_hooks=True)
    with Simulator(org, rate_limits={"/api/v1/": 10**6, "/api/v1/logs": 10**6}) as simulator:
        yield simulator


@pytest.fixture
def okta(host: Host, simulator: Simulator) -> Okta:
    """Return the org and its hook."""
    return Okta(host, simulator)


@pytest.fixture
def unserved(okta: Okta) -> Okta:
    """Return an org with a hook that is verified, and delivers nothing."""
    okta.org.send = answer_challenge
    okta.org.register(okta.url, [SESSION_START], secret=SECRET)
    return okta


@contextlib.contextmanager
def nothing_behind_the_proxy(port: int) -> Iterator[None]:
    """Answer as a proxy does whose app is down."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(503)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield
    server.shutdown()
    thread.join()
    server.server_close()


@SQLITE_FIRST
def test_an_outage_is_made_good(host: Host, okta: Okta) -> None:
    """What Okta could not deliver while the app was down reaches each receiver once."""
    server = okta.serve()
    okta.register()
    before = okta.emit(20)
    okta.org.settle()
    server.kill()
    with nothing_behind_the_proxy(okta.port):
        missed = okta.emit(500)
        okta.org.settle()
    failed = [each for each in okta.org.deliveries() if each["state"] == "failed"]
    assert [len(each["attempts"]) for each in failed] == [2] * 5
    host.get(okta.serve())

    status, report = okta.run("reconcile")
    assert (status, sorted(report["missing"])) == (1, sorted(missed))
    assert (report["meant"], report["by_hook"], report["failed_deliveries"]) == (520, 20, 5)

    status, read = okta.run("backfill", "--since", "24h")
    assert (status, read["new"], read["duplicate"]) == (0, 500, 20)

    host.await_state(done=520)
    everything = sorted(
        (uuid, receiver) for uuid in before + missed for receiver in ("audit", "crm")
    )
    assert host.ran() == everything
    status, report = okta.run("reconcile")
    assert (status, report["missing"]) == (0, [])
    assert (report["by_hook"], report["by_backfill"]) == (20, 500)


@POSTGRESQL_FIRST
def test_a_wrong_secret_is_made_good(host: Host, okta: Okta) -> None:
    """Okta never sends again what was refused with 401; once the secret is right, the log has it."""
    server = okta.serve()
    okta.register()
    server.kill()
    server = okta.serve(SECRET="a typo")
    missed = okta.emit(100)
    okta.org.settle()
    (failed,) = okta.org.deliveries()
    # On a busy machine the first may have been a time-out.
    assert failed["attempts"][-1]["status"] == 401
    assert okta.stored() == []
    server.kill()
    host.get(okta.serve())

    assert okta.run("backfill", "--since=1h")[1]["new"] == 100

    later = okta.emit(10)
    okta.org.settle()
    host.await_state(done=110)
    assert host.ran() == sorted(
        (uuid, receiver) for uuid in missed + later for receiver in ("audit", "crm")
    )
    status, report = okta.run("reconcile", "--since=1h")
    assert (status, report["by_backfill"], report["by_hook"]) == (0, 100, 10)


@pytest.mark.long
@POSTGRESQL_FIRST
def test_a_backfill_that_is_killed_goes_on(host: Host, unserved: Okta) -> None:
    """Wherever it dies, nothing is missing in the end, and nothing is there twice."""
    chance = random.Random(KILLS)
    uuids = unserved.emit(EVENTS_BEHIND, "lost")
    stored = [0]
    left = []
    for number in range(KILLS):
        uuids += unserved.emit(EVENTS_PER_KILL, "lost")
        cursor = host.inbox.cursors.of(unserved.org.url)
        since = [] if cursor else ["--since=1h"]
        process = unserved.start("backfill", "--follow", *since)
        process.await_output("Reading the System Log")
        if number % 2 == 0 and len(uuids) - stored[-1] > 2 * FULL_PAGE:
            begun = host.inbox.cursors.of(unserved.org.url)
            until(lambda: host.inbox.cursors.of(unserved.org.url) != begun, "a page")  # noqa: B023 - called in this round
        time.sleep(chance.uniform(0, 0.1))
        process.kill()
        stored.append(len(unserved.stored()))
        left.append(len(uuids) - stored[-1])
    print(f"of {len(uuids)} events, stored at the kills: {stored[1:]}, left: {left}")
    grown = [after > before for before, after in itertools.pairwise(stored)]
    between = [more and rest > FULL_PAGE for more, rest in zip(grown, left, strict=True)]
    print(f"{sum(between)} of {KILLS} kills between two full pages")
    assert any(between)

    assert unserved.run("backfill")[0] == 0

    assert unserved.stored() == sorted(uuids)
    assert unserved.run("reconcile")[0] == 0


@pytest.mark.long
@SQLITE_FIRST
def test_a_backfill_that_was_to_go_back_and_is_killed(host: Host, unserved: Okta) -> None:
    """Without --since it goes on from where it was killed, though an earlier one had come further."""
    now = datetime.now(UTC)
    unserved.org.clock = lambda: now - timedelta(hours=2)
    uuids = unserved.emit(10_000 if LONG else 4000, "lost")
    unserved.org.clock = lambda: datetime.now(UTC)
    assert unserved.run("backfill", "--since=1m")[1]["new"] == 0

    process = unserved.start("backfill", "--since=3h")
    until(lambda: host.inbox.overview.find(Selection(), limit=1), "a page")
    process.kill()
    assert 0 < len(unserved.stored()) < len(uuids)

    assert unserved.run("backfill")[0] == 0
    assert unserved.stored() == sorted(uuids)
    assert unserved.run("reconcile")[0] == 0


@SQLITE
def test_a_worker_that_also_backfills(host: Host, unserved: Okta) -> None:
    """It hands out what Okta did not deliver, within seconds, and stops when it is told to."""
    worker = unserved.start("worker", "--backfill=1s")
    until(lambda: host.inbox.cursors.of(unserved.org.url), "the first page")
    missed = unserved.emit(50, "lost")

    host.await_state(done=50)

    worker.send(signal.SIGTERM)
    assert worker.await_end() == 0
    assert host.ran() == sorted(
        (uuid, receiver) for uuid in missed for receiver in ("audit", "crm")
    )


@SQLITE
def test_a_worker_whose_backfill_fails(host: Host, unserved: Okta) -> None:
    """That is in the log, and the receivers run all the same."""
    unserved.config["API_TOKEN"] = "wrong"
    worker = unserved.start("worker", "--backfill=1s")

    worker.await_output("The backfill failed, and is tried again: Okta answered 401")
    host.store("a")
    host.await_state(done=1)
    worker.send(signal.SIGTERM)
    assert worker.await_end() == 0


@POSTGRESQL_FIRST
def test_two_at_once(host: Host, unserved: Okta) -> None:
    """They share one cursor, which never goes back; nothing is missing, and nothing is there twice."""
    begun = unserved.run("backfill", "--since=1h")[1]
    assert begun["new"] == 0
    both = [unserved.start("backfill", "--follow", "--every=1s") for _ in range(2)]
    for process in both:
        process.await_output("Reading the System Log")
    uuids = []
    reached = []
    for _ in range(3):
        uuids += unserved.emit(1200, "lost")
        host.await_state(pending=len(uuids))
        cursor = host.inbox.cursors.of(unserved.org.url)
        assert cursor
        reached.append(cursor.reached_at)

    for process in both:
        process.send(signal.SIGTERM)
        assert process.await_end() == 0
    assert unserved.stored() == sorted(uuids)
    # Of two that ask at the end of the log at once, either may write down last when it has asked.
    assert all((later or 0) > (earlier or 0) - 1 for earlier, later in pairwise(reached))


@SQLITE
def test_an_inbox_that_is_locked(host: Host, unserved: Okta) -> None:
    """The cursor does not move until what was read is stored."""
    process = unserved.start("backfill", "--follow", "--since=1h", "--every=1s")
    until(lambda: host.inbox.cursors.of(unserved.org.url), "the first page")

    with contextlib.closing(sqlite3.connect(str(host.inbox.path))) as other:
        other.execute("BEGIN IMMEDIATE")
        before = host.inbox.cursors.of(unserved.org.url)
        uuids = unserved.emit(100, "lost")
        process.await_output(r"database is locked\. Trying again in 2 s")
        assert host.inbox.cursors.of(unserved.org.url) == before
        other.rollback()

    host.await_state(pending=100)
    process.send(signal.SIGTERM)
    assert process.await_end() == 0
    assert unserved.stored() == sorted(uuids)


@SQLITE
def test_a_backfill_that_is_told_to_stop(unserved: Okta) -> None:
    """It stops while it waits at the end of the log; what it did is printed."""
    process = unserved.start("backfill", "--follow", "--since=1h", "--every=1h")
    process.await_output("Reading the System Log")

    process.send(signal.SIGINT)

    assert process.await_end() == 0
    process.read()
    assert "Finishing the page" in process.output
    assert "events read" in process.output
