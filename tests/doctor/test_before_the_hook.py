from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from flask import Flask, Response, redirect, request
from flask_wtf import CSRFProtect

from okta_hooks import EventHook

from .served import URL, examine
from .support import SECRET

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def host_check(app: Flask, *arguments: str) -> dict[str, str]:
    (check,) = examine(app, "--offline", *arguments)["host"]
    return check


def read_data() -> None:
    request.get_data()


def read_stream() -> None:
    request.stream.read()


def test_csrf_protection(make: Callable[..., Flask]) -> None:
    """Flask-WTF's protection is recognised, and is fine once the hook is exempt."""
    app = make()
    app.secret_key = "of the host"
    csrf = CSRFProtect(app)

    assert (found := host_check(app))["level"] == "failure"
    assert found["cure"] == "csrf.exempt(okta)"
    csrf.exempt(app.extensions["okta_hooks"].hooks["okta"])
    assert host_check(app)["level"] == "ok"


def test_a_login_wall_of_the_app(make: Callable[..., Flask]) -> None:
    """A before_request that redirects is found without a server."""
    app = make()
    app.before_request(lambda: redirect("/login"))

    assert "That is a login wall" in host_check(app)["cure"]


def test_a_verification_that_something_changes(make: Callable[..., Flask]) -> None:
    """A 200 is no verification without the challenge."""
    app = make()

    @app.after_request
    def page(response: Response) -> Response:
        if request.method == "GET":
            response.set_data("a page")
        return response

    assert (found := host_check(app))["level"] == "failure"
    assert "ends with 200, but not with the challenge" in found["text"]


def test_a_body_that_is_read_before(make: Callable[..., Flask]) -> None:
    """A before_request that reads bodies makes MAX_CONTENT_LENGTH count, which does not otherwise."""
    small, reading = make(), make()
    small.config["MAX_CONTENT_LENGTH"] = reading.config["MAX_CONTENT_LENGTH"] = 2 * 1024 * 1024
    reading.before_request(read_data)

    assert host_check(small)["level"] == "ok"
    assert "413: MAX_CONTENT_LENGTH is 2097152" in host_check(reading)["text"]


def test_a_stream_that_is_read_before(make: Callable[..., Flask]) -> None:
    """A body that is gone when the hook is asked is told from one that is wrong."""
    app = make()
    app.before_request(read_stream)

    assert "the body is gone" in host_check(app)["text"]


def test_a_large_body_breaks_something(make: Callable[..., Flask]) -> None:
    """What refuses only large bodies is found, too."""
    app = make()
    app.before_request(
        lambda: Response(status=500) if (request.content_length or 0) > 1000 else None
    )

    assert host_check(app)["text"] == "In the app itself a large delivery ends with 500."


def test_something_raises_before(make: Callable[..., Flask]) -> None:
    """What a before_request raises may come out, as in debug mode: that is a failure, and no traceback."""
    app = make()
    app.config["PROPAGATE_EXCEPTIONS"] = True

    @app.before_request
    def fail() -> None:
        raise LookupError("s3cret")

    found = host_check(app)
    assert "LookupError was raised" in found["text"]
    assert "s3cret" not in str(found)


def test_trusted_hosts(make: Callable[..., Flask]) -> None:
    """The host that Okta calls must be among them; without a URL the first of them is asked for."""
    app = make()
    app.config["TRUSTED_HOSTS"] = [".example.com"]
    assert host_check(app)["level"] == "ok"

    (found,) = examine(app, "--url", f"http://example.org{URL}")["host"]

    assert "is not among TRUSTED_HOSTS" in found["text"]


def test_server_name(tmp_path: Path) -> None:
    """With subdomain matching a URL of another host reaches no hook."""
    app = Flask("host", subdomain_matching=True)
    app.config.update(
        OKTA_HOOKS_SECRET=SECRET, OKTA_HOOKS_INBOX=None, SERVER_NAME="app.example.com"
    )
    app.register_blueprint(EventHook("okta"))
    assert host_check(app)["level"] == "ok"

    with pytest.warns(UserWarning, match="doesn't match"):
        (found,) = examine(app, "--url", f"http://www.example.com{URL}")["host"]

    assert "SERVER_NAME is 'app.example.com'" in found["cure"]


def test_host_matching(tmp_path: Path) -> None:
    """Where it depends on the host whether the hook is there, that is said."""
    app = Flask("host", host_matching=True, static_host="static.example.com")
    app.config.update(OKTA_HOOKS_SECRET=SECRET, OKTA_HOOKS_INBOX=None)
    app.register_blueprint(EventHook("okta"), host="okta.example.com")

    assert host_check(app)["level"] == "skipped"
    assert "host_matching" in host_check(app)["text"]


def test_asking_the_app_starts_nothing(make: Callable[..., Flask], tmp_path: Path) -> None:
    """No thread is started and no inbox is made, and afterwards the app has its own again."""
    app = make()
    before = set(threading.enumerate())

    found = examine(app, "--offline")

    assert set(threading.enumerate()) <= before
    assert "is not there" in found["inbox-file"][0]["text"]
    assert list(tmp_path.iterdir()) == []
    state = app.extensions["okta_hooks"]
    assert (state.settings.worker, state.settings.inbox is None) == ("thread", False)
