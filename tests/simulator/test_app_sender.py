from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask
from flask import request as flask_request
from werkzeug.routing import Rule

from okta_hooks import EventHook
from okta_hooks.simulator import (
    Org,
    RequestRefused,
    app_sender,
)
from okta_hooks.simulator.app_org import AppOrg

from .support import URL, plain

if TYPE_CHECKING:
    from collections.abc import Callable


class AtHost(Rule):
    """A rule of an app that tells hosts apart, for which Flask's blueprints have no option."""

    def __init__(self, string: str, **options: Any) -> None:
        super().__init__(string, **{"host": "hooks.example.com"} | options)


def with_subdomains() -> Flask:
    return Flask("app", subdomain_matching=True)


def with_host() -> Flask:
    app = without_host()
    app.url_rule_class = AtHost  # type: ignore[assignment] # it takes no positional options
    return app


def without_host() -> Flask:
    return Flask("app", host_matching=True, static_host="static.example.com")


SERVER = {"SERVER_NAME": "example.com:8443"}


@pytest.mark.parametrize(
    ("make", "config", "options", "url"),
    [
        (plain, {}, {}, "https://localhost/okta/events"),
        (plain, SERVER, {}, "https://example.com:8443/okta/events"),
        (with_subdomains, {}, {}, "https://localhost/okta/events"),
        (with_subdomains, SERVER, {}, "https://example.com:8443/okta/events"),
        (
            with_subdomains,
            {"SERVER_NAME": "example.com", "TRUSTED_HOSTS": [".example.com"]},
            {"subdomain": "in"},
            "https://in.example.com/okta/events",
        ),
        (with_host, {}, {}, "https://hooks.example.com/okta/events"),
        (
            with_host,
            SERVER | {"TRUSTED_HOSTS": ["hooks.example.com"]},
            {},
            "https://hooks.example.com/okta/events",
        ),
        (plain, {"TRUSTED_HOSTS": []}, {}, "https://localhost/okta/events"),
        (plain, {"TRUSTED_HOSTS": ["a.test", "b.test"]}, {}, "https://a.test/okta/events"),
        (plain, {"TRUSTED_HOSTS": [".example.com"]}, {}, "https://example.com/okta/events"),
        (plain, {"TRUSTED_HOSTS": "a.test"}, {}, "https://a.test/okta/events"),
        (plain, SERVER | {"TRUSTED_HOSTS": ["a.test"]}, {}, "https://a.test/okta/events"),
        (plain, {"APPLICATION_ROOT": "/mount"}, {}, "https://localhost/mount/okta/events"),
        (plain, {"APPLICATION_ROOT": "/okta/"}, {}, "https://localhost/okta/okta/events"),
    ],
)
def test_an_app_is_called_by_a_name_that_it_answers_to(
    make: Callable[[], Flask], config: dict[str, Any], options: dict[str, Any], url: str
) -> None:
    """Subdomains, hosts, trusted hosts and where the app is mounted: the org finds a URL, and delivers there."""
    seen = []
    okta = EventHook("okta")

    @okta.on("*")
    def note(sender: Flask, event: Any, **extra: Any) -> None:
        seen.append((flask_request.root_path, flask_request.path.rstrip("/"), event.event_type))

    app = make()
    app.config.from_mapping(OKTA_HOOKS_SECRET="s3cret", OKTA_HOOKS_INBOX=None, **config)
    app.register_blueprint(okta, **options)
    org = AppOrg(app, "", seed=1)
    assert {hook["channel"]["config"]["uri"].rstrip("/") for hook in org.hooks()} == {url}
    org.emit("user.session.start")
    org.settle()
    root = app.config["APPLICATION_ROOT"].rstrip("/")
    assert seen == [(root, "/okta/events", "user.session.start")]


