"""What ``inbox --check``, ``doctor`` and the worker tell of what must not be in the inbox."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from okta_hooks import signals
from okta_hooks.cli import group
from okta_hooks.inbox.tables import event
from tests.support import SQLITE, states

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from blinker import NamedSignal
    from flask import Flask

    from okta_hooks import EventHook
    from okta_hooks.inbox import Inbox
    from okta_hooks.inbox.intake import NewDelivery
    from tests.support import Calls

    DeliveryFactory = Callable[..., NewDelivery]

UNHELD = "claimed event without an open receipt"
FOREIGN = "pending event of a hook that no app has"


@pytest.fixture
def app(make_app: Callable[..., Flask], okta: EventHook, inbox_url: str) -> Iterator[Flask]:
    """Return an app over the database of this test."""
    okta.on("*", name="a")(lambda *_, **__: None)
    app = make_app(okta, INBOX=inbox_url)
    yield app
    app.extensions["okta_hooks"].close()


@pytest.fixture
def broken(inbox: Inbox, delivery: DeliveryFactory) -> Inbox:
    """Return an inbox with an event in nobody's hands, and one of a hook that is gone."""
    inbox.intake.store([delivery("lost"), delivery("foreign", hook="renamed")])
    with inbox.database.transaction() as connection:
        connection.execute(event.update().where(event.c.hook == "okta").values(state="claimed"))
    return inbox


def run(app: Flask, *arguments: str) -> Any:
    return app.test_cli_runner().invoke(group, arguments)


@SQLITE
def test_the_check_fails_and_says_why(app: Flask, broken: Inbox) -> None:
    """There is a line for each kind and hook; nothing is changed."""
    result = run(app, "inbox", "--check")

    assert result.exit_code == 1
    assert f"inconsistent: 1 time a {UNHELD}, of the hook okta\n" in result.output
    assert f"inconsistent: 1 time a {FOREIGN}, of the hook renamed\n" in result.output
    assert states(broken)["lost"] == "claimed"


@SQLITE
def test_the_check_in_json(app: Flask, broken: Inbox) -> None:
    """With the check there is one key more, and without it the same as ever."""
    checked = json.loads(run(app, "inbox", "--check", "--json").stdout)
    plain = json.loads(run(app, "inbox", "--json").output)

    assert checked.pop("inconsistencies") == [
        {"kind": "no_open_receipt", "hook": "okta", "number": 1},
        {"kind": "unknown_hook", "hook": "renamed", "number": 1},
    ]
    assert checked.keys() == plain.keys() >= {"pending", "claimed", "done", "dead"}


@SQLITE
def test_the_check_of_a_good_inbox(app: Flask, inbox: Inbox, delivery: DeliveryFactory) -> None:
    """Nothing is told, and the status is 0."""
    inbox.intake.store([delivery("a")])

    result = run(app, "inbox", "--check")

    assert result.exit_code == 0
    assert "inconsistent" not in result.output
    assert json.loads(run(app, "inbox", "--check", "--json").output)["inconsistencies"] == []


@SQLITE
def test_the_doctor_tells_of_it(app: Flask, broken: Inbox) -> None:
    """As warnings, each with what to do."""
    found = json.loads(run(app, "doctor", "--offline", "--json").output)

    checks = {check["text"]: check for check in found if check["name"] == "consistency"}
    assert {check["level"] for check in checks.values()} == {"warning"}
    assert "A worker puts it right" in checks[f"1 times a {UNHELD}, of the hook okta."]["cure"]
    assert "its old name" in checks[f"1 times a {FOREIGN}, of the hook renamed."]["cure"]


@SQLITE
def test_the_worker_puts_it_right_and_tells(
    app: Flask,
    broken: Inbox,
    hear: Callable[[NamedSignal], Calls],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What can be put right is, and the event is handled; both are told, by the log and the signal."""
    heard = hear(signals.inconsistency_found)

    assert run(app, "worker", "--drain").exit_code == 0

    assert states(broken) == {"lost": "done", "foreign": "pending"}
    okta = app.extensions["okta_hooks"].hooks["okta"]
    assert heard.arguments == [
        {"hook": okta, "kind": "no_open_receipt", "number": 1, "repaired": True},
        {"hook": None, "kind": "unknown_hook", "number": 1, "repaired": False},
    ]
    assert caplog.text.count("In the inbox") == 2


@SQLITE
def test_what_stays_is_told_once(
    app: Flask,
    broken: Inbox,
    hear: Callable[[NamedSignal], Calls],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A worker that finds the same again and again says so again only when there is more of it."""
    monkeypatch.setattr("okta_hooks.work.housekeeping._INSPECT_SECONDS", 0.0)
    worker = app.extensions["okta_hooks"].runtime().worker
    heard = hear(signals.inconsistency_found)

    def numbers() -> list[int]:
        return [one["number"] for one in heard.arguments if one["kind"] == "unknown_hook"]

    for _ in range(3):
        worker.drain()
    assert numbers() == [1]
    with broken.database.transaction() as connection:
        connection.execute(
            sa.update(event).where(event.c.hook == "okta").values(hook="gone", state="pending")
        )
    worker.drain()

    assert numbers() == [1, 1]
