from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from flask import Flask

from okta_hooks import EventHook
from okta_hooks.org.hooks import HookChannel, HookConfig, RegisteredHook
from okta_hooks.org.ownership import configured_url
from okta_hooks.org.registration import registration_of
from tests.support import NEEDS_SDK

if TYPE_CHECKING:
    from collections.abc import Callable

    from okta_hooks.inbox import Inbox
    from okta_hooks.inbox.intake import NewDelivery

pytestmark = NEEDS_SDK

URL = "https://app.example.com/okta/events"


def at_okta(hook_id: str, url: str = URL, name: str = "Staff") -> RegisteredHook:
    channel = HookChannel(config=HookConfig(uri=url))
    return RegisteredHook(id=hook_id, name=name, channel=channel)


@pytest.fixture
def app(okta: EventHook, make_app: Callable[..., Flask]) -> Flask:
    """Return an app with a hook that has a receiver for what happens to users."""
    okta.on("user.*")(lambda *_, **__: None)
    return make_app(okta)


@pytest.fixture
def seen(inbox: Inbox, delivery: Callable[..., NewDelivery]) -> Inbox:
    """Return an inbox to which one hook of the org has delivered."""
    inbox.intake.store([delivery("a", source="https://acme.okta.com/api/v1/eventHooks/who1")])
    inbox.intake.store([delivery("b", source=None), delivery("c", source="elsewhere")])
    return inbox


def test_a_hook_is_known_by_what_it_has_delivered(app: Flask, seen: Inbox) -> None:
    """So are others with its URL; those of other apps are left alone, also if they have its path."""
    state = app.extensions["okta_hooks"]
    hooks = [
        at_okta("who1"),
        at_okta("who2"),
        at_okta("who3", "https://other.example.com/okta/events"),
    ]

    known = registration_of(state, seen, "okta", hooks)

    assert known.ids == {"who1", "who2"}
    assert known.is_certain


def test_a_hook_that_was_deleted_at_okta(app: Flask, seen: Inbox) -> None:
    """What was meant for it before is still ours; that another has its path proves nothing."""
    state = app.extensions["okta_hooks"]

    known = registration_of(state, seen, "okta", [at_okta("who9")])

    assert known.ids == {"who1"}
    assert known.live == ()
    assert [hook.id for hook in known.candidates] == ["who9"]


def test_hooks_that_may_not_be_read(app: Flask, seen: Inbox) -> None:
    """Then what has been delivered is all there is to go by."""
    known = registration_of(app.extensions["okta_hooks"], seen, "okta", None)

    assert (set(known.ids), known.live, known.is_certain) == ({"who1"}, (), True)


def test_hooks_of_which_nobody_knows_whose_they_are(app: Flask, inbox: Inbox) -> None:
    """With the same path at two hosts, and no delivery so far, either may be ours: neither is taken for it."""
    state = app.extensions["okta_hooks"]
    hooks = [at_okta("who1"), at_okta("who2", "https://test.example.com/okta/events")]

    unknown = registration_of(state, inbox, "okta", hooks)
    assert (unknown.ids, unknown.live) == (frozenset(), ())
    assert unknown.candidates == tuple(hooks)
    assert not registration_of(state, inbox, "okta", hooks, name="Staff").is_certain
    by_url = registration_of(state, inbox, "okta", hooks, url=URL)
    assert (set(by_url.ids), by_url.is_certain) == ({"who1"}, True)


def test_the_configured_url(okta: EventHook, make_app: Callable[..., Flask], seen: Inbox) -> None:
    """It says which hooks are ours, and those that are not, though the inbox has what they delivered."""
    state = make_app(okta, URL=f"{URL}/").extensions["okta_hooks"]
    elsewhere = at_okta("who1", "https://test.example.com/okta/events")
    hooks = [elsewhere, at_okta("who2"), at_okta("who3")]

    known = registration_of(state, seen, "okta", hooks)

    assert known.ids == {"who2", "who3"}
    assert known.candidates == ()
    assert registration_of(state, seen, "okta", [elsewhere]).ids == set()


def test_one_configured_url_and_several_hooks(
    okta: EventHook, make_app: Callable[..., Flask]
) -> None:
    """One URL is that of the hook that has its path; a mapping has one for each."""
    hooks = (okta, EventHook("customers", url_prefix="/okta/customers"))
    other = "https://gateway.example.com/7"

    app = make_app(*hooks, URL=URL)
    one = app.extensions["okta_hooks"]
    assert [configured_url(one, name) for name in one.hooks] == [URL, None]
    both = make_app(*hooks, URL={"okta": URL, "customers": other}).extensions["okta_hooks"]
    assert [configured_url(both, name) for name in both.hooks] == [URL, other]


@pytest.mark.parametrize(
    "value",
    ["app.example.com", "ftp://app.example.com/", "https://", 7, {"okta": ""}, "https://a:b/"],
)
def test_a_configured_url_that_is_none(
    okta: EventHook, make_app: Callable[..., Flask], value: object
) -> None:
    """The app does not start with it, and the error names the key and quotes nothing."""
    with pytest.raises(RuntimeError, match=r"OKTA_HOOKS_URL.* must be the URL that Okta"):
        make_app(okta, URL=value)


def test_a_path_that_is_no_path(
    okta: EventHook, make_app: Callable[..., Flask], inbox: Inbox
) -> None:
    """A hook that no URL leads to without a host is found by its name or its URL only."""
    app = Flask("app", host_matching=True, static_host="static.example.com")
    app.config.from_mapping(make_app().config)
    app.register_blueprint(okta)
    state = app.extensions["okta_hooks"]

    assert registration_of(state, inbox, "okta", [at_okta("who1")]).ids == set()
    assert registration_of(state, inbox, "okta", [at_okta("who1")], name="Staff").ids == {"who1"}


def test_hooks_at_one_url_in_two_spellings(app: Flask, inbox: Inbox) -> None:
    """They are one place, so it is clear what is meant."""
    hooks = [at_okta("who1"), at_okta("who2", f"{URL}/")]

    known = registration_of(app.extensions["okta_hooks"], inbox, "okta", hooks, url=URL)

    assert (set(known.ids), known.is_certain) == ({"who1", "who2"}, True)
