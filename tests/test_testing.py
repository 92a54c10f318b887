from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from okta_hooks import UnknownEventTypeWarning, catalog
from okta_hooks.testing import make_delivery, make_event
from okta_hooks.wire import reading


def read(event: dict[str, Any]) -> Any:
    return reading.load_event(json.loads(json.dumps(event)))


@pytest.mark.parametrize("nulls", [True, False])
def test_every_type_can_be_read_without_problems(nulls: bool) -> None:
    """There is a sample of each type of the catalogue, and nothing in it surprises the parser."""
    for event_type in catalog.entries():
        event = read(make_event(event_type, seed=1, nulls=nulls))
        assert event.event_type == event_type
        assert event.problems == {}
        assert event.actor.id
        assert event.published.tzinfo is not None


def nulls_in(value: Any) -> int:
    if isinstance(value, dict):
        return sum(nulls_in(item) for item in value.values())
    if isinstance(value, list):
        return sum(nulls_in(item) for item in value)
    return value is None


def test_nulls_stand_there_or_are_left_out() -> None:
    """The two serialisations differ in nulls only; without them, empty objects stay, as Okta left them."""
    full = make_event("system.import.start", seed=1, target=None)
    lean = make_event("system.import.start", seed=1, target=None, nulls=False)
    assert nulls_in(full) > 10
    assert nulls_in(lean) == 0
    assert "target" not in lean
    assert full["client"]["userAgent"] is None
    assert lean["client"] == {"ipChain": []}
    assert lean["securityContext"] == {}
    assert lean["transaction"]["detail"] == {}
    known_full, known_lean = read(full), read(lean)
    assert known_full.target == known_lean.target == ()
    assert known_full.debug_context == known_lean.debug_context


def test_equal_seeds_give_equal_events() -> None:
    """An event with a seed is the same in every run; another seed or type gives another event."""
    assert make_event("user.session.start", seed=7) == make_event("user.session.start", seed=7)
    uuids = {
        make_event("user.session.start", seed=7)["uuid"],
        make_event("user.session.start", seed=8)["uuid"],
        make_event("user.session.end", seed=7)["uuid"],
    }
    assert len(uuids) == 3
    assert make_event("user.session.start", seed=7)["uuid"] == (
        "f6687eb6-f652-40e0-aea3-dd96b4631afc"
    )


