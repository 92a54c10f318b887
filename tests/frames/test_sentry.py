"""What Sentry's own SDK would send of a 503, and of an app that cannot start."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from tests.support import NEEDS_PSYCOPG

from .support import HUSH

if TYPE_CHECKING:
    import pytest

#: A program of its own, because Sentry's SDK changes other libraries for good. It prints what would be sent.
PROGRAM = """
import io
import sys

import flask
import sentry_sdk
from sentry_sdk.integrations.flask import FlaskIntegration
from sentry_sdk.transport import Transport

from okta_hooks import EventHook


class Printer(Transport):
    def capture_envelope(self, envelope):
        if (event := envelope.get_event()) is not None:
            print(__import__("json").dumps(event, default=str), flush=True)


sentry_sdk.init(
    dsn="https://key@sentry.example.com/1",
    transport=Printer,
    attach_stacktrace=True,
    integrations=[FlaskIntegration()],
)


def start():
    app = flask.Flask("host")
    app.config.from_prefixed_env()
    app.register_blueprint(EventHook("okta"))
    return app


def ask(app):
    body = b'{"data": {"events": [{"eventType": "user.lifecycle.create"}]}}'
    environ = {
        "REQUEST_METHOD": "POST",
        "HTTP_AUTHORIZATION": app.config["OKTA_HOOKS_SECRET"],
        "PATH_INFO": "/okta/events",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "443",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.url_scheme": "https",
        "wsgi.input": io.BytesIO(body),
    }
    app(environ, lambda *_: None)
    app.extensions["okta_hooks"].close()


try:
    app = start()
except RuntimeError as error:
    sentry_sdk.capture_exception(error)
else:
    ask(app)
"""


def sent(monkeypatch: pytest.MonkeyPatch, **config: str) -> list[dict[str, Any]]:
    for key, value in config.items():
        monkeypatch.setenv(f"FLASK_OKTA_HOOKS_{key}", value)
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=120
    )
    assert HUSH not in found.stdout
    return [json.loads(line) for line in found.stdout.splitlines()]


def frames(event: dict[str, Any]) -> list[str]:
    stacks = [
        each["stacktrace"]
        for part in ("threads", "exception")
        for each in event.get(part, {}).get("values", ())
    ]
    return [frame["function"] for stack in stacks for frame in stack["frames"]]


@NEEDS_PSYCOPG
def test_a_database_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """It sends an event with the stack of the view, and nothing secret in it.

    What it tells of the request itself it has noted before the app was called; there it leaves out this header.
    """
    events = sent(
        monkeypatch,
        SECRET=f"{HUSH}secret",
        API_TOKEN=f"{HUSH}token",
        INBOX=f"postgresql://app:{HUSH}password@127.0.0.1:1/app",
    )

    assert any("receive" in frames(event) and "wsgi_app" in frames(event) for event in events)


def test_an_app_that_cannot_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """It sends the error, and nothing secret with it."""
    (event,) = sent(
        monkeypatch,
        SECRET=f"{HUSH}secret",
        AUTH_HEADER=f"{HUSH}secret_",
        INBOX=f"postgresql://app:{HUSH}password@127.0.0.1:1/app",
    )

    assert "register_blueprint" in frames(event)
