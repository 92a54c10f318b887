from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from okta_hooks.simulator import Org as SimulatedOrg
from okta_hooks.simulator import Simulator
from tests.support import answer_challenge

from .support import CREATED, TOKEN, Log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask import Flask

    from okta_hooks import EventHook


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """Run an org with one hook, which is verified; it delivers nothing of what is lost."""
    org = SimulatedOrg(token=TOKEN, seed=1, send=answer_challenge)
    with Simulator(org, rate_limits={"/api/v1/logs": 10**6}) as simulator:
        org.register("https://app.example.com/okta/events", [CREATED, "group.lifecycle.create"])
        yield simulator


@pytest.fixture
def okta(okta: EventHook) -> EventHook:
    """Return a hook with a receiver for what happens to users."""
    okta.on("user.*", name="users")(lambda *_, **__: None)
    return okta


@pytest.fixture
def connect(make_app: Callable[..., Flask], inbox_url: str) -> Iterator[Callable[..., Flask]]:
    """Return a function that makes an app over the database of this test, for the org at an URL."""
    made = []

    def make(url: str | None, *hooks: EventHook, **config: Any) -> Flask:
        config.setdefault("URL", "https://app.example.com/okta/events")
        app = make_app(*hooks, INBOX=inbox_url, ORG_URL=url, API_TOKEN=TOKEN, **config)
        made.append(app)
        return app

    yield make
    for app in made:
        app.extensions["okta_hooks"].close()


@pytest.fixture
def app(connect: Callable[..., Flask], simulator: Simulator, okta: EventHook) -> Flask:
    """Return an app that is connected to the simulated org."""
    return connect(simulator.url, okta)


@pytest.fixture
def serve() -> Iterator[Callable[..., Log]]:
    """Return a function that runs an org with a given log."""
    logs = []

    def start(*pages: str) -> Log:
        logs.append(Log(list(pages)))
        return logs[-1]

    yield start
    for log in logs:
        log.server.shutdown()
        log.server.server_close()
