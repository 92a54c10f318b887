from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from okta_hooks import EventHook, endpoint, signals

from .support import CREATED, ROWS, SECRET, URL, ask, post, verify, warnings_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from blinker import NamedSignal
    from flask import Flask

    from tests.support import Calls

    AppFactory = Callable[..., Flask]
    BodyFactory = Callable[..., bytes]


class Clock:
    """Stands in for the module ``time``, so that a minute passes at once."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        """Return the time that the test has set, in seconds."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the clock that the endpoint goes by."""
    made = Clock()
    monkeypatch.setattr(endpoint, "time", made)
    return made


def counts(caplog: pytest.LogCaptureFixture) -> list[int]:
    return [
        vars(record)["okta_count"] for record in caplog.records if record.levelname == "WARNING"
    ]


def test_refusals_are_logged_once_a_minute_with_their_count(
    make_app: AppFactory,
    okta: EventHook,
    body: BodyFactory,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A stranger cannot fill the log: the next warning, a minute later, counts what came between."""
    app = make_app(okta)

    for _ in range(3):
        post(app, body(), secret="wrong")
    verify(app, Authorization="wrong")
    clock.now += 59.9
    post(app, body(), secret="wrong")
    assert counts(caplog) == [1]

    clock.now += 0.1
    post(app, body(), secret="wrong")
    assert counts(caplog) == [1, 5]
    assert "'okta'" in warnings_of(caplog)[1]
    assert "Authorization" in warnings_of(caplog)[1]


def test_another_mistake_is_logged_at_once(
    make_app: AppFactory,
    okta: EventHook,
    body: BodyFactory,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whoever tries something else finds its hint in the log; the same two in turn are told once a minute."""
    app = make_app(okta)

    for _ in range(3):
        post(app, body(), secret="short")
        post(app, body(), secret="Bearer " + SECRET)

    first, second = warnings_of(caplog)
    assert "hook 'okta' had no right secret in Authorization, 1 of them; the last" in first
    assert "shorter than the secret" in first
    assert "hook 'okta' had no right secret in Authorization, 1 of them; the last" in second
    assert "longer than the secret" in second
    clock.now += 60
    post(app, body(), secret="short")
    assert "in Authorization, 5 of them; the last" in warnings_of(caplog)[2]


@pytest.mark.parametrize(
    ("presented", "expected"),
    [
        ("Bearer " + SECRET, "longer than the secret: a scheme in front of it"),
        (SECRET[:-1], "shorter than the secret"),
        (SECRET.upper(), "as long as a secret can be"),
        (None, "no such header"),
    ],
    ids=["longer", "shorter", "as long", "absent"],
)
def test_the_hint_tells_lengths_only(
    make_app: AppFactory,
    okta: EventHook,
    caplog: pytest.LogCaptureFixture,
    presented: str | None,
    expected: str,
) -> None:
    """The log says what may be wrong; neither secret stands in it, nor in the answer."""
    caplog.set_level(logging.DEBUG)
    app = make_app(okta)
    headers = {} if presented is None else {"Authorization": presented}

    response = app.test_client().post(URL, headers=headers)

    (message,) = warnings_of(caplog)
    assert expected in message
    for shown in (caplog.text, response.text, repr([vars(r) for r in caplog.records])):
        assert SECRET not in shown
        assert presented is None or presented not in shown


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("POST, wrong secret", "wrong secret"),
        ("POST, too large", "OKTA_HOOKS_MAX_BODY, 2000 bytes"),
        ("POST, not JSON", "not JSON"),
        ("POST, empty", "The body is empty"),
        ("POST, chunked, not passed on", "in chunks, without its length, and the server does not"),
        ("POST, gzip, too large", "OKTA_HOOKS_MAX_BODY, 2000 bytes"),
        ("POST, said to be gzip", "not compressed as its Content-Encoding says"),
        ("POST, another compression", "gzip and deflate can be read"),
        ("POST, no data", "no list at data.events"),
        ("POST, broken off", "broke off"),
        ("POST, shorter than said", "broke off"),
    ],
)
def test_delivery_refused(
    host: Flask, hear: Callable[[NamedSignal], Calls], name: str, reason: str
) -> None:
    """``delivery_refused`` tells the status that Okta got, and why."""
    heard = hear(signals.delivery_refused)

    response = ask(host, ROWS[name])

    (arguments,) = heard.arguments
    assert reason in arguments.pop("reason")
    assert arguments == {"hook": host.blueprints["okta"], "status": response.status_code}
    assert heard.senders == [host]


def test_delivery_refused_is_about_deliveries(
    make_app: AppFactory, okta: EventHook, body: BodyFactory, hear: Callable[[NamedSignal], Calls]
) -> None:
    """A refused verification and an accepted delivery are no refused delivery."""
    heard = hear(signals.delivery_refused)
    app = make_app(okta)

    verify(app, Authorization="wrong")
    post(app, body(CREATED))

    assert heard.arguments == []
