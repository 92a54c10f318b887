from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from okta_hooks import EventHook
from okta_hooks.org.hooks import HookEvents, RegisteredHook
from okta_hooks.org.selector import LogSelector, restricted_types, target_ids
from tests.support import CREATED

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

#: One of the receivers is for a type that Okta has added since.
pytestmark = pytest.mark.filterwarnings("ignore::okta_hooks.UnknownEventTypeWarning")


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
def test_what_a_hook_is_to_have(okta: EventHook, app: Flask, raw: Any, has: bool) -> None:
    """That is what was meant for it, and what its receivers want of what Okta delivers to hooks."""
    selector = LogSelector(
        hook=okta, ids=frozenset({"who1"}), restricted=frozenset({"user.lifecycle.suspend"})
    )

    assert selector.selects(raw, app) is has


def test_a_hook_without_receivers(make_app: Callable[..., Flask]) -> None:
    """It has only what was meant for it."""
    okta = EventHook("idle")
    selector = LogSelector(hook=okta, ids=frozenset({"who1"}))
    app = make_app(okta)

    assert selector.selects(logged(CREATED, "who1"), app)
    assert not selector.selects(logged(CREATED), app)


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
    hooks = [
        RegisteredHook(id="who1", events=HookEvents(filter=filtered)),
        RegisteredHook(id="who2"),
    ]

    assert restricted_types(hooks) == types
