from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.request import Request, urlopen

import pytest
import sqlalchemy as sa

from okta_hooks.inbox import Inbox
from okta_hooks.inbox.intake import incoming
from okta_hooks.inbox.tables import worker
from okta_hooks.wire.events import Delivery
from okta_hooks.wire.reading import load_delivery
from tests.support import SECRET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

ROOT = Path(__file__).parents[2]
STORED = "tests.acceptance.stored"
URL = r"http://127\.0\.0\.1:(\d+)"
SESSION_START = "user.session.start"
#: What a machine that is busy with other things may take; nothing waits as long if it works.
PATIENCE = 60.0


def until(condition: Callable[[], object], what: object = None, seconds: float = PATIENCE) -> None:
    """Wait for what other processes do: there is nothing here that they could wake."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"This did not happen within {seconds:g} s: {what or condition}")
        time.sleep(0.02)


def await_verified(url: str) -> None:
    """Ask for a challenge as Okta does until it is answered: a busy machine may be slow to start an app."""

    def is_verified() -> bool:
        with contextlib.suppress(OSError):
            asked = Request(url, headers={"X-Okta-Verification-Challenge": "now"})
            with urlopen(asked, timeout=10) as answer:
                return answer.status == 200  # type: ignore[no-any-return]
        return False

    until(is_verified, "200")


class Process:
    """A child process with all its children, and what they write."""

    def __init__(
        self, command: list[str], folder: Path, environment: dict[str, str], log: Path
    ) -> None:
        self.output = ""
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=folder,
                env={"PYTHONUNBUFFERED": "1"} | environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.pid = self._process.pid

    def read(self) -> str:
        """Return what was written since the last call; ``output`` has it all."""
        new = self._log.read_text(encoding="utf-8")[len(self.output) :]
        self.output += new
        return new

    def await_output(self, pattern: str) -> re.Match[str]:
        """Wait until something like this has been written."""
        found: list[re.Match[str]] = []

        def is_written() -> bool:
            has_ended = self._process.poll() is not None
            self.read()
            found.extend(re.finditer(pattern, self.output))
            if has_ended and not found:
                pytest.fail(f"It ended with {self._process.returncode}:\n{self.output}")
            return bool(found)

        until(is_written, f"{pattern!r} in the output of {self._process.args!r}")
        return found[0]

    def await_end(self, seconds: float = PATIENCE) -> int:
        """Wait until it ends by itself, and return its exit status."""
        return self._process.wait(seconds)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to it, not to its children."""
        self._process.send_signal(number)

    def peak(self) -> float:
        """Return the most memory it has had so far, in MB.

        The system's own count: that of ``getrusage`` begins with what the parent had at the fork.
        """
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024

    def kill(self) -> None:
        """End it, and its children, as ``kill -9`` does."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """Ask it to end, and make it."""
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=10)
        self.kill()


class Server(Process):
    """A server, on a port that the system chose."""

    def __init__(
        self, command: list[str], folder: Path, environment: dict[str, str], log: Path
    ) -> None:
        super().__init__(command, folder, environment, log)
        try:
            self.port = int(self.await_output(URL)[1])
        except BaseException:
            self.kill()
            raise


@pytest.fixture(scope="module")
def start_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Return a function that starts a server; it is stopped at the end of the module."""
    started = []

    def start(command: list[str], folder: Path, **environment: str) -> Server:
        # Gunicorn puts a socket of its own below one of these.
        home = tmp_path_factory.mktemp("home")
        places = {"HOME": str(home), "XDG_RUNTIME_DIR": str(home)}
        server = Server(command, folder, os.environ | places | environment, home / "log")
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()


class Run(NamedTuple):
    """One line of what the receivers of ``stored`` write down."""

    what: str
    receiver: str
    uuid: str
    attempt: int
    pid: int
    at: float


class Answer(NamedTuple):
    """What Okta gets: the status, or None if there was no answer, after so many seconds."""

    status: int | None
    seconds: float


def _delivery(uuids: Iterable[str], type_: str, seconds: float) -> str:
    events = [
        {
            "uuid": uuid,
            "eventType": type_,
            "displayMessage": str(seconds),
            # About as much as Okta sends.
            "debugContext": {"debugData": {f"key{n}": "some value of it" for n in range(30)}},
        }
        for uuid in uuids
    ]
    return json.dumps({"eventId": "delivery", "data": {"events": events}})


