"""``okta_hooks.start`` and ``okta_hooks.drain``."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask

from okta_hooks import ConfigurationError, EventHook, drain, start, state_of

from .support import PATIENCE, SECRET, states

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    AppFactory = Callable[..., Flask]
    BodyFactory = Callable[..., bytes]
    Deliver = Callable[..., None]


@pytest.fixture
def app(make_app: AppFactory, okta: EventHook, inbox_url: str) -> Iterator[Flask]:
    """Return an app with an inbox; what it has started is stopped."""
    made = make_app(okta, INBOX=inbox_url)
    yield made
    state_of(made).close()


@pytest.fixture
def deliver(app: Flask, body: BodyFactory) -> Deliver:
    """Return a function that posts events, so that they are stored, and no worker starts."""

    def post(*events: Any) -> None:
        app.testing = True
        answer = app.test_client().post(
            "/okta/events", data=body(*events), headers={"Authorization": SECRET}
        )
        app.testing = False
        assert answer.status_code == 204

    return post


@pytest.fixture
def ran(okta: EventHook) -> list[tuple[str, str]]:
    """Return which events a receiver gets, each with the thread that it is called in."""
    seen: list[tuple[str, str]] = []

    @okta.on("*", name="note")
    def note(sender: Flask, event: Any, **extra: Any) -> None:
        seen.append((event.uuid, threading.current_thread().name))

    return seen


def test_drain_runs_receivers_in_this_thread(
    app: Flask, deliver: Deliver, ran: list[tuple[str, str]]
) -> None:
    """All that is due is handled when it returns, and it says how many attempts that took."""
    deliver("a.b", "a.c")

    assert drain(app) == 2

    here = threading.current_thread().name
    assert ran == [("uuid-0", here), ("uuid-1", here)]
    assert states(state_of(app).runtime().inbox) == {"uuid-0": "done", "uuid-1": "done"}
    assert drain(app) == 0


def test_drain_until_a_deadline(app: Flask, okta: EventHook, deliver: Deliver) -> None:
    """After the deadline no receiver is called, and what is left waits for the next time."""
    calls = []

    @okta.on("*")
    def last_until_then(sender: Flask, **extra: Any) -> None:
        calls.append(time.monotonic())
        threading.Event().wait(until - time.monotonic())

    deliver("a.b", "a.c", "a.d")
    until = time.monotonic() + 2.0

    assert drain(app, until=until) == 1
    assert drain(app, until=time.monotonic()) == 0
    assert len(calls) == 1
    assert drain(app) == 2


def test_drain_beside_the_worker_of_this_process(
    app: Flask, deliver: Deliver, ran: list[tuple[str, str]]
) -> None:
    """When it returns nothing is due, whoever has done it; the worker goes on afterwards."""
    deliver("a.b")
    start(app)

    drain(app)
    deadline = time.monotonic() + PATIENCE
    while not ran and time.monotonic() < deadline:
        threading.Event().wait(0.02)
    assert [uuid for uuid, _ in ran] == ["uuid-0"]

    deliver({"uuid": "later", "eventType": "a.b"})
    while len(ran) < 2 and time.monotonic() < deadline:
        threading.Event().wait(0.02)
    assert ran[1] == ("later", "okta-hooks-lane-note")


def test_start_needs_no_request(app: Flask, deliver: Deliver, okta: EventHook) -> None:
    """A process that nobody asks anything handles what is stored."""
    heard = threading.Semaphore(0)

    @okta.on("*")
    def receiver(sender: Flask, **extra: Any) -> None:
        heard.release()

    deliver("a.b")
    before = set(threading.enumerate())
    start(app)
    start(app)

    assert heard.acquire(timeout=PATIENCE)
    names = [thread.name for thread in set(threading.enumerate()) - before]
    assert names.count("okta-hooks-worker") == 1


@pytest.mark.parametrize(
    ("config", "testing", "started"),
    [
        ({"WORKER": "external"}, False, {"okta-hooks-writer"}),
        ({"INBOX": None}, False, set()),
        ({}, True, set()),
    ],
    ids=["external worker", "no inbox", "testing"],
)
def test_start_starts_what_the_first_request_would(
    make_app: AppFactory,
    okta: EventHook,
    tmp_path: Path,
    config: dict[str, Any],
    testing: bool,
    started: set[str],
) -> None:
    """With an external worker no receivers run here; without an inbox, or in a test, nothing starts."""
    app = make_app(okta, **{"INBOX": f"sqlite:///{tmp_path}/inbox.sqlite3"} | config)
    app.testing = testing
    before = set(threading.enumerate())

    start(app)

    assert {thread.name for thread in set(threading.enumerate()) - before} == started
    state_of(app).close()


def test_start_without_a_usable_inbox(
    make_app: AppFactory, okta: EventHook, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A hook of a server's must not end its process: it is logged."""
    app = make_app(okta, INBOX=f"sqlite:///{tmp_path}/inbox.sqlite3")

    with state_of(app).configure(inbox="no url", worker="thread"):
        start(app)

    assert "The inbox cannot be used" in caplog.text


@pytest.mark.parametrize("wanted", [start, drain])
def test_an_app_without_a_hook(wanted: Callable[[Flask], Any]) -> None:
    """It is an error that says what is missing."""
    with pytest.raises(ConfigurationError, match="No hook is registered"):
        wanted(Flask("host"))


def test_drain_without_an_inbox(make_app: AppFactory, okta: EventHook) -> None:
    """There is nothing to drain, and that is an error."""
    with pytest.raises(RuntimeError, match="OKTA_HOOKS_INBOX is None"):
        drain(make_app(okta))
