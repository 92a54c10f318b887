"""What tests of several rooms share, beside the fixtures in ``conftest.py``."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import pytest
from werkzeug.serving import WSGIRequestHandler, make_server

from okta_hooks.inbox.assignments import Assignment
from okta_hooks.inbox.claims import Claim, Settlement
from okta_hooks.inbox.overview import Counts
from okta_hooks.inbox.selection import Selection
from okta_hooks.inbox.tables import STATES
from okta_hooks.simulator import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import sqlalchemy as sa

    from okta_hooks.inbox import Inbox
    from okta_hooks.inbox.intake import NewDelivery
    from okta_hooks.inbox.workers import DeadReceipt
    from okta_hooks.simulator import Request


SECRET = "correct horse"
CREATED = "user.lifecycle.create"
NOTHING = Counts()
HOUR = 3600.0
DAY = 24 * HOUR
#: For what SQLite alone can show, or what the kind of database has no part in.
SQLITE = pytest.mark.parametrize("inbox_url", ["SQLite"], indirect=True)
POSTGRESQL = pytest.mark.parametrize("inbox_url", ["PostgreSQL"], indirect=True)
#: What only ``make long`` runs: the suite has the same with the other database, or with another server.
ONLY_LONG = pytest.mark.long(only=True)
_OTHER = {"SQLite": "PostgreSQL", "PostgreSQL": "SQLite"}


def once_each(name: str, cases: dict[str, str]) -> pytest.MarkDecorator:
    """Try each case with one kind of database; ``make long`` tries it with the other, too.

    :param cases: The kind of database of each.
    """
    others = [pytest.param(case, _OTHER[kind], marks=ONLY_LONG) for case, kind in cases.items()]
    return pytest.mark.parametrize(
        (name, "inbox_url"), [*cases.items(), *others], indirect=["inbox_url"]
    )


#: For what takes long, and in which the kind of database has a small part: the suite has one, ``make long`` both.
SQLITE_FIRST = pytest.mark.parametrize(
    "inbox_url", ["SQLite", pytest.param("PostgreSQL", marks=ONLY_LONG)], indirect=True
)
POSTGRESQL_FIRST = pytest.mark.parametrize(
    "inbox_url", [pytest.param("SQLite", marks=ONLY_LONG), "PostgreSQL"], indirect=True
)
#: For what asks Okta by its SDK, which is an extra.
NEEDS_SDK = pytest.mark.skipif(
    importlib.util.find_spec("okta") is None, reason="the extra okta is not installed"
)
NEEDS_PSYCOPG = pytest.mark.skipif(
    importlib.util.find_spec("psycopg") is None, reason="the extra postgresql is not installed"
)
#: What a busy machine may take; nothing waits as long if it works.
PATIENCE = 30.0
#: What a busy machine may take to notice that a wait of a second or less is over; what is waited for would never come.
SOON = 10.0
#: ``make long`` sets it: tests with the marker ``long`` do more then.
LONG = bool(os.environ.get("LONG"))


class Clock:
    """The time, as a test sets it: seconds since the epoch, but for that beginning in 2026."""

    def __init__(self) -> None:
        self.now = datetime(2026, 5, 4, tzinfo=UTC).timestamp()

    def __call__(self) -> float:
        """Return what time it is."""
        return self.now


class Calls:
    """A receiver, or a handler of a signal, that remembers what it was called with."""

    def __init__(self) -> None:
        self.senders: list[Any] = []
        self.arguments: list[dict[str, Any]] = []

    def __call__(self, sender: Any, **arguments: Any) -> None:
        """Remember a call."""
        self.senders.append(sender)
        self.arguments.append(arguments)

    @property
    def events(self) -> list[str]:
        """The uuids of the events."""
        return [arguments["event"].uuid for arguments in self.arguments]


@pytest.fixture
def clock_of_today(clock: Clock) -> Clock:
    """Return a clock that shows the real time when it is made: commands have no other."""
    clock.now = time.time()
    return clock


def fan_out(inbox: Inbox, *receivers: str, hook: str = "okta", limit: int = 500) -> None:
    """Give every pending event of a hook to these receivers."""
    events = inbox.assignments.unassigned([hook], limit=limit)
    inbox.assignments.assign([Assignment(event=event, receivers=receivers) for event in events])


def claim(inbox: Inbox, receiver: str = "a", worker: str = "me", limit: int = 20) -> list[Claim]:
    """Claim as a worker whose heart beats."""
    inbox.workers.beat(worker, 30)
    return inbox.claims.claim(worker, "okta", receiver, limit)


def take_over(inbox: Inbox) -> list[DeadReceipt]:
    """Take back what any worker has in hand, as a new leader does."""
    return inbox.workers.lead("leader")


def settle(inbox: Inbox, claims: list[Claim], state: str = "done", **values: Any) -> dict[int, str]:
    """Settle claims alike, and return the events that this closed."""
    made = [Settlement(claim=claim, state=state, **values) for claim in claims]
    return inbox.claims.settle("me", made)[1]


def states(inbox: Inbox) -> dict[str, str]:
    """Return the state of each event by its key."""
    return {row.uuid: row.state for row in inbox.overview.find(Selection())}


def receipts(inbox: Inbox, uuid: str) -> dict[str, tuple[str, int]]:
    """Return the state and the attempts of each receipt of an event, by receiver."""
    return {
        row.receiver: (row.state, row.attempts) for row in inbox.overview.show(uuid)[0].receipts
    }


def counts(inbox: Inbox) -> dict[str, int]:
    """Return how many events are in the states that have any."""
    found = asdict(inbox.overview.counts())
    return {state: found[state] for state in STATES if found[state]}


def impossible(new: NewDelivery) -> NewDelivery:
    """Return a delivery that no database takes: a column must not be null."""
    return replace(new, delivery=replace(new.delivery, via=None))  # type: ignore[arg-type]


def until(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait for what another thread does to the database, which has nothing to wait on."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Quiet(WSGIRequestHandler):
    """Writes nothing to the standard error."""

    def log(self, *_: Any, **__: Any) -> None:
        """Forget it."""


@contextmanager
def serving(app: Any, **options: Any) -> Iterator[str]:
    """Run an app in a server on a free port of the loopback."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet, **options)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    scheme = "https" if options.get("ssl_context") else "http"
    try:
        yield f"{scheme}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def answer_challenge(request: Request) -> Answer:
    """Answer as a hook that is to be verified."""
    challenge = request.headers["X-Okta-Verification-Challenge"]
    return Answer(status=200, body=json.dumps({"verification": challenge}).encode())


