from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from okta_hooks import EventHook
from okta_hooks.simulator import Org as SimulatedOrg
from okta_hooks.simulator import Simulator
from tests.support import NEEDS_SDK, answer_challenge

from .support import SECRET, TOKEN, examine, level

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from flask import Flask

    AppFactory = Callable[..., Flask]

pytestmark = NEEDS_SDK


@pytest.fixture
def simulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    """Run an org whose hooks answer the challenge; nothing of the machine's own configuration counts."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "OKTA_CLIENT_ORGURL", "OKTA_CLIENT_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with Simulator(SimulatedOrg(token=TOKEN, seed=1, send=answer_challenge)) as simulator:
        yield simulator


@pytest.fixture
def registered(simulator: Simulator, make_app: AppFactory) -> Callable[..., Flask]:
    """Return a function that registers a hook at the org, and returns an app that may ask the org."""

    def register(
        *,
        url: str = "https://127.0.0.1:1/okta/events",
        items: tuple[str, ...] = ("user.session.start",),
        key: str = "Authorization",
        verified: bool = True,
        active: bool = True,
        name: str = "Staff",
        is_configured: bool = True,
    ) -> Flask:
        made = simulator.org.create_hook(
            {
                "name": name,
                "events": {"type": "EVENT_TYPE", "items": list(items)},
                "channel": {
                    "type": "HTTP",
                    "version": "1.0.0",
                    "config": {
                        "uri": url,
                        "authScheme": {"type": "HEADER", "key": key, "value": SECRET},
                    },
                },
            }
        )
        if verified:
            simulator.org.verify_hook(made["id"])
        if not active:
            simulator.org.deactivate_hook(made["id"])
        okta = EventHook("okta")
        okta.on("user.session.start")(lambda *_, **__: None)
        config = {"ORG_URL": simulator.url, "API_TOKEN": TOKEN}
        if is_configured:
            config["URL"] = url
        return make_app(okta, SECRET=SECRET, INBOX=None, **config)

    return register


def test_a_hook_in_step(registered: Callable[..., Flask]) -> None:
    """Nothing is to do, and the URL that Okta has is the one that is asked."""
    found = examine(registered())

    assert level(found, "registration") == "ok"
    assert "'Staff' at Okta is active, verified" in found["registration"][0]["text"]
    assert "127.0.0.1:1/okta/events" in found["url"][0]["text"]
    assert level(found, "reachable") == "failure"


@pytest.mark.parametrize(
    ("how", "level", "said"),
    [
        ({"verified": False}, "failure", "is UNVERIFIED: it gets no events"),
        ({"active": False}, "failure", "is INACTIVE: it gets no events"),
        ({"items": ("user.session.end",)}, "failure", "lacks what receivers want: "),
        (
            {"items": ("user.session.start", "user.session.end")},
            "warning",
            "has what no receiver wants: ",
        ),
        ({"key": "X-Okta-Secret"}, "failure", "X-Okta-Secret instead of Authorization"),
    ],
)
def test_a_hook_out_of_step(
    registered: Callable[..., Flask], how: dict[str, Any], level: str, said: str
) -> None:
    """What keeps events away is a failure, what only comes in vain a warning."""
    found = examine(registered(**how))["registration"]

    assert any(check["level"] == level and said in check["text"] for check in found)


def test_a_hook_at_another_path(registered: Callable[..., Flask]) -> None:
    """A URL that was asked for may be at a path that the app does not have."""
    url = "https://127.0.0.1:1/elsewhere"
    (found,) = examine(registered(url=url), "--url", url)["registration"]

    assert found["level"] == "warning"
    assert "the app has the hook at /okta/events" in found["text"]


def test_no_hook_at_okta(registered: Callable[..., Flask]) -> None:
    """It is said how to register it."""
    app = registered(url="https://127.0.0.1:1/elsewhere", is_configured=False)
    for arguments, said in [
        ((), "delivers to the path /okta/events."),
        (("--url", "http://localhost:9/okta/events"), "delivers to the path /okta/events."),
        (("--url", "https://a.invalid/okta?k=v"), "delivers to https://a.invalid/okta."),
        (("--name", "Others"), "is named 'Others'."),
    ]:
        (found,) = examine(app, *arguments)["registration"]

        assert found["level"] == "failure"
        assert found["text"] == f"No event hook of the org {said}"
        assert "apply --url" in found["cure"]


def test_the_app_itself_is_asked(registered: Callable[..., Flask]) -> None:
    """The registration is found by the configured URL, and that the one that is asked is another is no difference."""
    app = registered(url="https://app.invalid/okta/events")
    (found,) = examine(app, "--url", "http://localhost:9/okta/events")["registration"]

    assert found["level"] == "ok"


def test_another_url_than_okta_has(registered: Callable[..., Flask]) -> None:
    """A public URL to which Okta does not post is warned of; a slash at its end is no difference."""
    app = registered(url="https://app.invalid/okta/events?key=k")
    (found,) = examine(app, "--url", "https://test.invalid/okta/events")["registration"]

    assert found["level"] == "warning"
    assert (
        "delivers to https://app.invalid/okta/events, which is not what is asked" in found["text"]
    )
    same = examine(app, "--url", "https://app.invalid/okta/events/?key=k")
    assert level(same, "registration") == "ok"


def test_several_hooks_at_okta(registered: Callable[..., Flask]) -> None:
    """Which is meant must be said: they may be of several apps."""
    registered()
    found = examine(registered())

    assert level(found, "registration") == "failure"
    assert "Several hooks of the org may be meant" in found["registration"][0]["text"]
    assert found["registration"][0]["text"].endswith("say which with --name.")
    assert "--url" not in found["registration"][0]["cure"]


def test_a_hook_that_may_be_another_app_s(registered: Callable[..., Flask]) -> None:
    """That its path is the app's proves nothing, and its URL is not sent the secret."""
    found = examine(registered(is_configured=False))

    assert level(found, "registration") == "failure"
    assert "is not known" in found["registration"][0]["text"]
    assert "'Staff'" in found["registration"][0]["text"]
    assert "OKTA_HOOKS_URL" in found["registration"][0]["cure"]
    assert level(found, "url") == "skipped"


