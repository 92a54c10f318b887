"""Drive the hook through servers that pip installs, and print what came of it: ``python -m tests.servers [NAME ...]``.

Each serves the same app over a new SQLite inbox. It is asked as Okta asks, with a length and in chunks;
stopped by SIGTERM and by SIGINT, while one receiver is running and another has failed; killed; and started again.
The exit status is 1 if an event that was acknowledged has not been handled in the end.
"""

from __future__ import annotations

import functools
import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from rich.console import Console
from rich.table import Table

from okta_hooks.calling import HttpSender, Request
from okta_hooks.inbox.tables import event, receipt
from okta_hooks.wire.protocol import CHALLENGE_HEADER
from tests.acceptance.conftest import SESSION_START, Host, Process, until
from tests.support import SECRET

from . import PAUSE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

APP: Final = "tests.servers.app:app"
ASGI: Final = "tests.servers.asgi:asgi"
LIFESPAN: Final = "tests.servers.asgi:with_lifespan"
GUNICORN: Final = ("gunicorn", "--bind=127.0.0.1:{port}", "--workers=2")
UVICORN: Final = ("uvicorn", "--port={port}")
HYPERCORN: Final = ("hypercorn", "--bind=127.0.0.1:{port}")
GRANIAN: Final = ("granian", "--port={port}")
UWSGI: Final = ("tests.servers.program", "uwsgi", "--http-socket=127.0.0.1:{port}", "--master")
SERVERS: Final[Mapping[str, tuple[str, ...]]] = {
    "gunicorn sync": (*GUNICORN, APP),
    "gunicorn gthread": (*GUNICORN, "--threads=2", APP),
    "gunicorn gevent": (*GUNICORN, "--worker-class=gevent", APP),
    "uWSGI": (*UWSGI, "--enable-threads", "--die-on-term", "--lazy-apps", f"--module={APP}"),
    "waitress": ("waitress", "--listen=127.0.0.1:{port}", APP),
    "cheroot": ("cheroot", "--bind=127.0.0.1:{port}", APP),
    "flask run": ("flask", f"--app={APP}", "run", "--port={port}"),
    "granian": (*GRANIAN, "--interface=wsgi", APP),
    "uvicorn, a2wsgi": (*UVICORN, ASGI),
    "uvicorn, WSGI mode": (*UVICORN, "--interface=wsgi", APP),
    "uvicorn, 2 workers": (*UVICORN, "--workers=2", ASGI),
    "uvicorn, lifespan": (*UVICORN, LIFESPAN),
    "uvicorn, 2, lifespan": (*UVICORN, "--workers=2", LIFESPAN),
    "hypercorn, a2wsgi": (*HYPERCORN, ASGI),
    "hypercorn, WSGI mode": (*HYPERCORN, f"wsgi:{APP}"),
}
#: Those that run no threads of the system: receivers run in a process of their own.
WITHOUT_THREADS: Final = ("gunicorn gevent",)
DELIVERIES: Final = 5
REQUESTS_AT_ONCE: Final = 40
SECONDS_OF_A_RUN: Final = 3.0
SECONDS_TO_END: Final = 20.0
SECONDS_TO_START: Final = 30.0


class Served(Process):
    """A server on a port that was free."""

    def __init__(
        self,
        command: list[str],
        folder: Path,
        environment: dict[str, str],
        log: Path,
        *,
        port: int,
    ) -> None:
        super().__init__(command, folder, environment, log)
        self.port = port
        try:
            until(self._listens, "it listens", SECONDS_TO_START)
        except BaseException:
            self.kill()
            raise

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True


@dataclass
class Findings:
    """What was seen of one server."""

    verified: int | None = None
    plain: list[int | None] = field(default_factory=list)
    chunked: list[int | None] = field(default_factory=list)
    at_once: int = 0
    at_sigterm: str = ""
    at_sigint: str = ""
    after_kill: str = ""
    acknowledged: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    twice: int = 0