def test_without_a_seed_every_event_is_new_and_happens_now() -> None:
    """Nothing needs to be said to get another event that has just happened."""
    one, other = make_event("user.session.start"), make_event("user.session.start")
    assert one["uuid"] != other["uuid"]
    assert abs(read(one).published - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_source_of_randomness_is_drawn_from() -> None:
    """One source gives a series of different events, the same series each time."""
    source, again = random.Random(3), random.Random(3)
    series = [make_event("user.session.start", seed=source)["uuid"] for _ in range(3)]
    assert len(set(series)) == 3
    assert series == [make_event("user.session.start", seed=again)["uuid"] for _ in range(3)]


@pytest.mark.parametrize(
    ("event_type", "types"),
    [
        ("user.lifecycle.create", ["User"]),
        ("user.session.start", []),
        ("user.authentication.sso", ["AppInstance", "AppUser"]),
        ("user.account.privilege.grant", ["User", "ROLE"]),
        ("group.user_membership.add", ["User", "UserGroup"]),
        ("group.privilege.grant", ["UserGroup", "ROLE"]),
        ("application.user_membership.add", ["AppUser", "AppInstance", "User"]),
        ("policy.rule.update", ["PolicyRule", "PolicyEntity"]),
        ("policy.lifecycle.update", ["PolicyEntity"]),
        ("device.user.add", ["Device", "User"]),
        ("zone.create", ["Zone"]),
        ("resource_servers.mcp_server.activate", ["McpServer"]),
    ],
)
def test_targets_are_those_of_the_family(event_type: str, types: list[str]) -> None:
    """What an event is about depends on its type; an unlisted family has what its name says."""
    assert [target.type for target in read(make_event(event_type)).target] == types


def test_who_did_it_depends_on_the_family() -> None:
    """People sign in themselves, admins manage others, and Okta runs its jobs."""
    sign_in = read(make_event("user.authentication.auth_via_mfa"))
    assert sign_in.actor.id == sign_in.target_of("User").id
    created = read(make_event("user.lifecycle.create"))
    assert created.actor.id != created.target_of("User").id
    job = read(make_event("system.import.start"))
    assert job.actor.type == "SystemPrincipal"
    assert job.transaction.type == "JOB"
    assert job.client.ip_address is None
    assert created.transaction.type == "WEB"
    assert created.client.ip_chain[0].ip == created.client.ip_address


def test_an_update_says_what_changed() -> None:
    """An update has the changed attributes in the debug data and on its target, numbers among them."""
    user = read(make_event("user.account.update_profile", target="user:ada@example.com"))
    assert user.changed_attributes == ("title",)
    assert user.target[0].change_details.from_ == {"title": "Engineer"}
    rule = read(make_event("policy.rule.update"))
    assert isinstance(rule.target[0].change_details.to["priority"], int)


def test_some_events_are_failures() -> None:
    """A lock-out is no success, and is not of severity INFO."""
    event = read(make_event("user.account.lock"))
    assert (event.outcome.result, event.outcome.reason) == ("FAILURE", "LOCKED_OUT")
    assert event.severity == "WARN"
    assert read(make_event("user.account.unlock")).outcome.result == "SUCCESS"


def test_a_device_event_has_the_device() -> None:
    """The registered device stands in the target and, in more detail, at device."""
    event = read(make_event("device.lifecycle.suspend", target="device:Ada's laptop"))
    assert event.device.id == event.target_of("Device").id
    assert event.device.name == "Ada's laptop"


def test_targets_in_short() -> None:
    """A type, a colon and a name are enough; one name has one id, in every event and with every seed."""
    event = read(
        make_event(
            "group.user_membership.add",
            target=["user:ada.lovelace@example.com", "group:Engineering", "Zone:Office"],
        )
    )
    user, group, zone = event.target
    assert (user.type, user.alternate_id, user.display_name) == (
        "User",
        "ada.lovelace@example.com",
        "Ada Lovelace",
    )
    assert (group.type, group.alternate_id, group.display_name) == (
        "UserGroup",
        "unknown",
        "Engineering",
    )
    assert (zone.type, zone.display_name) == ("Zone", "Office")
    assert user.id.startswith("00u")
    assert group.id.startswith("00g")
    again = read(make_event("user.session.start", seed=9, actor="user:ada.lovelace@example.com"))
    assert again.actor.id == user.id


def test_whoever_signs_in_is_the_target_that_was_said() -> None:
    """In an event of one's own, the person named as the target is the actor, too."""
    event = read(make_event("user.mfa.factor.activate", target="user:ada@example.com"))
    assert event.actor.alternate_id == "ada@example.com"


@pytest.mark.parametrize(
    "actor",
    [
        "user:ada@example.com",
        {"id": "00u1", "type": "User", "alternateId": "ada@example.com", "displayName": "Ada"},
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_whoever_signs_in_is_the_actor_that_was_said(actor: Any, seed: int) -> None:
    """In an event of one's own, the person named as the actor is the target, too."""
    for event_type, kind in (
        ("user.account.update_password", "User"),
        ("user.authentication.sso", "AppUser"),
    ):
        event = read(make_event(event_type, actor=actor, seed=seed))
        target = event.target_of(kind)
        assert target.alternate_id == "ada@example.com"
        assert kind != "User" or target.id == event.actor.id
    managed = read(make_event("user.lifecycle.create", actor=actor, target="user:bob"))
    assert managed.target[0].alternate_id == "bob"


def test_an_actor_that_is_nobody_leaves_the_target_alone() -> None:
    """Okta itself, or somebody without a name, does not become the target."""
    system = read(make_event("user.mfa.factor.activate", actor="SystemPrincipal:system@okta.com"))
    assert system.target[0].type == "User"
    nameless = read(make_event("user.authentication.sso", actor={"type": "User"}))
    assert nameless.target_of("AppUser").alternate_id


def test_an_event_shares_nothing_with_the_caller() -> None:
    """What a test changes in an event is changed in no other, nor in what the event was made of."""
    client, target = {"zone": "a", "ipChain": []}, {"type": "User", "detailEntry": {}}
    one, other = (make_event("user.lifecycle.create", client=client, target=target) for _ in "ab")
    one["client"]["zone"] = one["target"][0]["detailEntry"]["b"] = "c"
    assert (other["client"], other["target"]) == (client, [target])
    assert (client, target) == ({"zone": "a", "ipChain": []}, {"type": "User", "detailEntry": {}})


def test_what_is_spelt_out_stays_as_it_is() -> None:
    """A target given as an object is what the event has, without anything added."""
    target = {"id": "00u1", "type": "User"}
    event = make_event("user.account.update_profile", target=target)
    assert event["target"] == [target]
    assert "changedAttributes" not in event["debugContext"]["debugData"]
    assert make_event("user.lifecycle.create", target=[])["target"] == []
    assert make_event("user.lifecycle.create", target=None)["target"] is None


def test_overrides_take_either_spelling() -> None:
    """Top-level keys may be Okta's or in snake case; the value replaces the sample's; times are written Okta's way."""
    when = datetime(2026, 1, 2, 3, 4, 5, 678_901, timezone(timedelta(hours=1)))
    event = make_event(
        "user.lifecycle.create", displayMessage="Hello", debug_context=None, published=when
    )
    assert event["displayMessage"] == "Hello"
    assert event["debugContext"] is None
    assert event["published"] == "2026-01-02T02:04:05.678Z"


def test_an_unknown_override_is_an_error() -> None:
    """A misspelt key would make a test that tests nothing."""
    with pytest.raises(TypeError, match="no key 'tagret'"):
        make_event("user.lifecycle.create", tagret="user:ada@example.com")


@pytest.mark.parametrize("short", ["ada@example.com", "user:", ":ada@example.com"])
def test_a_short_form_needs_a_type_and_a_name(short: str) -> None:
    """What is no short form is refused, and the error shows how to write one."""
    with pytest.raises(ValueError, match=r"user:ada@example\.com"):
        make_event("user.lifecycle.create", target=short)


@pytest.mark.parametrize("short", ["user:\udcff", "\udcff:ada"])
def test_a_short_form_is_text(short: str) -> None:
    """What a terminal made of bytes that are no UTF-8 is refused in words that show it."""
    with pytest.raises(ValueError, match=r"'.*\\udcff.*' is no text"):
        make_event("user.lifecycle.create", target=short)


@pytest.mark.parametrize(
    ("event_type", "error", "reason"),
    [
        ("", ValueError, "such as 'user.lifecycle.create', not ''"),
        (" ", ValueError, "not ' '"),
        ("user..create", ValueError, "not 'user..create'"),
        (None, TypeError, "such as 'user.lifecycle.create', not None"),
        (7, TypeError, "not 7"),
    ],
)
def test_a_type_is_a_string_with_something_in_it(
    event_type: Any, error: type[Exception], reason: str
) -> None:
    """What can be no event type of Okta's, ever, is an error that shows one."""
    with pytest.raises(error, match=reason):
        make_event(event_type)


def test_an_unknown_type_is_made_and_warned_about() -> None:
    """Okta adds types in most releases, so any can be made; a misspelt one is pointed out."""
    with pytest.warns(UnknownEventTypeWarning, match=r"'user\.lifecycle\.create' meant") as warned:
        event = make_event("user.lifecyle.create")
    assert event["eventType"] == "user.lifecyle.create"
    assert warned[0].filename == __file__
    with pytest.warns(UnknownEventTypeWarning, match=r"release \S+$"):
        assert read(make_event("quux")).target[0].type == "Quux"


def test_a_delivery_is_an_envelope_with_okta_s_keys() -> None:
    """The keys stand in Okta's order, and the package reads what they hold."""
    event = make_event("user.lifecycle.create")
    delivery = make_delivery([event], source="https://example.okta.com/api/v1/eventHooks/who1")
    assert list(delivery) == [
        "eventType",
        "eventTypeVersion",
        "cloudEventsVersion",
        "source",
        "eventId",
        "data",
        "eventTime",
        "contentType",
    ]
    envelope = reading.load_delivery(json.dumps(delivery).encode())
    assert envelope.event_id == delivery["eventId"]
    assert envelope.source == "https://example.okta.com/api/v1/eventHooks/who1"
    assert envelope.events == (event,)
    assert make_delivery(event)["data"] == delivery["data"]


def test_deliveries_are_new_unless_they_have_a_seed() -> None:
    """Without a seed each delivery has an eventId of its own; with one it is always the same."""
    assert make_delivery([])["eventId"] != make_delivery([])["eventId"]
    assert make_delivery([], seed=1) == make_delivery([], seed=1)
    assert make_delivery([], seed=1)["eventId"] != make_delivery([], seed=2)["eventId"]
    sent = make_delivery([], event_id="1", event_time=datetime(2026, 1, 2, tzinfo=UTC))
    assert (sent["eventId"], sent["eventTime"]) == ("1", "2026-01-02T00:00:00.000Z")
