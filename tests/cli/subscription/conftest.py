from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from flask import request

from okta_hooks import EventHook
from okta_hooks.simulator import Org, Simulator
from tests.support import serving

from .support import CREATE, DEACTIVATE, SECRET, TOKEN, World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask import Flask


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing of the machine's own configuration of the SDK in."""
    for name in list(os.environ):
        if name.startswith(("OKTA_", "FLASK_")) or name in ("HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.delenv(name)


@pytest.fixture
def okta() -> EventHook:
    """Return a hook without receivers."""
    return EventHook("okta")


@pytest.fixture
def world(okta: EventHook, make_app: Callable[..., Flask]) -> Iterator[World]:
    """Return an org that takes http, and an app with receivers of two types."""
    okta.on(CREATE, DEACTIVATE, name="staff")(lambda *_, **__: None)
    simulator = Simulator(Org(token=TOKEN, seed=1, http_hooks=True))
    requests: list[str] = []

    @simulator.app.before_request
    def note() -> None:
        requests.append(f"{request.method} {request.path}")

    with simulator:
        world = World(simulator, make_app, okta)
        world.requests = requests
        with serving(make_app(okta, SECRET=SECRET)) as base:
            world.url = f"{base}/okta/events"
            world.configure()
            yield world
