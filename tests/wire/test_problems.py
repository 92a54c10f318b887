from __future__ import annotations

from typing import get_type_hints

import pytest

from okta_hooks import Actor
from okta_hooks.wire import events

from .support import example, load, load_sample


def test_problem_costs_only_its_field() -> None:
    """A field that does not fit is None and named in ``problems``; its neighbours are there."""
    event = load(
        severity=["INFO"],
        actor={"id": {}, "displayName": "Ada"},
        client={"ipChain": [{"ip": [], "version": "V4"}], "zone": "null"},
        securityContext={"asNumber": "64496", "isProxy": "perhaps", "isp": "example"},
        debugContext={"debugData": "text"},
        transaction="WEB",
        target=[{"type": "User", "changeDetails": {"from": [], "to": {"a": 1}}}],
    )

    assert event.severity is None
    assert event.actor == Actor(display_name="Ada")
    assert event.client == events.Client(zone="null", ip_chain=(events.IpAddress(version="V4"),))
    assert event.security_context == events.SecurityContext(isp="example")
    assert event.debug_context == events.DebugContext()
    assert event.transaction is None
    assert event.target == (
        events.Target(type="User", change_details=events.ChangeDetails(to={"a": 1})),
    )
    assert event.problems == {
        "severity": ["Not a valid string."],
        "actor": {"id": ["Not a valid string."]},
        "client": {"ipChain": {0: {"ip": ["Not a valid string."]}}},
        "securityContext": {
            "asNumber": ["Not a valid integer."],
            "isProxy": ["Not a valid boolean."],
        },
        "debugContext": {"debugData": ["Not a valid mapping type."]},
        "transaction": ["Not a valid object."],
        "target": {0: {"changeDetails": {"from": ["Not a valid mapping type."]}}},
    }


@pytest.mark.parametrize("element", [None, "", "User", 7, [], False])
def test_element_that_is_no_object(element: object) -> None:
    """An element of a list that is no object is dropped and named; the others keep their order."""
    event = load(target=[{"id": "a"}, element, {"id": "b"}])

    assert [target.id for target in event.target] == ["a", "b"]
    assert event.targets_of("User") == ()
    assert list(event.problems["target"]) == [1]


@pytest.mark.parametrize("sent", ["", "User", 0, False, {}, {"type": "User"}])
def test_no_list_where_a_list_belongs(sent: object) -> None:
    """What is no list is an empty tuple with a problem."""
    event = load(target=sent)

    assert event.target == ()
    assert event.problems == {"target": ["Not a valid list."]}


@pytest.mark.parametrize("sent", ["text", 1, True, [], ["x"]])
def test_no_object_where_an_object_belongs(sent: object) -> None:
    """What is no object is None with a problem."""
    event = load(actor=sent, debugContext=sent)

    assert event.actor is None
    assert event.debug_context is None
    assert event.problems == {
        "actor": ["Not a valid object."],
        "debugContext": ["Not a valid object."],
    }


def test_problems_quote_nothing() -> None:
    """What did not fit is personal data as much as what did: the messages do not show it."""
    event = load(published="hush", severity=["hush"], target=["hush"], actor={"id": {"hush": 1}})

    assert len(event.problems) == 4
    assert "hush" not in str(event.problems)


# Aliases


@pytest.mark.parametrize(
    ("name", "alias"),
    [
        ("platform", "os_platform"),
        ("platform", "osPlatform"),
        ("os_version", "os_version"),
        ("device_integrator", "device_integrator"),
        ("disk_encryption_type", "disk_encryption_type"),
        ("screen_lock_type", "screen_lock_type"),
        ("secure_hardware_present", "secure_hardware_present"),
    ],
)
def test_other_spellings_of_the_device(name: str, alias: str) -> None:
    """Each key that older events spell otherwise is read like the key of today."""
    given, expected = example(get_type_hints(events.Device)[name])

    assert load(device={alias: given}).device == events.Device(**{name: expected})


def test_device_in_snake_case() -> None:
    """An older event spells the device's keys in snake case, and the platform with a prefix."""
    _, event = load_sample("delivery_2019.json")

    assert event.device == events.Device(id="guo1", platform="OSX", os_version="10.14.5")


def test_aliases_give_way() -> None:
    """The key of today wins over its aliases, an alias over null, and null over nothing."""
    assert load(device={"osVersion": "new", "os_version": "old"}).device == events.Device(
        os_version="new"
    )
    assert load(device={"osVersion": None, "os_version": "old"}).device == events.Device(
        os_version="old"
    )
    assert load(device={"os_platform": "OSX", "osPlatform": None}).device == events.Device(
        platform="OSX"
    )
    assert load(device={"os_version": None}).device == events.Device()


def test_problem_of_an_alias() -> None:
    """A value under an alias that does not fit is a problem of the key it stands for."""
    event = load(device={"os_version": []})

    assert event.device == events.Device()
    assert event.problems == {"device": {"osVersion": ["Not a valid string."]}}
    assert event.raw["device"] == {"os_version": []}
