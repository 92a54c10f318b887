from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from okta_hooks.org.audience import Share, registration, restricted_types, target_ids

from okta_hooks import EventHook
from okta_hooks.org.client import HookChannel, HookConfig, HookEvents, RegisteredHook
from tests.support import CREATED

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

    from okta_hooks.inbox import Inbox
    from okta_hooks.inbox.intake import NewDelivery

URL = "https://app.example.com/okta/events"
#: One of the receivers is for a type that Okta has added since.
pytestmark = pytest.mark.filterwarnings("ignore::okta_hooks.UnknownEventTypeWarning")


def at_okta(hook_id: str, url: str = URL, name: str = "Staff") -> RegisteredHook:
    channel = HookChannel(config=HookConfig(uri=url))
    return RegisteredHook(id=hook_id, name=name, channel=channel)


def logged(event_type: object, *targets: str) -> dict[str, Any]:
    data = {"targetEventHookIds": ",".join(targets)} if targets else {}
    return {"uuid": "u", "eventType": event_type, "debugContext": {"debugData": data}}


@pytest.fixture
def app(okta: EventHook, make_app: Callable[..., Flask]) -> Flask:
    """Return an app with a hook that has a receiver for what happens to users."""
    okta.on("user.*", "some.new_type.*")(lambda *_, **__: None)
    return make_app(okta)


@pytest.mark.parametrize(
    ("value", "ids"),
    [
        ("who1", {"who1"}),
        ("who1,who2", {"who1", "who2"}),
        (" who1 , ,who2", {"who1", "who2"}),
        (["who1", 2, None], {"who1"}),
        ("", set()),
        (None, set()),
        (7, set()),
    ],
)
def test_the_ids_of_the_hooks_that_an_event_is_meant_for(value: Any, ids: set[str]) -> None:
    """They are read from the list that Okta separates by commas, however odd it is."""
    assert target_ids({"debugContext": {"debugData": {"targetEventHookIds": value}}}) == ids


@pytest.mark.parametrize(
    "raw", [None, 1, "x", [], {}, {"debugContext": None}, {"debugContext": {"debugData": ""}}]
)
def test_an_event_that_is_meant_for_nobody(raw: Any) -> None:
    """Whatever stands there, reading it does not fail."""
    assert target_ids(raw) == set()


@pytest.mark.parametrize(
    ("raw", "has"),
    [
        (logged(CREATED, "who1"), True),
        (logged("group.lifecycle.create", "who1"), True),  # subscribed, though nobody receives it
        (logged(CREATED), True),  # not subscribed yet when it happened
        (logged(CREATED, "who2"), True),
        (logged("group.lifecycle.create", "who2"), False),
        (logged("user.authentication.auth", "who2"), True),  # so it is delivered to hooks
        (logged("user.authentication.auth"), False),  # in the log only
        (logged("some.new_type.of_okta"), False),
        (logged("some.new_type.of_okta", "who2"), True),
        (logged("user.lifecycle.suspend", "who2"), False),  # an admin's filter held it back
        (logged("user.lifecycle.suspend", "who1"), True),  # and let this one pass
        (logged(None), True),
        (logged(None, "who2"), False),
        (7, True),
    ],
)
def test_what_a_hook_is_to_have(okta: EventHook, app: Flask, raw: Any, has: bool) -> None:  # noqa: FBT001
    """That is what was meant for it, and what its receivers want of what Okta delivers to hooks."""
    share = Share(
        hook=okta, ids=frozenset({"who1"}), restricted=frozenset({"user.lifecycle.suspend"})
    )

    assert share.has(raw, app) is has


def test_a_hook_without_receivers(make_app: Callable[..., Flask]) -> None:
    """It has only what was meant for it."""
    okta = EventHook("idle")
    share = Share(hook=okta, ids=frozenset({"who1"}))
    app = make_app(okta)

    assert share.has(logged(CREATED, "who1"), app)
    assert not share.has(logged(CREATED), app)


@pytest.mark.parametrize(
    ("filtered", "types"),
    [
        (None, set()),
        ({}, set()),
        ({"eventFilterMap": None}, set()),
        (
            {
                "type": "EXPRESSION_LANGUAGE",
                "eventFilterMap": [
                    {"event": CREATED, "condition": {"expression": "event.target.?[...]"}},
                    {"event": "user.lifecycle.suspend", "condition": None},
                    {"condition": {}},
                    "odd",
                ],
            },
            {CREATED},
        ),
    ],
)
def test_types_with_a_filter(filtered: Any, types: set[str]) -> None:
    """They are those that the hook at Okta has a condition for."""
    hooks = [RegisteredHook(id="who1", events=HookEvents(filter=filtered)), at_okta("who2")]

    assert restricted_types(hooks) == types


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

    known = registration(state, seen, "okta", hooks)

    assert known.ids == {"who1", "who2"}
    assert known.is_certain


def test_a_hook_that_was_deleted_at_okta(app: Flask, seen: Inbox) -> None:
    """What was meant for it before is still ours; the new one is found by its path."""
    state = app.extensions["okta_hooks"]

    known = registration(state, seen, "okta", [at_okta("who9")])

    assert known.ids == {"who1", "who9"}
    assert [hook.id for hook in known.live] == ["who9"]


def test_hooks_that_may_not_be_read(app: Flask, seen: Inbox) -> None:
    """Then what has been delivered is all there is to go by."""
    known = registration(app.extensions["okta_hooks"], seen, "okta", None)

    assert (set(known.ids), known.live, known.is_certain) == ({"who1"}, (), True)


def test_hooks_of_which_nobody_knows_whose_they_are(app: Flask, inbox: Inbox) -> None:
    """With the same path at two hosts, and no delivery so far, either may be ours."""
    state = app.extensions["okta_hooks"]
    hooks = [at_okta("who1"), at_okta("who2", "https://test.example.com/okta/events")]

    assert not registration(state, inbox, "okta", hooks).is_certain
    assert not registration(state, inbox, "okta", hooks, name="Staff").is_certain
    by_url = registration(state, inbox, "okta", hooks, url=URL)
    assert (set(by_url.ids), by_url.is_certain) == ({"who1"}, True)


def test_a_path_that_is_no_path(
    okta: EventHook, make_app: Callable[..., Flask], inbox: Inbox
) -> None:
    """A hook under a variable prefix is found by its name or its URL only."""
    app = make_app()
    app.register_blueprint(okta, url_prefix="/<tenant>/okta")
    state = app.extensions["okta_hooks"]

    assert registration(state, inbox, "okta", [at_okta("who1")]).ids == set()
    assert registration(state, inbox, "okta", [at_okta("who1")], name="Staff").ids == {"who1"}
