from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING

import pytest
from flask import Flask, request

from okta_hooks import EventHook, signals
from tests.support import Calls

from .support import (
    CHALLENGE,
    CREATED,
    RIGHT,
    ROWS,
    SECRET,
    URL,
    Row,
    ask,
    assert_problem,
    post,
    verify,
    wrapped,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from blinker import NamedSignal

    AppFactory = Callable[..., Flask]
    BodyFactory = Callable[..., bytes]


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_no_answer_is_taken_for_something_else(host: Flask, row: Row) -> None:
    """Whatever it is, a browser is told to believe the type that is said."""
    assert ask(host, row).headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_answer_table(host: Flask, row: Row) -> None:
    """Each request gets its answer, and the host's error handlers never see it."""
    response = ask(host, row)

    if row.status == 200:
        assert response.status_code == 200
        assert response.mimetype == "application/json"
        echoed = row.headers["X-Okta-Verification-Challenge"]
        assert response.json == {"verification": echoed}
    elif row.status == 204:
        assert response.status == "204 NO CONTENT"
        assert response.data == b""
    else:
        assert_problem(response, row.status)
        assert SECRET not in response.text


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_answers_are_not_cached(make_app: AppFactory, okta: EventHook, method: str) -> None:
    """Neither a verification nor a refusal may be answered by a cache the next time."""
    response = make_app(okta).test_client().open(URL, method=method, headers=CHALLENGE)

    assert response.headers["Cache-Control"] == "no-store"


def test_a_challenge_is_echoed_as_json(make_app: AppFactory, okta: EventHook) -> None:
    """Quotes, angle brackets and other than ASCII characters come back as they were sent."""
    challenge = '"</script>\\é'

    response = verify(make_app(okta), **{"X-Okta-Verification-Challenge": challenge})

    assert response.json == {"verification": challenge}


def test_max_body_is_ours_not_the_hosts(
    make_app: AppFactory, okta: EventHook, body: BodyFactory
) -> None:
    """A host that allows its own forms a few bytes only does not refuse Okta's deliveries."""
    app = make_app(okta)
    app.config["MAX_CONTENT_LENGTH"] = 10
    delivery = body(CREATED)

    @app.post("/form")
    def form() -> str:
        raise AssertionError("never reached: reading the form fails")

    @app.before_request
    def reads_forms() -> None:
        if request.path == "/form":
            request.get_data()

    assert app.test_client().post("/form", data=delivery).status_code == 413
    assert post(app, delivery).status_code == 204


def test_max_body_is_10_mib_by_default(make_app: AppFactory, okta: EventHook) -> None:
    """Without configuration, 10 MiB are read and one byte more is not."""
    app = make_app(okta)
    largest = 10 * 1024 * 1024

    assert post(app, wrapped([]).ljust(largest)).status_code == 204
    assert post(app, wrapped([]).ljust(largest + 1)).status_code == 413


def test_a_body_that_the_host_has_read_is_still_there(
    make_app: AppFactory, okta: EventHook, body: BodyFactory
) -> None:
    """A host that looks at every request's JSON first does not take the delivery away."""
    app = make_app(okta)
    received = okta.on(CREATED)(Calls())

    @app.before_request
    def looks() -> None:
        request.get_json(silent=True)

    response = app.test_client().post(
        URL, data=body(CREATED), content_type="application/json", headers=RIGHT
    )

    assert response.status_code == 204
    assert received.events == ["uuid-0"]


def test_the_body_of_a_stranger_is_read_but_not_parsed(
    make_app: AppFactory,
    okta: EventHook,
    body: BodyFactory,
    hear: Callable[[NamedSignal], Calls],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With a wrong secret no receiver runs, and nothing of the body is kept or logged."""
    caplog.set_level(logging.DEBUG)
    refused = hear(signals.delivery_refused)
    received = okta.on("*")(Calls())
    stream = io.BytesIO(body({"eventType": CREATED, "displayMessage": "personal"}))

    response = (
        make_app(okta)
        .test_client()
        .post(URL, input_stream=stream, headers={"Authorization": "wrong"})
    )

    assert_problem(response, 401)
    assert stream.read() == b""
    assert received.arguments == []
    assert "personal" not in caplog.text + repr(refused.arguments) + response.text
