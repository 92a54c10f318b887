from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from okta_hooks import catalog
from okta_hooks.okta_api import HookChannel, HookConfig, RegisteredHook
from okta_hooks.subscription import find, needed_types

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

    from okta_hooks import EventHook


def registered(hook_id: str, url: str, name: str = "Staff") -> RegisteredHook:
    channel = HookChannel(config=HookConfig(uri=url))
    return RegisteredHook(id=hook_id, name=name, channel=channel)


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


HERE = registered("who1", "https://app.example.com/okta/events")
THERE = registered("who2", "https://test.example.com/okta/events/", name="Test")


@pytest.mark.parametrize(
    ("how", "found"),
    [
        ({"name": "Test", "url": HERE.url}, [THERE]),
        ({"name": "Nobody", "path": "/okta/events"}, []),
        ({"url": "https://app.example.com/okta/events/"}, [HERE]),
        ({"url": "https://app.example.com/okta"}, []),
        ({"ids": {"who2", "who3"}, "path": "/okta/events"}, [THERE]),
        ({"ids": {"who3"}, "path": "/okta/events"}, [HERE, THERE]),
        ({"ids": {"who3"}}, []),
        ({}, []),
    ],
)
def test_a_hook_is_found(how: dict[str, str], found: list[RegisteredHook]) -> None:
    """By its name if one is given, else by its URL, else by what it has delivered, else by its path."""
    assert find([HERE, THERE, RegisteredHook(id="who9")], **how) == found
