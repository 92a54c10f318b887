from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask

from okta_hooks import EventHook, Reject, signals
from tests.support import Calls

from .support import CREATED, DEACTIVATED, URL, post, verify, warnings_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from blinker import NamedSignal

    AppFactory = Callable[..., Flask]
    BodyFactory = Callable[..., bytes]


def test_hook_verified(
    make_app: AppFactory, okta: EventHook, hear: Callable[[NamedSignal], Calls]
) -> None:
    """``hook_verified`` is sent when a challenge was answered, and only then."""
    heard = hear(signals.hook_verified)
    app = make_app(okta)

    verify(app, Authorization="wrong")
    app.test_client().get(URL)
    assert heard.arguments == []
    verify(app)
    assert heard.arguments == [{"hook": okta}]
    assert heard.senders == [app]
    assert type(heard.senders[0]) is Flask


def test_event_done(
    make_app: AppFactory, okta: EventHook, body: BodyFactory, hear: Callable[[NamedSignal], Calls]
) -> None:
    """``event_done`` is sent for each event whose receivers have all finished."""

    @okta.on(CREATED)
    def fails_once(sender: Flask, event: Any, **extra: Any) -> None:
        if event.uuid == "uuid-1":
            raise LookupError

    done = hear(signals.event_done)
    app = make_app(okta)

    post(app, body(CREATED, CREATED, DEACTIVATED))

    assert done.events == ["uuid-0", "uuid-2"]
    assert {arguments["hook"] for arguments in done.arguments} == {okta}
    assert {arguments["delivery"].event_id for arguments in done.arguments} == {"delivery-1"}
    assert done.senders == [app, app]


def test_receiver_failed(
    make_app: AppFactory, okta: EventHook, body: BodyFactory, hear: Callable[[NamedSignal], Calls]
) -> None:
    """``receiver_failed`` names the receiver and carries the event and the error."""
    error = LookupError("no such user")

    @okta.on(CREATED, name="clerk")
    def fails(sender: Flask, **extra: Any) -> None:
        raise error

    failed = hear(signals.receiver_failed)
    app = make_app(okta)

    post(app, body(CREATED))

    (arguments,) = failed.arguments
    assert arguments["event"].uuid == "uuid-0"
    assert arguments["delivery"].via == "hook"
    assert (arguments["hook"], arguments["receiver"]) == (okta, "clerk")
    assert (arguments["attempt"], arguments["error"]) == (1, error)
    assert failed.senders == [app]


def test_event_dead_for_an_unreadable_event(
    make_app: AppFactory,
    okta: EventHook,
    body: BodyFactory,
    hear: Callable[[NamedSignal], Calls],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One unreadable event among good ones has its signal and is logged; the others go their way."""
    received = okta.on("*")(Calls())
    dead = hear(signals.event_dead)
    app = make_app(okta)

    response = post(app, body(CREATED, {"uuid": "personal"}, DEACTIVATED))

    assert response.status_code == 204
    assert received.events == ["uuid-0", "uuid-2"]
    (arguments,) = dead.arguments
    assert arguments["hook"] is okta
    assert arguments["delivery"].event_id == "delivery-1"
    assert (arguments["event"], arguments["receiver"]) == (None, None)
    assert "no eventType" in arguments["reason"]
    assert dead.senders == [app]
    (message,) = warnings_of(caplog)
    assert "no eventType" in message
    assert "personal" not in message


def test_event_dead_for_a_rejected_event(
    make_app: AppFactory, okta: EventHook, body: BodyFactory, hear: Callable[[NamedSignal], Calls]
) -> None:
    """``Reject`` makes a dead letter of that receiver's: no failure, so Okta gets its 204."""

    @okta.on(CREATED, name="clerk")
    def rejects(sender: Flask, **extra: Any) -> None:
        raise Reject("not one of ours")

    dead, done = hear(signals.event_dead), hear(signals.event_done)

    response = post(make_app(okta), body(CREATED))

    assert response.status_code == 204
    (arguments,) = dead.arguments
    assert arguments["event"].uuid == "uuid-0"
    assert (arguments["receiver"], arguments["reason"]) == ("clerk", "not one of ours")
    assert done.arguments == []


@pytest.mark.parametrize("name", ["hook_verified", "delivery_refused", "event_done"])
def test_a_failing_listener_changes_no_answer(
    make_app: AppFactory,
    okta: EventHook,
    body: BodyFactory,
    caplog: pytest.LogCaptureFixture,
    name: str,
) -> None:
    """An error of whoever listens to the service is logged; Okta gets the same answer."""
    app = make_app(okta)

    def broken(sender: Flask, **extra: Any) -> None:
        raise LookupError("broken listener")

    with getattr(signals, name).connected_to(broken):
        answers = [verify(app), post(app, body(CREATED)), post(app, b"{}")]

    assert [answer.status_code for answer in answers] == [200, 204, 400]
    assert "broken listener" in caplog.text