def test_a_hook_is_told_by_its_name(registered: Callable[..., Flask]) -> None:
    """Of several at one path, and with a query that nobody else is shown."""
    url = "https://127.0.0.1:1/okta/events?key=hush"
    registered(url=url, name="Others", verified=False)
    app = registered(url=url)

    assert "hush" not in examine(app)["registration"][0]["text"]
    found = examine(app, "--name", "Staff")
    assert level(found, "registration") == "ok"
    assert "127.0.0.1:1/okta/events" in found["url"][0]["text"]
    assert "is UNVERIFIED" in examine(app, "--name", "Others")["registration"][0]["text"]


def test_no_receivers_to_compare_with(
    simulator: Simulator, registered: Callable[..., Flask], make_app: AppFactory
) -> None:
    """An app without receivers, such as the web half of two, is not told to unsubscribe from everything."""
    registered()
    url = "https://127.0.0.1:1/okta/events"
    config = {"ORG_URL": simulator.url, "API_TOKEN": TOKEN, "URL": url}
    found = examine(make_app(EventHook("okta"), SECRET=SECRET, INBOX=None, **config))

    assert level(found, "registration") == "skipped"
    assert "127.0.0.1:1/okta/events" in found["url"][0]["text"]


def test_okta_refuses(registered: Callable[..., Flask], simulator: Simulator) -> None:
    """A wrong token is one readable line, and the rest is looked at."""
    app = registered()
    simulator.org.token = "another"

    found = examine(app)

    assert level(found, "registration") == "failure"
    assert "Okta answered 401" in found["registration"][0]["text"]
    assert found["registration"][0]["cure"].endswith("see OKTA_HOOKS_API_TOKEN.")
    assert level(found, "host") == "ok"


def test_an_org_without_a_token(make_app: AppFactory, okta: EventHook) -> None:
    """What is missing in the configuration is said."""
    app = make_app(okta, SECRET=SECRET, INBOX=None, ORG_URL="https://acme.okta.com")

    assert "OKTA_HOOKS_API_TOKEN is not set" in examine(app)["registration"][0]["text"]


def test_okta_is_not_asked(
    make_app: AppFactory, okta: EventHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an org, and offline, that part is left out."""
    monkeypatch.delenv("OKTA_CLIENT_ORGURL", raising=False)
    app = make_app(okta, SECRET=SECRET, INBOX=None)

    assert level(examine(app), "registration") == "skipped"
    assert "registration" not in examine(app, "--offline")
    monkeypatch.setitem(sys.modules, "okta_hooks.org.sdk", None)
    assert level(examine(app), "registration") == "skipped"


def test_the_sdk_is_not_there(
    make_app: AppFactory, okta: EventHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cure is in what is said, and no other contradicts it."""
    monkeypatch.setitem(sys.modules, "okta_hooks.org.sdk", None)
    app = make_app(okta, SECRET=SECRET, INBOX=None, ORG_URL="https://acme.okta.com")

    (found,) = examine(app)["registration"]
    assert found["level"] == "failure"
    assert found["text"].endswith("pip install 'okta-hooks[okta]'.")
    assert "ORG_URL" not in found["cure"]


def test_an_org_that_only_the_sdk_knows(
    make_app: AppFactory, okta: EventHook, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What stands in okta.yaml counts."""
    file = tmp_path / "okta.yaml"
    file.write_text("okta:\n  client:\n    orgUrl: https://acme.okta.com\n")
    monkeypatch.setattr("okta.config.config_setter._LOCAL_YAML_PATH", str(file))
    monkeypatch.delenv("OKTA_CLIENT_ORGURL", raising=False)
    app = make_app(okta, SECRET=SECRET, INBOX=None)

    assert "OKTA_HOOKS_API_TOKEN is not set" in examine(app)["registration"][0]["text"]


def test_something_that_is_no_org(registered: Callable[..., Flask], simulator: Simulator) -> None:
    """A question is the end of its sentence, and the cure is about the way there."""
    app = registered()
    simulator.app.before_request(lambda: "Hello")

    (found,) = examine(app)["registration"]
    assert found["text"].endswith("is it the URL of an Okta org?")
    assert "OKTA_HOOKS_ORG_URL" in found["cure"]
