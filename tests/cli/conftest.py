from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from okta_hooks import EventHook, Reject
from okta_hooks.cli import group
from tests.support import CREATED, DAY, clock_of_today

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from click.testing import Result
    from flask import Flask

    from okta_hooks.inbox import Inbox
    from okta_hooks.inbox.intake import NewDelivery
    from tests.support import Clock

    AppFactory = Callable[..., Flask]
    DeliveryFactory = Callable[..., NewDelivery]
    Run = Callable[..., Result]

clock = clock_of_today


@pytest.fixture
def okta(okta: EventHook) -> EventHook:
    """Return a hook with two receivers, of which one rejects what it is told to."""

    @okta.on("user.lifecycle.*", name="users")
    def users(sender: Flask, event: Any, **extra: Any) -> None:
        if event.raw.get("reject"):
            raise Reject("not ours")

    @okta.on("*", name="audit")
    def audit(sender: Flask, **extra: Any) -> None:
        """Handle every event."""

    return okta


@pytest.fixture(autouse=True)
def _wide_as_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Print tables as wide as they are: pytest-xdist sets ``COLUMNS``."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture
def app(make_app: AppFactory, okta: EventHook, inbox_url: str) -> Iterator[Flask]:
    """Return an app over the database of this test."""
    app = make_app(okta, INBOX=inbox_url)
    yield app
    app.extensions["okta_hooks"].runtime().inbox.close()


@pytest.fixture
def run(app: Flask) -> Run:
    """Return a function that runs a command, and by default expects it to succeed."""

    def run(*arguments: str, status: int = 0) -> Result:
        result = app.test_cli_runner().invoke(group, arguments)
        assert result.exit_code == status, result.output
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result

    return run


@pytest.fixture
def filled(inbox: Inbox, delivery: DeliveryFactory, run: Run, clock: Clock) -> Inbox:
    """Return an inbox with events that are done, dead, unwanted, unreadable and pending."""
    clock.now -= 2 * DAY
    inbox.intake.store([delivery("old")])
    inbox.intake.store([delivery("group", type="group.lifecycle.create")])
    clock.now += 2 * DAY
    inbox.intake.store([delivery({"uuid": "dead", "eventType": CREATED, "reject": True})])
    inbox.intake.store([delivery(None)])
    run("worker", "--drain")
    inbox.intake.store([delivery("new")])
    return inbox