class Subject(Host):
    """One server with its app and inbox, started and stopped as often as is needed."""

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(f"sqlite:///{folder / 'inbox.sqlite3'}", folder)
        self.name = name
        self._command = SERVERS[name]
        self._config = {"WORKER": "external"} if name in WITHOUT_THREADS else {}
        self.found = Findings()
        self._send = HttpSender()
        self.server: Served

    def start(self) -> None:
        """Start it, and whoever runs its receivers."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port: int = free.getsockname()[1]
        command = [part.format(port=port) for part in self._command]
        self.server = self._start(functools.partial(Served, port=port), command, self._config)
        if self._config:
            self.worker("tests.servers.app")
        # A health check, say: threads of the web process start with its first request.
        until(lambda: self.ask("GET", {}), "it answers", SECONDS_TO_START)

    def close(self) -> None:
        """End everything, and print nothing."""
        for process in self._processes:
            process.kill()
        self.inbox.close()

    def ask(self, method: str, headers: dict[str, str], body: bytes = b"", **more: Any) -> Any:
        """Send a request; return the answer, or None if there is none."""
        request = Request(
            method=method,
            url=f"http://127.0.0.1:{self.server.port}/okta/events",
            headers={"Authorization": SECRET, **headers},
            body=body,
            **more,
        )
        try:
            return self._send(request)
        except OSError:
            return None

    def count_at_once(self) -> int:
        """Return how many requests are served at once, by how long many take that wait."""
        url = f"http://127.0.0.1:{self.server.port}/pause"
        request, send = Request(method="GET", url=url, headers={}), HttpSender(60)
        began = time.monotonic()
        with ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:
            answers = list(pool.map(send, [request] * REQUESTS_AT_ONCE))
        rounds = max(1, round((time.monotonic() - began) / PAUSE - 0.3))
        return round(len(answers) / rounds)

    def deliver(self, uuid: str, *, seconds: float = 0, chunked: bool = False) -> int | None:
        """Deliver an event, and return the status."""
        one = {"uuid": uuid, "eventType": SESSION_START, "displayMessage": str(seconds)}
        body = json.dumps({"eventId": "delivery", "data": {"events": [one]}}).encode()
        answer = self.ask("POST", {"Content-Type": "application/json"}, body, chunked=chunked)
        if answer is None:
            return None
        if answer.status == 204:
            self.found.acknowledged.add(uuid)
        return int(answer.status)

    def deliver_surely(self, uuid: str, *, seconds: float = 0) -> None:
        """Deliver an event until it is stored, whatever the server makes of the answer."""

        def is_stored() -> bool:
            return self.deliver(uuid, seconds=seconds) == 204 or uuid in self.states()

        until(is_stored, f"{uuid} is stored")
        self.found.acknowledged.add(uuid)

    def states(self) -> dict[str, str]:
        """Return what became of the events that are stored."""
        with self.inbox.database.reading() as connection:
            rows = connection.execute(sa.select(event.c.key, event.c.state)).all()
        return {row.key: row.state for row in rows}

    def deaths_of(self, uuid: str) -> int:
        """Return how many deaths are held against what a receiver has to do with an event."""
        query = (
            sa.select(sa.func.sum(receipt.c.claims - receipt.c.attempts))
            .join(event, event.c.id == receipt.c.event_id)
            .where(event.c.key == uuid, receipt.c.state == "done")
        )
        with self.inbox.database.reading() as connection:
            return int(connection.scalar(query) or 0)

    def await_done(self, uuids: Iterable[str], seconds: float = 60) -> set[str]:
        """Wait until events are done; return those that are not in time."""
        wanted, deadline = set(uuids), time.monotonic() + seconds
        while time.monotonic() < deadline:
            wanted -= {uuid for uuid, state in self.states().items() if state == "done"}
            if not wanted:
                break
            time.sleep(0.1)
        return wanted


def drive(subject: Subject) -> Findings:
    """Put one server through everything."""
    found = subject.found
    subject.start()
    answer = subject.ask("GET", {CHALLENGE_HEADER: "3f29"})
    if answer is not None and (answer.status != 200 or b'"3f29"' in answer.body):
        found.verified = answer.status
    found.plain = [subject.deliver(f"plain-{number}") for number in range(DELIVERIES)]
    found.chunked = [
        subject.deliver(f"chunked-{number}", chunked=True) for number in range(DELIVERIES)
    ]
    found.lost |= subject.await_done(found.acknowledged)
    found.at_once = subject.count_at_once()
    found.at_sigterm = _stop(subject, signal.SIGTERM)
    found.at_sigint = _stop(subject, signal.SIGINT)
    _kill(subject)
    runs = subject.ran("begin")
    found.twice = len(runs) - len(set(runs))
    return found


def _stop(subject: Subject, number: signal.Signals) -> str:
    """Stop it while one receiver is running, and another has failed; return what became of the run."""
    failing, running = f"flaky-{number.name}", f"running-{number.name}"
    subject.deliver_surely(failing)
    subject.deliver_surely(running, seconds=SECONDS_OF_A_RUN)
    subject.await_run(running, "crm", "begin")
    until(lambda: any(each.attempts for each in subject.inbox.overview.show(failing)[0].receipts))
    began = time.monotonic()
    subject.server.send(number)
    try:
        subject.server.await_end(SECONDS_TO_END)
        ended = f"{time.monotonic() - began:.1f} s"
    except subprocess.TimeoutExpired:
        ended = "did not end"
    subject.server.kill()
    if subject.name in WITHOUT_THREADS:
        subject.await_run(running, "crm")
    is_finished = (running, "crm") in subject.ran()
    subject.start()
    subject.found.lost |= subject.await_done({failing, running})
    if is_finished:
        return f"finished, {ended}"
    deaths = subject.deaths_of(running)
    return f"cut off, {ended}, {deaths or 'no'} death{'s' * (deaths != 1)}"


def _kill(subject: Subject) -> None:
    """Kill it with all its processes, just after it has answered."""
    uuids = [f"killed-{number}" for number in range(DELIVERIES)]
    for uuid in uuids:
        subject.deliver_surely(uuid, seconds=0.3)
    subject.server.kill()
    handled = len(uuids) - len(subject.await_done(uuids, 0.1))
    subject.start()
    lost = subject.await_done(uuids)
    subject.found.lost |= lost
    subject.found.after_kill = f"{handled} + {len(uuids) - handled - len(lost)}"


def _in_words(statuses: list[int | None]) -> str:
    return ", ".join(
        f"{statuses.count(one)} x {one or 'no answer'}" for one in dict.fromkeys(statuses)
    )


def _is_installed(command: tuple[str, ...]) -> bool:
    if command[0] == "tests.servers.program":
        return Path(sys.executable).with_name(command[1]).exists()
    needs_adapter = ASGI in command or LIFESPAN in command
    return find_spec(command[0]) is not None and (
        not needs_adapter or find_spec("a2wsgi") is not None
    )


def _row(name: str, found: Findings) -> dict[str, str]:
    return {
        "server": name,
        "GET": str(found.verified),
        "POST": _in_words(found.plain),
        "in chunks": _in_words(found.chunked),
        "at once": str(found.at_once),
        "SIGTERM": found.at_sigterm,
        "SIGINT": found.at_sigint,
        "kill -9": found.after_kill,
        "lost": str(len(found.lost)),
        "twice": str(found.twice),
    }


def main(names: list[str]) -> int:
    """Drive the servers of these names, or all; return the exit status."""
    console = Console(width=150)
    rows, lost = [], 0
    for name in names or SERVERS:
        if not _is_installed(SERVERS[name]):
            console.print(f"{name}: not installed, left out")
            continue
        with tempfile.TemporaryDirectory() as folder:
            subject = Subject(name, Path(folder))
            try:
                found = drive(subject)
            except BaseException:
                subject.end()
                raise
            subject.close()
        lost += len(found.lost)
        rows.append(_row(name, found))
        console.print(" | ".join(rows[-1].values()))
    table = Table(*(rows[0] if rows else ()))
    for row in rows:
        table.add_row(*row.values())
    console.print(table)
    console.print(
        "SIGTERM, SIGINT: what became of a run of 3 s, and after which time the server had ended\n"
        "kill -9: events that were handled before it + after it\n"
        "twice: runs that were repeated, after one of these or a retry"
    )
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
