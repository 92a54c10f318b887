"""What a report holds of requests that are refused, and of those that cannot be stored."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask, request

from okta_hooks import EventHook, signals
from tests.support import NEEDS_PSYCOPG

from .support import HUSH, reporting

if TYPE_CHECKING:
    from collections.abc import Callable

    BodyFactory = Callable[..., bytes]

RIGHT = f"{HUSH}right"
#: Where nothing listens.
AWAY = f"postgresql://app:{HUSH}password@127.0.0.1:1/app?sslpassword={HUSH}key"


def post(app: Flask, body: bytes, header: str, value: str, method: str = "POST") -> str:
    """Send a request as a server does: no frame of a client's, which has the header, is on the stack."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": "/okta/events",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "443",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.url_scheme": "https",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "HTTP_" + header.upper().replace("-", "_"): value,
        "HTTP_X_OKTA_VERIFICATION_CHALLENGE": "challenge",
    }
    statuses: list[str] = []
    app(environ, lambda status, *_: statuses.append(status))  # type: ignore[arg-type]
    return statuses[0][:3]


@pytest.fixture
def make(okta: EventHook) -> Callable[..., Flask]:
    def made(**config: Any) -> Flask:
        app = Flask("host")
        app.config.update({f"OKTA_HOOKS_{key}": value for key, value in config.items()})
        app.register_blueprint(okta)
        return app

    return made


@NEEDS_PSYCOPG
@pytest.mark.parametrize("header", ["Authorization", "X-Okta-Secret"])
def test_a_database_that_is_away(
    make: Callable[..., Flask], body: BodyFactory, header: str
) -> None:
    """With its 503, no frame has the secret, that of the request or of the configuration, or the password."""
    with reporting() as reporter:
        app = make(SECRET=[RIGHT, f"{HUSH}old"], INBOX=AWAY, AUTH_HEADER=header)
        try:
            assert post(app, body("user.lifecycle.create"), header, RIGHT) == "503"
            assert post(app, b"", header, RIGHT, method="GET") == "503"
        finally:
            app.extensions["okta_hooks"].close()

    assert any("was not stored" in message for message in reporter.messages)
    assert any("verification" in message for message in reporter.messages)
    assert reporter.leaks == []


@NEEDS_PSYCOPG
def test_an_inbox_that_cannot_be_used(make: Callable[..., Flask], body: BodyFactory) -> None:
    """What is found out about its URL at the first request is told without a part of it."""
    with reporting() as reporter:
        app = make(SECRET=RIGHT, INBOX=f"{AWAY}&colour=blue")
        assert post(app, body(), "Authorization", RIGHT) == "503"

    assert any("cannot be used" in message for message in reporter.messages)
    assert reporter.leaks == []


def test_a_wrong_secret(make: Callable[..., Flask], body: BodyFactory) -> None:
    """With its 401, no frame has what was presented, which may be a part of the right one, or a typing error."""
    with reporting() as reporter:
        app = make(SECRET=RIGHT, INBOX=None)
        assert post(app, body(), "Authorization", f"{RIGHT}x") == "401"
        assert post(app, b"", "Authorization", f"{HUSH}r", method="GET") == "401"

    assert len(reporter.messages) == 2
    assert reporter.leaks == []


def test_a_body_that_is_refused(make: Callable[..., Flask]) -> None:
    """With a 400, no frame has the secret that was right."""
    with reporting() as reporter:
        app = make(SECRET=RIGHT, INBOX=None)
        assert post(app, b"[]", "Authorization", RIGHT) == "400"

    assert any("was refused" in message for message in reporter.messages)
    assert reporter.leaks == []


def test_a_receiver_that_fails(
    make: Callable[..., Flask], body: BodyFactory, okta: EventHook
) -> None:
    """With the 500 of a receiver in the request, no frame has the secret."""

    @okta.on("user.lifecycle.create")
    def fail(*_: Any, **__: Any) -> None:
        raise ValueError("no")

    with reporting() as reporter:
        app = make(SECRET=RIGHT, INBOX=None)
        assert post(app, body("user.lifecycle.create"), "Authorization", RIGHT) == "500"

    assert any("Receivers failed" in message for message in reporter.messages)
    assert reporter.leaks == []


def test_the_host_has_the_header_until_it_is_judged(
    make: Callable[..., Flask], body: BodyFactory
) -> None:
    """What runs before the view may look at it; what is told of the request afterwards does not have it."""
    app = make(SECRET=RIGHT, INBOX=None)
    before: list[Any] = []
    after: list[Any] = []
    app.before_request(lambda: before.append(request.headers.get("Authorization")))

    def refused(_: Flask, **__: Any) -> None:
        after.append(request.headers.get("Authorization"))

    with signals.delivery_refused.connected_to(refused, sender=app):
        post(app, b"[]", "Authorization", RIGHT)

    assert (before, after) == ([RIGHT], [None])
