from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING

import pytest

from okta_hooks.console import registration
from okta_hooks.exceptions import UnknownEventTypeWarning
from okta_hooks.simulator import Org, Simulator
from tests.support import NEEDS_SDK, SECRET, answer_challenge

from .support import Page, deliver, get

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

    from okta_hooks import EventHook

TOKEN = "a-token-of-the-tests"
URL = "https://app.example.com/okta/events"

pytestmark = pytest.mark.usefixtures("directory")


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing of the machine's own configuration count, and a busy machine take its time."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "OKTA_CLIENT_ORGURL", "OKTA_CLIENT_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(registration, "SECONDS", 30.0)


@NEEDS_SDK
def test_what_plan_says(make: Callable[..., Flask], okta: EventHook) -> None:
    """The page says how the hook at Okta differs; the overview says it from then on, and asks nobody itself."""
    with Simulator(Org(token=TOKEN, seed=1, send=answer_challenge)) as simulator:
        simulator.org.register(URL, ["user.session.start"], secret=SECRET, name="Staff")
        with pytest.warns(UnknownEventTypeWarning):
            okta.on("event_hook.delivery", name="watch")(lambda app, **_: None)
        app = make(okta, ORG_URL=simulator.url, API_TOKEN=TOKEN, URL=URL)
        client = app.test_client()
        assert "Nobody has looked" in Page(get(client)).text

        page = Page(get(client, "/registration"))

        assert "okta out of step" in page.text
        assert "user.lifecycle.create" in page.text
        assert "user.session.start (nobody receives it)" in page.text
        assert "Staff" in page.text
        assert "watch will never get event_hook.delivery" in page.text
    # The org is gone: whoever asked it would notice.
    assert "okta: out of step" in Page(get(client)).text


def test_an_org_that_is_not_configured(client: object, app: Flask) -> None:
    """Without an org the page says what to set, and who delivers all the same."""
    deliver(app, "user.lifecycle.create")

    page = Page(get(app.test_client(), "/registration"))

    assert "No org is configured" in page.text
    assert "https://example.okta.com/api/v1/eventHooks/whoSampleHook" in page.text
    assert re.search(r"No\. 1 of 1( \d+ \w+ ago){2}", page.text)


@NEEDS_SDK
def test_an_org_that_is_silent(
    make: Callable[..., Flask], okta: EventHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page waits for Okta for a time only, and has the rest."""
    monkeypatch.setattr(registration, "SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        client = make(okta, ORG_URL=url, API_TOKEN=TOKEN).test_client()

        page = Page(get(client, "/registration"))

    assert "the org did not answer within 0.3 s" in page.text
    assert "Who delivers" in page.text


@NEEDS_SDK
def test_a_token_that_is_refused(make: Callable[..., Flask], okta: EventHook) -> None:
    """What Okta refuses is said, without the token."""
    with Simulator(Org(token="another", seed=1, send=answer_challenge)) as simulator:
        client = make(okta, ORG_URL=simulator.url, API_TOKEN=TOKEN).test_client()

        text = get(client, "/registration")

    assert "is not known" in text
    assert TOKEN not in text
