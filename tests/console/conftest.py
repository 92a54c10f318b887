from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from okta_hooks import EventHook, state_of
from okta_hooks.console import Console

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from flask import Flask
    from flask.testing import FlaskClient


class Answer:
    """What ``authorize`` returns, as a test sets it."""

    def __init__(self) -> None:
        self.is_now: Any = ("operate", "Grace")

    def __call__(self) -> Any:
        """Return it."""
        return self.is_now


class Directory:
    """A receiver that fails until it is cured."""

    def __init__(self) -> None:
        self.is_cured = False
        self.runs = 0

    def __call__(self, _: object, *, event: Any, **__: Any) -> None:
        """Take an event."""
        self.runs += 1
        if not self.is_cured:
            raise ConnectionError(f"no route to {event.target[0].alternate_id} from 203.0.113.7")


@pytest.fixture
def who() -> Answer:
    """Return who looks: somebody who may operate, until a test sets another."""
    return Answer()


@pytest.fixture
def make(
    make_app: Callable[..., Flask], tmp_path: Path, who: Answer
) -> Iterator[Callable[..., Flask]]:
    """Return a function that makes an app with hooks and a console; its keywords follow ``OKTA_HOOKS_``."""
    made = []

    def make(*hooks: EventHook, console: Console | None = None, **config: Any) -> Flask:
        app = make_app(*hooks, **{"INBOX": f"sqlite:///{tmp_path}/inbox.sqlite3"} | config)
        app.register_blueprint(console or Console(authorize=who))
        app.testing = True
        made.append(app)
        return app

    yield make
    for app in made:
        state_of(app).close()


@pytest.fixture
def app(make: Callable[..., Flask], okta: EventHook) -> Flask:
    """Return an app with a hook and a console over an empty inbox, in which an event is tried once."""
    return make(okta, MAX_ATTEMPTS=1)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Return a client of that app."""
    return app.test_client()


@pytest.fixture
def directory(okta: EventHook) -> Directory:
    """Return a receiver of what happens to users, which fails."""
    receiver = Directory()
    okta.on("user.lifecycle.*", name="directory")(receiver)
    return receiver
