from __future__ import annotations

import io
import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest
from flask import request

from tests.support import Calls

from .support import CHALLENGE, CREATED, DEACTIVATED, URL, assert_problem, post

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flask import Flask

    from okta_hooks import EventHook

    AppFactory = Callable[..., Flask]
    BodyFactory = Callable[..., bytes]


LOGGER = "okta_hooks.endpoint"


def test_every_event_of_a_delivery_is_dispatched(
    make_app: AppFactory, okta: EventHook, body: BodyFactory
) -> None:
    """Of a hundred events of one type in one delivery, a hundred are dispatched, in their order."""
    received = okta.on(CREATED)(Calls())

    response = post(make_app(okta), body(*[CREATED] * 100))

    assert response.status_code == 204
    assert received.events == [f"uuid-{number}" for number in range(100)]


def test_what_a_receiver_gets(make_app: AppFactory, okta: EventHook, body: BodyFactory) -> None:
    """A receiver gets the app itself, the event, its delivery, the hook and the attempt."""
    received = okta.on(DEACTIVATED)(Calls())
    app = make_app(okta)
    targets = [{"type": "User", "id": "00u1"}]
    event = {"eventType": DEACTIVATED, "uuid": "u1", "target": targets, "moon": 10**40}
    post(app, body(event))

    (arguments,) = received.arguments
    assert received.senders[0] is app
    assert set(arguments) == {"event", "delivery", "hook", "attempt"}
    assert arguments["event"].uuid == "u1"
    assert arguments["event"].target_of("User").id == "00u1"
    assert arguments["event"].raw == event
    assert arguments["delivery"].event_id == "delivery-1"
    assert arguments["delivery"].source == "https://example.okta.com/api/v1/eventHooks/who1"
    assert arguments["delivery"].via == "hook"
    assert arguments["delivery"].received_at.tzinfo is not None
    assert (arguments["hook"], arguments["attempt"]) == (okta, 1)


def test_the_preview_of_the_admin_console(
    make_app: AppFactory, okta: EventHook, body: BodyFactory
) -> None:
    """Okta's sample, in which ``actor``, ``target`` and more are null, crashes nothing."""
    seen = []

    @okta.on(DEACTIVATED)
    def receiver(sender: Flask, event: Any, **extra: Any) -> None:
        seen.append((event.targets_of("User"), event.target_of("User"), event.changed_attributes))

    nothing = dict.fromkeys(("actor", "target", "debugContext", "outcome", "client"))
    sample = {"eventType": DEACTIVATED, "uuid": "u1", **nothing}

    assert post(make_app(okta), body(sample)).status_code == 204
    assert seen == [((), None, ())]


def test_the_middle_one_of_three_receivers_fails(
    make_app: AppFactory, okta: EventHook, body: BodyFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """The others run, Okta gets a 500, and the error stands in the log with its traceback."""
    first = okta.on(CREATED)(Calls())

    @okta.on(CREATED)
    def second(sender: Flask, **extra: Any) -> None:
        raise LookupError("no such user")

    third = okta.on(CREATED)(Calls())

    response = post(make_app(okta), body(CREATED))

    assert_problem(response, 500)
    assert "no such user" not in response.text
    assert first.events == third.events == ["uuid-0"]
    assert "LookupError: no such user" in caplog.text


def test_failures_are_logged_as_one_group(
    make_app: AppFactory, okta: EventHook, body: BodyFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """Two receivers that fail for two events are four errors in one ``ExceptionGroup``."""

    @okta.on(CREATED)
    def one(sender: Flask, event: Any, **extra: Any) -> None:
        raise LookupError(f"one {event.uuid}")

    @okta.on(CREATED)
    async def other(sender: Flask, event: Any, **extra: Any) -> None:
        raise ValueError(f"other {event.uuid}")

    assert post(make_app(okta), body(CREATED, CREATED)).status_code == 500

    (record,) = (record for record in caplog.records if record.name == LOGGER)
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    group = record.exc_info[1]
    assert isinstance(group, ExceptionGroup)
    assert [str(error) for error in group.exceptions] == [
        "one uuid-0",
        "other uuid-0",
        "one uuid-1",
        "other uuid-1",
    ]


def test_failures_are_raised_while_testing(
    make_app: AppFactory, okta: EventHook, body: BodyFactory
) -> None:
    """Under ``app.testing`` the group reaches the test that made the request, after all have run."""

    @okta.on(CREATED)
    def fails(sender: Flask, **extra: Any) -> None:
        raise LookupError("no such user")

    ran = okta.on(CREATED)(Calls())
    app = make_app(okta)
    app.testing = True

    with pytest.raises(ExceptionGroup) as raised:
        post(app, body(CREATED))

    assert [str(error) for error in raised.value.exceptions] == ["no such user"]
    assert ran.events == ["uuid-0"]


def test_a_request_that_stores_nothing_opens_nothing_while_testing(
    make_app: AppFactory, okta: EventHook, tmp_path: Path
) -> None:
    """Under ``app.testing`` no thread opens the inbox behind the back of a test that is about to close it."""
    file = tmp_path / "inbox.sqlite3"
    app = make_app(okta, INBOX=f"sqlite:///{file}")
    app.testing = True
    before = set(threading.enumerate())

    assert app.test_client().get(URL, headers=CHALLENGE).status_code == 200

    assert set(threading.enumerate()) <= before
    assert not file.exists()


def test_a_body_that_was_read_before(
    make_app: AppFactory, okta: EventHook, body: BodyFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """Okta has sent something, so it is asked to send it again; the log says what has become of it."""
    app = make_app(okta)
    app.before_request(lambda: request.stream.read() and None)
    sent = body(CREATED)

    response = post(app, sent)

    assert_problem(response, 503)
    assert f"{len(sent)} bytes were announced: something has read them before" in caplog.text


def test_an_app_that_is_called_twice(
    make_app: AppFactory, okta: EventHook, body: BodyFactory
) -> None:
    """Something in front that tries the same request again gets the same answer: the secret is not lost."""
    app = make_app(okta)
    inner, answers = app.wsgi_app, []

    def again(environ: dict[str, Any], start_response: Any) -> Any:
        sent = environ["wsgi.input"].read()
        for _ in range(2):
            environ["wsgi.input"] = io.BytesIO(sent)
            answers.append(inner(environ, start_response))
        return answers[-1]

    app.wsgi_app = again  # type: ignore[method-assign]

    assert post(app, body(CREATED)).status_code == 204
    assert len(answers) == 2
