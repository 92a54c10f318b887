"""What servers and extensions do to the hook's answers, found out by asking."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask, Response, redirect, request
from flask_limiter import Limiter

from okta_hooks import EventHook
from tests.support import serving

from .served import INSIDE, URL, examine, in_front
from .support import SECRET

Wsgi = Any

if TYPE_CHECKING:
    from collections.abc import Callable


def drop_chunks(app: Wsgi) -> Wsgi:
    """Give the app nothing of a body that comes in chunks, as uWSGI does."""

    def middleware(environ: dict[str, Any], start: Any) -> Any:
        if "HTTP_TRANSFER_ENCODING" in environ:
            environ["wsgi.input"].read()  # or the answer would be lost
            del environ["wsgi.input_terminated"]
        return app(environ, start)

    return middleware


def want_a_length(app: Wsgi) -> Wsgi:
    """Refuse a body that comes in chunks."""

    def middleware(environ: dict[str, Any], start: Any) -> Any:
        if "HTTP_TRANSFER_ENCODING" in environ:
            environ["wsgi.input"].read()
            start("411 LENGTH REQUIRED", [])
            return []
        return app(environ, start)

    return middleware


@pytest.mark.parametrize("middleware", [drop_chunks, want_a_length])
def test_a_server_that_passes_no_chunks_on(make: Callable[..., Flask], middleware: Any) -> None:
    """A proxy may send chunks to it, so it is warned of, with who does better."""
    with serving(middleware(make())) as base:
        found = examine(make(), "--url", base + URL)

    assert in_front(found) == INSIDE | {"chunked": "warning"}
    assert "the server does not pass the body on" in found["chunked"][0]["text"]
    assert "gunicorn or waitress" in found["chunked"][0]["cure"]


def need_a_body(app: Wsgi) -> Wsgi:
    """Make a 500 of each answer that has no body, as the WSGI mode of Hypercorn does."""

    def middleware(environ: dict[str, Any], start: Any) -> Any:
        heads: list[Any] = []
        body = list(app(environ, lambda *head: heads.append(head)))
        if not body:
            start("500 INTERNAL SERVER ERROR", [("Content-Length", "0")])
            return []
        start(*heads[0])
        return body

    return middleware


def test_a_server_that_loses_every_204(make: Callable[..., Flask]) -> None:
    """The hook answers as it should, and Okta gets 500: the server is named that does so."""
    with serving(need_a_body(make())) as base:
        found = examine(make(), "--url", base + URL)

    assert in_front(found) == INSIDE | {"delivery": "failure"}
    assert "its 204, which has no body, does not" in found["delivery"][0]["text"]
    assert "Hypercorn's WSGI mode" in found["delivery"][0]["cure"]


def test_a_wall_that_wants_https(make: Callable[..., Flask]) -> None:
    """A redirect to the same URL by https is told from others: behind a proxy it never ends."""
    served = make()
    served.before_request(lambda: redirect(request.url.replace("http://", "https://"), 301))
    with serving(served) as base:
        found = examine(make(), "--url", base + URL)

    assert in_front(found) == INSIDE | {"redirect": "failure"}
    assert "force_https of Flask-Talisman" in found["redirect"][0]["cure"]
    assert "ProxyFix with x_proto=1" in found["redirect"][0]["cure"]


@pytest.mark.parametrize("status", [401, 503])
def test_only_what_we_write_is_ours(make: Callable[..., Flask], status: int) -> None:
    """Whatever a page says, without our type of answer it is somebody else's."""
    served = make()
    served.before_request(
        lambda: Response(
            '{"type": "about:blank", "title": "", "status": 0, "detail": ""}',
            status,
            mimetype="application/json",
        )
    )
    with serving(served) as base:
        found = examine(make(), "--url", base + URL)

    said = found["challenge"][0]["text"]
    assert ("not by this library" if status == 401 else "the proxy gets no answer") in said
    assert "wrong-secret" not in found


@pytest.mark.parametrize("limits", [["1 per hour"], ["50 per hour", "200 per day"]])
def test_default_limits_of_flask_limiter(limits: list[str]) -> None:
    """They hold for the hook, whether they are reached now or later, until it is exempt."""
    app, okta = Flask("limited"), EventHook("okta")
    app.config.update(OKTA_HOOKS_SECRET=SECRET, OKTA_HOOKS_INBOX=None)
    limiter = Limiter(lambda: "Okta", app=app, default_limits=limits, storage_uri="memory://")  # type: ignore[arg-type]
    app.register_blueprint(okta)

    (check,) = examine(app, "--offline")["host"]
    limiter.exempt(okta)
    (exempt,) = examine(app, "--offline")["host"]

    assert check["level"] == ("failure" if "1 per hour" in limits else "warning")
    assert "429" in check["text"]
    assert "limiter.exempt(okta)" in check["cure"]
    assert exempt["level"] == "ok"