class Proxy:
    """Stands between a client and a PostgreSQL server's socket, and can do what networks do.

    :param target: Where new connections lead: the path of a Unix socket.
    """

    def __init__(self, target: str) -> None:
        self.target = target
        self.accepted = 0
        self._is_refusing = False
        self._last: tuple[bytes, bool] | None = None
        self._pairs: list[tuple[socket.socket, socket.socket, threading.Event]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            server = socket.socket(socket.AF_UNIX)
            flows = threading.Event()
            flows.set()
            self._pairs.append((client, server, flows))
            try:
                if self._is_refusing:
                    raise ConnectionRefusedError
                server.connect(self.target)
            except OSError:
                client.close()
                server.close()
                continue
            is_last = threading.Event()
            for target, source, sink in (
                (self._request, client, server),
                (self._answer, server, client),
            ):
                arguments = (source, sink, flows, is_last)
                thread = threading.Thread(target=target, args=arguments, daemon=True)
                self._threads.append(thread)
                thread.start()

    def _request(
        self,
        source: socket.socket,
        sink: socket.socket,
        flows: threading.Event,
        is_last: threading.Event,
    ) -> None:
        def passes(data: bytes) -> bool:
            if self._last is None or self._last[0] not in data:
                return True
            (_, arrives), self._last = self._last, None
            is_last.set()
            if not arrives:
                with contextlib.suppress(OSError):
                    source.shutdown(socket.SHUT_RDWR)
            return arrives

        _pump(source, sink, flows, passes)

    def _answer(
        self,
        source: socket.socket,
        sink: socket.socket,
        flows: threading.Event,
        is_last: threading.Event,
    ) -> None:
        _pump(source, sink, flows, lambda _: not is_last.is_set())

    def cut_at(self, word: bytes, *, arrives: bool) -> None:
        """Close the next connection that sends a word, before that arrives or before it is answered."""
        self._last = word, arrives

    def silence(self) -> None:
        """Pass on nothing more of the connections that are there, and keep them open."""
        for _, _, flows in self._pairs:
            flows.clear()

    def refuse(self, *, refuses: bool = True) -> None:
        """Close the connections that are there, and new ones at once, until told otherwise."""
        self._is_refusing = refuses
        self.cut()

    def cut(self) -> None:
        """Close the connections that are there."""
        for client, server, flows in self._pairs:
            for end in (client, server):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            flows.set()

    def close(self) -> None:
        """Close everything."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(10)
        for client, server, _ in self._pairs:
            client.close()
            server.close()


def _pump(
    source: socket.socket,
    sink: socket.socket,
    flows: threading.Event,
    passes: Callable[[bytes], bool],
) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            flows.wait()
            if not passes(data):
                break
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)


def socket_of(engine: sa.Engine) -> str:
    """Return the path of the socket of a PostgreSQL server that an engine is connected to."""
    return f"{engine.url.query['host']}/.s.PGSQL.{engine.url.port or 5432}"


PGBOUNCER: Final = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@contextlib.contextmanager
def pgbouncer(port: int, folder: Path) -> Iterator[int]:
    """Run a PgBouncer in transaction mode, with two connections to the server at a port; return its own port.

    :param folder: Where its files go; its user must be able to enter.
    """
    assert PGBOUNCER is not None
    with socket.create_server(("127.0.0.1", 0)) as free:
        own: int = free.getsockname()[1]
    users = folder / "users"
    users.write_text('"postgres" ""\n"hostile" ""\n')
    configuration = folder / "pgbouncer.ini"
    configuration.write_text(
        f"[databases]\n* = host=127.0.0.1 port={port}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {own}\nunix_socket_dir =\n"
        f"auth_type = trust\nauth_file = {users}\npool_mode = transaction\n"
        "default_pool_size = 2\nserver_login_retry = 1\n"
    )
    command = [PGBOUNCER, str(configuration)]
    if os.getuid() == 0:
        command[1:1] = ["-u", "nobody"]
    log = folder / "pgbouncer.log"
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as it:
        try:
            give_up_at = time.monotonic() + 30
            while True:
                try:
                    socket.create_connection(("127.0.0.1", own)).close()
                    break
                except OSError:
                    assert it.poll() is None, log.read_text()
                    assert time.monotonic() < give_up_at
                    threading.Event().wait(0.05)
            yield own
        finally:
            it.terminate()