@pytest.mark.parametrize(
    "url", ["https://in.test/okta/events", "https://in.test/mount/okta/events"]
)
def test_a_url_may_begin_with_the_root_of_the_app(url: str) -> None:
    """What a proxy would take off the URL need not be in it."""
    app = Flask("app")
    app.config.from_mapping(
        OKTA_HOOKS_SECRET="s3cret", OKTA_HOOKS_INBOX=None, APPLICATION_ROOT="/mount"
    )
    app.register_blueprint(EventHook("okta"))
    assert Org(send=app_sender(app)).register(url, ["user.session.start"], secret="s3cret")


@pytest.mark.parametrize(
    ("make", "config", "options", "reason"),
    [
        (plain, SERVER, {"subdomain": "in"}, "at https://in.example.com:8443/okta/events"),
        (
            with_subdomains,
            {"TRUSTED_HOSTS": ["a.test"]},
            {"subdomain": "in"},
            "at https://in.localhost/okta/events or https://in.a.test/okta/events",
        ),
        (
            with_subdomains,
            SERVER | {"TRUSTED_HOSTS": ["a.test"]},
            {},
            "at https://example.com:8443/okta/events",
        ),
        (without_host, {}, {}, "host_matching, SERVER_NAME and TRUSTED_HOSTS"),
    ],
)
def test_an_app_that_cannot_be_called_is_told_why(
    make: Callable[[], Flask], config: dict[str, Any], options: dict[str, Any], reason: str
) -> None:
    """If no URL leads to the hook, that is said, and what it depends on."""
    app = make()
    app.config.from_mapping(OKTA_HOOKS_SECRET="s3cret", OKTA_HOOKS_INBOX=None, **config)
    app.register_blueprint(EventHook("okta"), **options)
    with pytest.raises(RuntimeError, match=re.escape(reason)):
        AppOrg(app, "", seed=1)


def test_an_app_under_test_raises_its_receivers_errors() -> None:
    """What a receiver raises in an app that is ``testing`` comes out of ``settle``; otherwise it is a 500."""
    okta = EventHook("okta")

    @okta.on("user.session.start")
    def fail(sender: Flask, **extra: Any) -> None:
        raise LookupError("no such user")

    app = Flask("quickstart")
    app.config.from_mapping(OKTA_HOOKS_SECRET="s3cret", OKTA_HOOKS_INBOX=None, TESTING=True)
    app.register_blueprint(okta)
    org = Org(send=app_sender(app))
    org.register(URL, ["user.session.start"], secret="s3cret")
    org.emit("user.session.start")
    with pytest.raises(ExceptionGroup) as raised:
        org.settle()
    assert raised.group_contains(LookupError, match="no such user")
    app.testing = False
    org.emit("user.session.start")
    org.settle()
    assert [attempt["status"] for attempt in org.deliveries()[-1]["attempts"]] == [500, 500]


def test_an_asynchronous_receiver_cannot_settle_the_org_either() -> None:
    """It runs in another thread, for which the thread that settles waits."""
    org: AppOrg
    okta = EventHook("okta")

    @okta.on("user.session.start")
    async def settle(sender: Flask, **extra: Any) -> None:
        org.settle()

    app = Flask("quickstart")
    app.config.from_mapping(OKTA_HOOKS_SECRET="s3cret", OKTA_HOOKS_INBOX=None, TESTING=True)
    app.register_blueprint(okta)
    org = AppOrg(app, "", seed=1)
    org.emit("user.session.start")
    with pytest.raises(ExceptionGroup) as raised:
        org.settle()
    assert raised.group_contains(RuntimeError, match="cannot settle the org")


def test_a_wrong_secret_fails_the_verification_at_the_app() -> None:
    """The blueprint refuses the challenge with a wrong secret, and the org says so."""
    app = Flask("quickstart")
    app.config.from_mapping(OKTA_HOOKS_SECRET="s3cret", OKTA_HOOKS_INBOX=None)
    app.register_blueprint(EventHook("okta"))
    org = Org(send=app_sender(app))
    with pytest.raises(RequestRefused, match="answered 401"):
        org.register(URL, ["user.session.start"], secret="secret")
