from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from okta_hooks import EventHook, UnknownEventTypeWarning, catalog
from okta_hooks.exceptions import SubscriptionImpossible
from okta_hooks.org.hook_request import body
from okta_hooks.org.hooks import (
    HookAuthScheme,
    HookChannel,
    HookConfig,
    HookEvents,
    RegisteredHook,
)
from okta_hooks.org.subscription import Demand, Plan, demand, needed_types, plan
from okta_hooks.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask


URL = "https://app.example.com/okta/events"
SECRET = Secret("s3cret")


def test_a_pattern_needs_what_is_generally_available(
    okta: EventHook, make_app: Callable[..., Flask]
) -> None:
    """What is in beta, or in the log only, is left out; one that is named twice is there once."""
    okta.on("*")(lambda *_, **__: None)
    okta.on("user.lifecycle.create", "user.lifecycle.*")(lambda *_, **__: None)

    wanted = [
        name
        for name, entry in catalog.entries().items()
        if entry.event_hook_eligible and entry.stage == "ga"
    ]
    assert needed_types(okta.receivers, make_app(okta)) == tuple(sorted(wanted))


def test_a_type_in_beta_is_needed_when_it_is_named(
    okta: EventHook, make_app: Callable[..., Flask]
) -> None:
    """Who names it exactly has decided to take part."""
    beta = next(
        name
        for name, entry in catalog.entries().items()
        if entry.event_hook_eligible and entry.stage == "beta"
    )
    okta.on(beta)(lambda *_, **__: None)

    assert needed_types(okta.receivers, make_app(okta)) == (beta,)


def test_what_okta_never_delivers_is_not_needed(
    okta: EventHook, make_app: Callable[..., Flask]
) -> None:
    """A type that is not eligible would only make Okta refuse the hook."""
    okta.signal("event_hook.delivery").connect(print)

    assert needed_types(okta.receivers, make_app(okta)) == ()


def needs(*patterns: str) -> Demand:
    return Demand(patterns=frozenset(patterns), types=("user.lifecycle.create",))


def planned(live: RegisteredHook | None, **changes: Any) -> Plan:
    wanted: dict[str, Any] = {"name": "Staff", "url": None, "auth_header": "Authorization"}
    return plan(needs("user.lifecycle.create"), live, **(wanted | changes))


IN_STEP = RegisteredHook(
    id="who1",
    name="Staff",
    status="ACTIVE",
    verification_status="VERIFIED",
    events=HookEvents(items=("user.lifecycle.create",)),
    channel=HookChannel(
        config=HookConfig(uri=URL, auth_scheme=HookAuthScheme(key="authorization"))
    ),
)


def test_what_is_in_step() -> None:
    """A header's name in another case and a slash at the end of the URL are no difference."""
    made = planned(IN_STEP, url=f"{URL}/")

    assert made.is_in_step
    assert made.action == "nothing"
    assert made.url == URL
    assert not made.replaces


@pytest.mark.parametrize(
    ("live", "changes", "change", "replaces"),
    [
        ({"name": "Others"}, {}, ("name", "Others", "Staff"), True),
        ({}, {"url": "https://b/"}, ("URL", URL, "https://b/"), True),
        ({}, {"url": URL.upper()}, ("URL", URL, URL.upper()), True),
        ({}, {"auth_header": "X-Key"}, ("header of the secret", "authorization", "X-Key"), True),
        ({}, {"auth_header": None}, ("header of the secret", "authorization", None), True),
        ({"status": "INACTIVE"}, {}, ("status", "INACTIVE", "ACTIVE"), False),
        ({"status": None}, {}, ("status", None, "ACTIVE"), False),
        (
            {"verification_status": "UNVERIFIED"},
            {},
            ("verification", "UNVERIFIED", "VERIFIED"),
            False,
        ),
    ],
)
def test_one_difference(
    live: dict[str, Any],
    changes: dict[str, Any],
    change: tuple[str, str | None, str | None],
    replaces: bool,
) -> None:
    """Each is one change, and what Okta has calls of its own for needs no replacement."""
    made = planned(replace(IN_STEP, **live), **changes)

    assert [(each.what, each.before, each.after) for each in made.changes] == [change]
    assert (made.action, made.replaces) == ("change", replaces)


def test_a_rotation_is_a_change() -> None:
    """The secret at Okta is unknown, so it may be put out when all else is in step; where there is one."""
    assert planned(IN_STEP, rotates=True).action == "change"
    assert not planned(IN_STEP, rotates=True, auth_header=None).rotates
    assert planned(None, url="https://b/", rotates=True).action == "create"


def test_a_hook_of_which_little_is_known() -> None:
    """Whatever Okta leaves out is not there, and without a URL there is nothing to be done."""
    with pytest.raises(SubscriptionImpossible, match="has no URL"):
        planned(RegisteredHook(id="who1"))
    made = planned(RegisteredHook(id="who1"), url="https://b/")
    assert made.add == ("user.lifecycle.create",)
    assert made.kept == ()


@pytest.mark.parametrize("given", [None, {}, {"eventFilterMap": None}, {"eventFilterMap": [1, {}]}])
def test_filters_of_no_known_form(given: dict[str, Any] | None) -> None:
    """What names no type that stays is not sent back."""
    live = replace(IN_STEP, events=HookEvents(items=("user.session.start",), filter=given))
    made = planned(live)

    assert made.kept == ()
    assert "filter" not in body(made, SECRET)["events"]


def test_the_body_of_a_new_hook() -> None:
    """It is what Okta takes, and it alone has the secret."""
    made = planned(None, url="https://b/")

    assert body(made, SECRET) == {
        "name": "Staff",
        "events": {"type": "EVENT_TYPE", "items": ["user.lifecycle.create"]},
        "channel": {
            "type": "HTTP",
            "version": "1.0.0",
            "config": {
                "uri": "https://b/",
                "headers": [],
                "authScheme": {"type": "HEADER", "key": "Authorization", "value": SECRET},
            },
        },
    }
    assert "s3cret" not in repr(made)


def test_a_pattern_over_types_in_beta(okta: EventHook, make_app: Callable[..., Flask]) -> None:
    """Who takes whatever is below a prefix has not decided to take part, and is told the names."""
    okta.on("*", name="all")(lambda *_, **__: None)
    assert demand(okta.receivers, make_app(okta)).undeliverable == ()

    only_beta = _prefix_of_beta_only()
    hook = EventHook("another")
    with pytest.warns(UnknownEventTypeWarning, match="in beta"):
        hook.on(only_beta, name="beta")(lambda *_, **__: None)
    (found,) = demand(hook.receivers, make_app(hook)).undeliverable
    assert (found.receiver, found.pattern) == ("beta", only_beta)
    assert "in beta, and has to be named exactly: " in found.reason


def _prefix_of_beta_only() -> str:
    """Return a pattern under which all that is eligible is in beta."""
    stages: dict[str, set[str]] = {}
    for name, entry in catalog.entries().items():
        if entry.event_hook_eligible:
            stages.setdefault(name.rpartition(".")[0], set()).add(entry.stage)
    prefixes = [
        prefix
        for prefix, found in stages.items()
        if found == {"beta"}
        and not any(
            other.startswith(f"{prefix}.") and "ga" in others for other, others in stages.items()
        )
    ]
    return f"{prefixes[0]}.*"
