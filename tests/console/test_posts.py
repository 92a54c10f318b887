from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from flask_wtf import CSRFProtect
from werkzeug.middleware.proxy_fix import ProxyFix

from okta_hooks import state_of
from okta_hooks.console import Console

from .support import OWN, ROOT, Page

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask
    from flask.testing import FlaskClient

    from okta_hooks import EventHook

    from .conftest import Answer

PAUSE = f"{ROOT}/receivers/pause?hook=okta&name=directory"

pytestmark = pytest.mark.usefixtures("directory")


def is_paused(app: Flask) -> bool:
    """Return whether the receiver is paused."""
    return bool(state_of(app).runtime().inbox.pauses.paused())


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "null"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://localhost:8080"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:8080"},
        {"Sec-Fetch-Site": "none"},
    ],
)
def test_posts_from_elsewhere(client: FlaskClient, app: Flask, headers: dict[str, str]) -> None:
    """A POST of another site, of another port, or without an origin is refused, and nothing has happened."""
    answer = client.post(PAUSE, headers=headers)

    assert answer.status_code == 403
    assert "Only the console's own pages may act" in Page(answer.text).text
    assert not is_paused(app)


@pytest.mark.parametrize("headers", [OWN, {"Origin": "http://localhost"}])
def test_posts_of_its_own(client: FlaskClient, app: Flask, headers: dict[str, str]) -> None:
    """A POST of its own page acts."""
    assert client.post(PAUSE, headers=headers).status_code == 303
    assert is_paused(app)


def test_acting_by_a_link(client: FlaskClient, app: Flask) -> None:
    """A GET never acts, not even from its own page."""
    assert client.get(PAUSE, headers=OWN).status_code == 405
    assert not is_paused(app)


def test_behind_a_proxy(client: FlaskClient, app: Flask) -> None:
    """Behind a proxy it is the host that the proxy was asked for that must be the origin."""
    app.wsgi_app = ProxyFix(app.wsgi_app, x_host=1, x_proto=1)  # type: ignore[method-assign]
    forwarded = {"X-Forwarded-Host": "ops.example.com", "X-Forwarded-Proto": "https"}

    of_inside = client.post(PAUSE, headers={**forwarded, "Origin": "http://localhost"})
    of_outside = client.post(PAUSE, headers={**forwarded, "Origin": "https://ops.example.com"})

    assert (of_inside.status_code, of_outside.status_code) == (403, 303)
    assert of_outside.location.startswith(f"{ROOT}/receivers/one")


@pytest.mark.parametrize("exempts", [False, True])
def test_beside_flask_wtf(
    make: Callable[..., Flask], okta: EventHook, who: Answer, *, exempts: bool
) -> None:
    """A host that has every POST protected need do nothing: the forms have what it looks for. It may exempt them."""
    console = Console(authorize=who)
    app = make(okta, console=console)
    app.secret_key = "of the tests"
    csrf = CSRFProtect(app)
    csrf.exempt(okta)
    if exempts:
        csrf.exempt(console)
    client = app.test_client()
    origin = {"Origin": "https://localhost", "Referer": f"https://localhost{ROOT}/receivers"}

    page = Page(client.get(PAUSE.replace("/pause", "/one"), base_url="https://localhost").text)
    (token,) = page.values("csrf_token")
    without = client.post(PAUSE, headers=origin, base_url="https://localhost")
    with_it = client.post(
        PAUSE, headers=origin, base_url="https://localhost", data={"csrf_token": token}
    )

    assert (without.status_code, with_it.status_code) == (303 if exempts else 400, 303)
    assert is_paused(app)


def test_beside_flask_wtf_in_tests(make: Callable[..., Flask], okta: EventHook) -> None:
    """Where a host's own tests have switched the protection off, the forms need no session."""
    app = make(okta)
    app.config["WTF_CSRF_ENABLED"] = False
    CSRFProtect(app)

    page = app.test_client().get(PAUSE.replace("/pause", "/one"))

    assert page.status_code == 200
    assert "csrf_token" not in page.text
