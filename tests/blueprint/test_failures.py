from __future__ import annotations

import asyncio
import logging
import sys
import threading
from typing import TYPE_CHECKING

import gevent
import pytest

from okta_hooks import EventHook, signals

from .support import CREATED, SECRET, assert_problem, nowhere, post, verify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from blinker import NamedSignal
    from flask import Flask
    from werkzeug.test import TestResponse

    from tests.support import Calls

    AppFactory = Callable[..., Flask]
    BodyFactory = Callable[..., bytes]


@pytest.fixture
def host(make_app: AppFactory, okta: EventHook) -> Flask:
    """Return an app that answers every error with a redirect, as many do."""
    app = make_app(okta)
    app.register_error_handler(Exception, nowhere)
    return app


class Failing(logging.Filter):
    """A filter of the host's that raises: it stands for whatever may fail within a view."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self._error = error

    def filter(self, _: logging.LogRecord) -> bool:
        """Fail."""
        raise self._error


@pytest.fixture
def fail_with(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[BaseException], None]]:
    """Return a function that makes the views raise something."""
    view = logging.getLogger("okta_hooks.endpoint")
    caplog.set_level(logging.INFO)
    added: list[logging.Filter] = []

    def fail(error: BaseException) -> None:
        added.append(Failing(error))
        view.addFilter(added[-1])

    yield fail
    for one in added:
        view.removeFilter(one)


def tracebacks(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.exc_info]


@pytest.mark.parametrize(
    "error",
    [
        LookupError("a bug"),
        MemoryError(),
        asyncio.CancelledError(),
        pytest.param(gevent.Timeout(5), id="gevent.Timeout"),
        BaseExceptionGroup("several", [KeyboardInterrupt()]),
    ],
    ids=repr,
)
def test_whatever_fails_is_a_503(
    host: Flask,
    fail_with: Callable[[BaseException], None],
    error: BaseException,
    caplog: pytest.LogCaptureFixture,
    *,
    hear: Callable[[NamedSignal], Calls],
) -> None:
    """No error handler of the host's makes an OK of it, the log has it once, and the host is told."""
    refused = hear(signals.delivery_refused)
    fail_with(error)

    assert_problem(post(host, b"not JSON"), 503)

    assert tracebacks(caplog) == ["A delivery to the hook 'okta' was not stored."]
    (arguments,) = refused.arguments
    assert (arguments["status"], arguments["reason"]) == (503, type(error).__name__)
    assert refused.senders == [host]
    caplog.clear()

    assert_problem(verify(host, Authorization=SECRET), 503)

    assert tracebacks(caplog) == ["The verification of the hook 'okta' failed."]
    assert len(refused.arguments) == 1


@pytest.mark.parametrize(
    "order", [SystemExit(1), KeyboardInterrupt(), gevent.GreenletExit()], ids=repr
)
def test_an_order_to_end_is_obeyed(
    host: Flask, fail_with: Callable[[BaseException], None], order: BaseException
) -> None:
    """A server ends a worker by an exception in its main thread, or in a greenlet: it is no answer of ours."""
    fail_with(order)

    with pytest.raises(type(order)):
        post(host, b"not JSON")
    with pytest.raises(type(order)):
        verify(host)


def test_elsewhere_it_is_no_order(host: Flask, fail_with: Callable[[BaseException], None]) -> None:
    """In a thread of a server's nobody orders anything by an exception."""
    fail_with(SystemExit(1))
    answers: list[TestResponse] = []

    thread = threading.Thread(target=lambda: answers.append(post(host, b"not JSON")))
    thread.start()
    thread.join()

    assert [answer.status_code for answer in answers] == [503]


def test_a_log_that_always_fails(host: Flask, fail_with: Callable[[BaseException], None]) -> None:
    """The answer is there though nobody can be told why."""
    fail_with(LookupError("a bug"))
    blueprint = logging.getLogger("okta_hooks.blueprint")
    failing = Failing(LookupError("another"))
    blueprint.addFilter(failing)
    try:
        assert_problem(post(host, b"not JSON"), 503)
    finally:
        blueprint.removeFilter(failing)


def test_a_view_that_cannot_be_imported(
    host: Flask, body: BodyFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is imported at the first request may be missing, or broken."""
    monkeypatch.delattr("okta_hooks.endpoint")
    monkeypatch.setitem(sys.modules, "okta_hooks.endpoint", None)

    assert_problem(post(host, body(CREATED)), 503)
    assert_problem(verify(host), 503)


def test_values_of_the_url(make_app: AppFactory, okta: EventHook, body: BodyFactory) -> None:
    """Values that the URL or the host's registration brings are nothing to a hook."""
    app = make_app()
    app.register_blueprint(okta, url_defaults={"language": "en"})

    assert post(app, body(CREATED)).status_code == 204
    assert verify(app).status_code == 200


def test_receivers_fail_through_to_a_test(make_app: AppFactory, body: BodyFactory) -> None:
    """Without an inbox, in an app that is being tested, what receivers raise comes out of the request."""
    okta = EventHook("okta")

    @okta.on(CREATED)
    def fails(sender: Flask, **extra: object) -> None:
        raise LookupError("no such user")

    app = make_app(okta)
    app.testing = True

    with pytest.raises(ExceptionGroup):
        post(app, body(CREATED))