class Host:
    """The app ``stored`` over one inbox, in as many processes as a test wants."""

    def __init__(self, url: str, folder: Path) -> None:
        self.inbox = Inbox(url)
        self._url = url
        self._folder = folder
        self._runs = folder / "runs"
        self._kill_at = folder / "kill_at"
        self._processes: list[Process] = []

    def _environment(self, config: dict[str, str]) -> dict[str, str]:
        given = {"SECRET": json.dumps(SECRET), "INBOX": self._url} | config
        grace = {"FLASK_GRACE": given.pop("GRACE")} if "GRACE" in given else {}
        return {
            # Most are killed, and leave no measurement of their coverage: it would only slow them down.
            **{key: value for key, value in os.environ.items() if not key.startswith("COVERAGE")},
            "HOME": str(self._folder),
            "XDG_RUNTIME_DIR": str(self._folder),
            "FLASK_RUNS": str(self._runs),
            "FLASK_KILL_AT": str(self._kill_at),
            **grace,
            **{f"FLASK_OKTA_HOOKS_{key}": value for key, value in given.items()},
        }

    def _start(self, kind: Callable[..., Any], command: list[str], config: dict[str, str]) -> Any:
        log = self._folder / f"log-{len(self._processes)}"
        started = kind(command, ROOT, self._environment(config), log)
        self._processes.append(started)
        return started

    def serve(self, *command: str, **config: str) -> Server:
        """Start a server; the keywords follow ``OKTA_HOOKS_``."""
        server: Server = self._start(Server, list(command), config)
        return server

    def flask_run(self, app: str = STORED, **config: str) -> Server:
        """Start Flask's development server: one process."""
        return self.serve("flask", "--app", app, "run", "--no-reload", "--port=0", **config)

    def flask(self, *arguments: str, app: str = STORED, **config: str) -> Process:
        """Start a ``flask`` command."""
        started: Process = self._start(Process, ["flask", "--app", app, *arguments], config)
        return started

    def worker(self, app: str = STORED) -> Process:
        """Start ``flask okta-hooks worker`` and wait until it says that it has."""
        started = self.flask("okta-hooks", "worker", app=app)
        started.await_output("The worker .* has started")
        return started

    def celery(self, app: str, *arguments: str, **config: str) -> Process:
        """Start a worker of the Celery app that is called ``celery_app`` in a module."""
        command = ["celery", f"--app={app}:celery_app", "worker", *arguments]
        started: Process = self._start(Process, command, config)
        return started

    def chaos(self, *arguments: str) -> Process:
        """Start ``chaos`` on this database."""
        command = ["tests.acceptance.chaos", f"--url={self._url}", *arguments]
        started: Process = self._start(Process, command, {})
        return started

    def kill_at(self, point: str) -> None:
        """Have the next process that runs the app ``killed``, and comes to this point, killed."""
        self._kill_at.write_text(point, encoding="utf-8")

    def get(self, server: Server) -> None:
        """Ask for a page that has nothing to do with Okta."""
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.port)) as connection:
            connection.request("GET", "/")
            assert connection.getresponse().status == 404

    def post(self, server: Server, *uuids: str, seconds: float = 0, timeout: float = 3) -> Answer:
        """Deliver events as Okta does, once.

        :param seconds: How long the receiver ``crm`` is to take for each.
        """
        began = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=timeout)
        with contextlib.closing(connection):
            try:
                connection.request(
                    "POST",
                    "/okta/events",
                    _delivery(uuids, SESSION_START, seconds),
                    {"Authorization": SECRET, "Content-Type": "application/json"},
                )
                status = connection.getresponse().status
            except (OSError, http.client.HTTPException):
                status = None
        return Answer(status, time.monotonic() - began)

    def send_until_stored(self, server: Server, *uuids: str, seconds: float = 0) -> None:
        """Deliver events again and again, until they are acknowledged.

        A busy machine may take longer to start an app than the first delivery may take.
        """
        until(lambda: self.post(server, *uuids, seconds=seconds).status == 204, "204")

    def store(self, *uuids: str, type_: str = SESSION_START, seconds: float = 0) -> None:
        """Store a delivery as a server does, without one."""
        body = _delivery(uuids, type_, seconds)
        envelope = load_delivery(body.encode())
        received = Delivery(
            event_id="delivery", source=None, via="hook", received_at=datetime.now(UTC)
        )
        self.inbox.intake.store([incoming("okta", envelope, received)])

    def runs(self, what: str) -> list[Run]:
        """Return which runs have begun, or ended, in order of time."""
        if not self._runs.exists():
            return []
        found = []
        for line in self._runs.read_text().splitlines():
            kind, receiver, uuid, attempt, pid, at = line.split()
            if kind == what:
                found.append(Run(kind, receiver, uuid, int(attempt), int(pid), int(at) / 1e9))
        return found

    def ran(self, what: str = "end") -> list[tuple[str, str]]:
        """Return who has run, or begun to, on what: pairs of uuid and receiver, sorted."""
        return sorted((run.uuid, run.receiver) for run in self.runs(what))

    def await_run(self, uuid: str, receiver: str, what: str = "end", *, times: int = 1) -> Run:
        """Wait until a receiver has run on an event so often, or begun to; return the last time."""
        found: list[Run] = []

        def has_run() -> bool:
            found[:] = [
                run for run in self.runs(what) if (run.uuid, run.receiver) == (uuid, receiver)
            ]
            return len(found) >= times

        until(has_run, f"{what} of {receiver} on {uuid}")
        return found[times - 1]

    def await_state(self, **counts: int) -> None:
        """Wait until the inbox counts as many events in these states."""
        until(lambda: asdict(self.inbox.overview.counts()).items() >= counts.items(), counts)

    @contextlib.contextmanager
    def _database(self) -> Iterator[sa.Connection]:
        engine = sa.create_engine(self._url.replace("postgresql:", "postgresql+psycopg:"))
        with engine.begin() as connection:
            yield connection
        engine.dispose()

    def let_leases_run_out(self) -> None:
        """Do as if the time of every worker's lease were over, and no heartbeat had come."""
        with self._database() as connection:
            connection.execute(worker.update().values(alive_until=0))

    def postgresql_pids(self) -> list[int]:
        """Return the processes of the PostgreSQL server, that which starts the others first."""
        with self._database() as connection:
            file = connection.scalar(sa.text("SELECT pg_read_file('postmaster.pid')"))
            pids = connection.scalars(
                sa.text("SELECT pid FROM pg_stat_activity WHERE pid != pg_backend_pid()")
            ).all()
        return [int(str(file).split()[0]), *pids]

    def end(self) -> None:
        """End everything, and print what was written: pytest shows it if the test failed."""
        for process in self._processes:
            process.kill()
            process.read()
            print(f"--- {process.pid}\n{process.output}")
        self.inbox.close()


@pytest.fixture
def host(inbox_url: str, tmp_path: Path) -> Iterator[Host]:
    """Return an app over a database; its processes are killed at the end of the test."""
    made = Host(inbox_url, tmp_path)
    yield made
    made.end()
