from __future__ import annotations

import pytest

from okta_hooks.exceptions import SubscriptionImpossible
from okta_hooks.org.hooks import HookChannel, HookConfig, RegisteredHook
from okta_hooks.org.lookup import find, the_one


def registered(hook_id: str, url: str, name: str = "Staff") -> RegisteredHook:
    channel = HookChannel(config=HookConfig(uri=url))
    return RegisteredHook(id=hook_id, name=name, channel=channel)


HERE = registered("who1", "https://app.example.com/okta/events")
THERE = registered("who2", "https://test.example.com/okta/events/", name="Test")


@pytest.mark.parametrize(
    ("how", "found"),
    [
        ({"name": "Test", "url": HERE.url}, [THERE]),
        ({"name": "Nobody", "path": "/okta/events"}, []),
        ({"url": "https://app.example.com/okta/events/"}, [HERE]),
        ({"url": "https://app.example.com/okta"}, []),
        ({"path": "/okta/events"}, [HERE, THERE]),
        ({}, []),
    ],
)
def test_a_hook_is_found(how: dict[str, str], found: list[RegisteredHook]) -> None:
    """By its name if one is given, else by its URL, else by its path."""
    assert find([HERE, THERE, RegisteredHook(id="who9")], **how) == found


@pytest.mark.parametrize(
    ("found", "cure"),
    [
        ([HERE, registered("who3", "https://c.example.com/")], "give one another name at Okta"),
        ([HERE, THERE], "--name and --url name two of them: say one"),
    ],
)
def test_several_hooks(found: list[RegisteredHook], cure: str) -> None:
    """What tells them apart is named, and what to do, which depends on whether they have one name."""
    with pytest.raises(SubscriptionImpossible, match=f"{cure}\\.$"):
        the_one(found, name="Staff")
