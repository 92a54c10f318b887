from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import flask
import pytest

from okta_hooks.console import Console

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask
    from flask.testing import FlaskClient

    from okta_hooks import EventHook

    from .conftest import Answer

PATHS = (
    "/okta/console",
    "/okta/console/",
    "/okta/console/events",
    "/okta/console/static/console.css",
)
SPELT_ODDLY = ("/okta//console", "/okta/console//events", "/okta/console/static//console.css")


def test_an_answer_instead_of_a_function() -> None:
    """A role in place of the function that returns it is a programmer's mistake, told where it is made."""
    with pytest.raises(TypeError, match="authorize must be a function"):
        Console(authorize="operate")  # type: ignore[arg-type]


def test_without_authorize(make_app: Callable[..., Flask], okta: EventHook) -> None:
    """A console that does not know who may look is not registered, and the error says what to write."""
    with pytest.raises(RuntimeError, match=r'Console\(authorize=.*"operate"'):
        make_app(okta).register_blueprint(Console())


def test_what_is_no_hook() -> None:
    """A console over something else than hooks is a programmer's mistake."""
    with pytest.raises(TypeError, match=r"Console\(okta, authorize="):
        Console("okta", authorize=lambda: "read")  # type: ignore[arg-type]


@pytest.mark.parametrize("path", [*PATHS, *SPELT_ODDLY])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"])
def test_who_may_not_look(client: FlaskClient, who: Answer, path: str, method: str) -> None:
    """They get the answer of a page that does not exist, by whatever method, with no header of the console's."""
    who.is_now = None
    nowhere = client.open("/nowhere", method=method)

    answer = client.open(path, method=method)

    assert (answer.status_code, answer.data) == (404, nowhere.data)
    assert set(answer.headers.keys()) == set(nowhere.headers.keys())


@pytest.mark.parametrize("answer", ["read", "operate", ("read", None), ("operate", "Grace")])
def test_who_may_look(client: FlaskClient, who: Answer, answer: Any) -> None:
    """A role lets in, and so does a pair of it and a name."""
    who.is_now = answer

    for path in PATHS:
        with client.get(path) as page:
            assert page.status_code == 200


@pytest.mark.parametrize(
    "answer", [True, False, "", "admin", b"read", ("admin", "Grace"), ("read", 1), ("read",), {}]
)
def test_what_authorize_must_not_return(
    client: FlaskClient, who: Answer, answer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Anything else lets nobody in, and the log says what it should be."""
    who.is_now = answer

    assert client.get("/okta/console/").status_code == 404

    (record,) = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert 'None, "read" or "operate"' in record.getMessage()
    assert type(answer).__name__ in record.getMessage()


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("admin", "another role"),
        (("admin", "Grace"), "another role"),
        (("read", 7), "type int: str"),
    ],
)
def test_what_is_wrong_with_an_answer(
    client: FlaskClient, who: Answer, answer: Any, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The log tells a role that is none from a name that is none, and has neither of them."""
    who.is_now = answer
    client.get("/okta/console")

    assert told in caplog.text
    assert "admin" not in caplog.text
    assert "Grace" not in caplog.text


def test_a_coroutine_function(make: Callable[..., Flask], okta: EventHook) -> None:
    """It may be one, as any view of Flask's."""

    async def authorize() -> str:
        return "read"

    client = make(okta, console=Console(authorize=authorize)).test_client()

    assert client.get("/okta/console/").status_code == 200


def test_a_host_that_asks_for_a_login(make: Callable[..., Flask], okta: EventHook) -> None:
    """What the host's own function aborts with is what is answered."""
    client = make(okta, console=Console(authorize=lambda: flask.abort(401))).test_client()

    assert client.get("/okta/console/").status_code == 401


def test_headers_of_pages(client: FlaskClient) -> None:
    """A page loads nothing but our own files, stands in no frame, and is kept nowhere."""
    headers = client.get("/okta/console/").headers

    policy = dict(each.split(" ", 1) for each in headers["Content-Security-Policy"].split("; "))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self'",
        "connect-src": "'self'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["X-Frame-Options"] == "DENY"


def test_another_method(client: FlaskClient) -> None:
    """Who may look is told that a page is only there to be looked at."""
    answer = client.put("/okta/console/events")

    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET")
