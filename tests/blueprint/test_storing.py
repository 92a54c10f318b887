from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from flask import Flask

from okta_hooks import EventHook, endpoint, signals
from tests.support import Calls, counts

from .support import CREATED, DEACTIVATED, assert_problem, post

if TYPE_CHECKING:
    from collections.abc import Callable

    from blinker import NamedSignal

    AppFactory = Callable[..., Flask]
    BodyFactory = Callable[..., bytes]


def stored(app: Flask) -> dict[str, int]:
    """Return how many events are in the states that have any."""
    return counts(app.extensions["okta_hooks"].runtime().inbox)


def test_204_means_stored(
    storing: Flask,
    okta: EventHook,
    body: BodyFactory,
    caplog: pytest.LogCaptureFixture,
    hear: Callable[[NamedSignal], Calls],
) -> None:
    """The answer comes after the commit: another connection has the events, and no receiver has run."""
    caplog.set_level(logging.INFO)
    heard = hear(signals.delivery_stored)
    received = okta.on("*")(Calls())

    response = post(storing, body(CREATED, DEACTIVATED))

    assert (response.status, response.data) == ("204 NO CONTENT", b"")
    assert stored(storing) == {"pending": 2}
    assert "A delivery to the hook 'okta': 2 new, 0 duplicate." in caplog.text
    (arguments,) = heard.arguments
    assert arguments.pop("delivery").event_id == "delivery-1"
    assert arguments == {"hook": okta, "new": 2, "duplicate": 0}
    assert heard.senders == [storing]
    assert received.arguments == []


def test_duplicates_are_acknowledged(
    storing: Flask,
    body: BodyFactory,
    caplog: pytest.LogCaptureFixture,
    hear: Callable[[NamedSignal], Calls],
) -> None:
    """What Okta sends again gets its 204 again, and is counted instead of stored."""
    caplog.set_level(logging.INFO)
    heard = hear(signals.delivery_stored)

    answers = [post(storing, body(*types)).status_code for types in ([CREATED], [CREATED] * 2)]
    answers.append(post(storing, body(CREATED)).status_code)

    assert answers == [204] * 3
    assert stored(storing) == {"pending": 2}
    counted = [(arguments["new"], arguments["duplicate"]) for arguments in heard.arguments]
    assert counted == [(1, 0), (1, 1), (0, 1)]
    assert "0 new, 1 duplicate" in caplog.text


def test_an_unreadable_event_is_stored_dead(
    storing: Flask,
    body: BodyFactory,
    caplog: pytest.LogCaptureFixture,
    hear: Callable[[NamedSignal], Calls],
) -> None:
    """Its signal is sent once, when it is stored, and not for a duplicate."""
    dead = hear(signals.event_dead)

    answers = [post(storing, body(CREATED, {"uuid": "personal"})).status_code for _ in range(2)]

    assert answers == [204] * 2
    assert stored(storing) == {"pending": 1, "dead": 1}
    (arguments,) = dead.arguments
    assert (arguments["event"], arguments["receiver"]) == (None, None)
    assert "no eventType" in arguments["reason"]
    (record,) = (record for record in caplog.records if record.levelno == logging.ERROR)
    assert "no eventType" in record.getMessage()
    assert "personal" not in caplog.text


def test_a_refused_delivery_is_not_stored(storing: Flask, body: BodyFactory) -> None:
    """Neither a stranger's nor one without events."""
    assert post(storing, body(CREATED), secret="wrong").status_code == 401
    assert post(storing, b"{}").status_code == 400
    assert post(storing, body()).status_code == 204

    assert stored(storing) == {}


def test_503_when_the_inbox_does_not_commit(
    storing: Flask,
    body: BodyFactory,
    engine: sa.Engine,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    *,
    hear: Callable[[NamedSignal], Calls],
) -> None:
    """A database that somebody holds makes Okta send the delivery again; then it is stored."""
    heard = hear(signals.delivery_refused)
    assert endpoint._SECONDS_TO_STORE == 2.0  # noqa: SLF001 - Okta waits 3
    monkeypatch.setattr(endpoint, "_SECONDS_TO_STORE", 0.2)
    storing.extensions["okta_hooks"].runtime().inbox.open()
    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        is_sqlite = engine.dialect.name == "sqlite"
        driver.execute("BEGIN IMMEDIATE" if is_sqlite else "LOCK TABLE okta_hooks_delivery")
        refused = post(storing, body(CREATED))
        driver.rollback()

    assert_problem(refused, 503)
    assert [arguments["status"] for arguments in heard.arguments] == [503]
    assert "A delivery to the hook 'okta' was not stored" in caplog.text
    monkeypatch.undo()
    assert post(storing, body(CREATED, DEACTIVATED)).status_code == 204
    assert stored(storing) == {"pending": 2}


def test_the_position_of_the_secret_is_stored(
    storing: Flask, body: BodyFactory, engine: sa.Engine, make_app: AppFactory, inbox_url: str
) -> None:
    """During a rotation the inbox knows by which secret each delivery came."""
    rotating = make_app(EventHook("okta"), INBOX=inbox_url, SECRET=["new", "old"])
    rotating.testing = True

    for number, secret in enumerate(("old", "new")):
        event = {"uuid": str(number), "eventType": CREATED}
        assert post(rotating, body(event), secret=secret).status_code == 204
    rotating.extensions["okta_hooks"].runtime().inbox.close()

    with engine.connect() as connection:
        query = sa.text("SELECT secret FROM okta_hooks_delivery ORDER BY id")
        assert connection.scalars(query).all() == [1, 0]


def nothing(sender: Flask, **extra: Any) -> None:
    pass


@pytest.mark.parametrize(
    ("config", "connected", "times"),
    [
        ({}, "not", 1),
        ({}, "to this app", 0),
        ({}, "to another app", 1),
        ({"WORKER": "external"}, "not", 0),
        ({"WORKER": "external", "INBOX": None}, "not", 1),
    ],
)
def test_events_that_nobody_is_connected_to(
    make_app: Callable[..., Flask],
    inbox_url: str,
    body: Callable[..., bytes],
    caplog: pytest.LogCaptureFixture,
    config: dict[str, Any],
    connected: str,
    times: int,
) -> None:
    """A process that is to run receivers and has none says so once; where workers are others, that is usual."""
    okta = EventHook("okta")
    app = make_app(okta, **{"INBOX": inbox_url} | config)
    if connected != "not":
        sender = app if connected == "to this app" else Flask("other")
        okta.signal("user.session.start").connect(nothing, sender=sender)

    assert [post(app, body(CREATED)).status_code for _ in range(2)] == [204, 204]

    assert (
        sum("no receiver is connected to it in this process" in line for line in caplog.messages)
        == times
    )
    app.extensions["okta_hooks"].close()
