from __future__ import annotations

import dataclasses
import json
import math
from datetime import UTC, datetime
from typing import Any, get_type_hints

import pytest

from okta_hooks import Actor, LogEvent, UnreadableEvent, catalog
from okta_hooks.testing import make_event
from okta_hooks.wire import events, reading

from .support import OURS, SAMPLES, example, key_of, load, load_sample


def nulls(cls: type[Any], **keys: Any) -> dict[str, Any]:
    """Return an object with null at each of its keys, but for some."""
    return {key_of(name): None for name in get_type_hints(cls) if name not in OURS} | keys


def test_every_attribute_is_read() -> None:
    """Each attribute of each class is read from its key in camel case: a field is declared once."""
    given, expected = example(LogEvent)

    assert load(**given) == dataclasses.replace(expected, raw=given)


def test_every_attribute_may_be_null() -> None:
    """Any key but ``eventType`` may be null, at any depth, and that is the same as nothing."""
    geography = nulls(events.GeographicalContext, geolocation=nulls(events.Geolocation))
    hop = nulls(events.IpAddress, geographicalContext=geography)
    target = nulls(events.Target, changeDetails=nulls(events.ChangeDetails))
    full = {
        "client": nulls(events.Client, userAgent=nulls(events.UserAgent), ipChain=[hop]),
        "target": [target],
        "securityContext": nulls(
            events.SecurityContext, userBehaviors=[nulls(events.UserBehavior)]
        ),
        "authenticationContext": nulls(events.AuthenticationContext, issuer=nulls(events.Issuer)),
        "actor": nulls(Actor),
        "device": nulls(events.Device),
        "outcome": nulls(events.Outcome),
        "request": nulls(events.Request),
        "transaction": nulls(events.Transaction),
        "debugContext": nulls(events.DebugContext),
    }

    event = load(**nulls(LogEvent, eventType="a") | full)

    assert event == LogEvent(
        event_type="a",
        client=events.Client(
            user_agent=events.UserAgent(),
            ip_chain=(
                events.IpAddress(
                    geographical_context=events.GeographicalContext(
                        geolocation=events.Geolocation()
                    )
                ),
            ),
        ),
        target=(events.Target(change_details=events.ChangeDetails()),),
        security_context=events.SecurityContext(user_behaviors=(events.UserBehavior(),)),
        authentication_context=events.AuthenticationContext(issuer=events.Issuer()),
        actor=Actor(),
        device=events.Device(),
        outcome=events.Outcome(),
        request=events.Request(),
        transaction=events.Transaction(),
        debug_context=events.DebugContext(),
        raw=event.raw,
    )


# One element to an event


@pytest.mark.parametrize("raw", [None, 1, "text", [], [{"eventType": "a"}], True, math.nan])
def test_event_that_is_no_object(raw: object) -> None:
    """Only an object can be an event."""
    with pytest.raises(UnreadableEvent, match="not a JSON object"):
        reading.load_event(raw)


@pytest.mark.parametrize(
    "raw",
    [{}, {"eventType": None}, {"eventType": ["hush"]}, {"eventType": {}}, {"eventType": True}],
)
def test_event_without_a_type(raw: object) -> None:
    """Without an ``eventType`` that is text there is nothing to match receivers by."""
    with pytest.raises(UnreadableEvent, match="no eventType") as caught:
        reading.load_event(raw)
    assert "hush" not in str(caught.value)


def test_smallest_event() -> None:
    """An object with an ``eventType`` is an event: everything else is None or empty."""
    event = reading.load_event({"eventType": "user.session.start"})

    assert event == LogEvent(
        event_type="user.session.start", raw={"eventType": "user.session.start"}
    )
    assert event.problems == {}


@pytest.mark.parametrize("name", [path.name for path in sorted(SAMPLES.iterdir())])
def test_samples_fit(name: str) -> None:
    """Nothing in a delivery as Okta sends it is a problem, and all of it is in ``raw``."""
    sent = json.loads((SAMPLES / name).read_text(encoding="utf-8"))["data"]["events"]

    loaded = load_sample(name)

    assert [event.problems for event in loaded] == [{} for _ in sent]
    assert [event.raw for event in loaded] == sent


def test_usual_events_need_no_marshmallow() -> None:
    """The sample of every type is read in a straight line, and comes to what marshmallow makes of it."""
    load_straight = reading._loader(LogEvent)  # noqa: SLF001
    for event_type in catalog.entries():
        raw = json.loads(json.dumps(make_event(event_type, seed=1)))
        known, problems = reading._load(reading._schema(LogEvent), raw)  # noqa: SLF001

        event = load_straight(raw, raw=raw, problems={})

        assert (event, problems) == (LogEvent(**known, raw=raw), {})
        assert type(event) is LogEvent


def test_an_event_that_was_read_is_frozen() -> None:
    """What comes out of the parser cannot be changed, at any depth, nor does a change of it reach ``raw``."""
    event = load(actor={"id": "a"}, debugContext={"debugData": {"a": "b"}})

    assert event.actor is not None
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.uuid = "x"  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.actor.id = "x"  # type: ignore[misc]
    assert event.debug_context is not None
    assert event.debug_context.debug_data is not None
    event.debug_context.debug_data.clear()
    assert event.raw["debugContext"] == {"debugData": {"a": "b"}}


def test_full_event() -> None:
    """Every attribute of a full event is there, at any depth."""
    event, _ = load_sample("delivery_2024.json")

    assert event.uuid == "7d3c7a9e-eb8f-11ee-9c5b-1d7e0a4b6f22"
    assert event.published == datetime(2024, 3, 26, 21, 5, 32, 159000, tzinfo=UTC)
    assert event.event_type == "user.session.start"
    assert event.version == "0"
    assert event.severity == "INFO"
    assert event.display_message == "User login to Okta"
    assert event.legacy_event_type == "core.user_auth.login_success"
    assert event.actor == Actor(
        id="00u2zoeaaaaaaaaaaa0h7",
        type="User",
        alternate_id="zoe@example.com",
        display_name="Zoë Ångström",
    )
    assert event.client is not None
    assert event.client.user_agent is not None
    assert event.client.user_agent.browser == "FIREFOX"
    assert event.client.ip_address == "192.0.2.44"
    assert [hop.version for hop in event.client.ip_chain] == ["V4", "V6"]
    here = event.client.ip_chain[0].geographical_context
    assert here is not None
    assert here.city == "Reykjavík"
    assert here.geolocation == events.Geolocation(lat=64.1466, lon=-21.9426)
    assert event.device is not None
    assert event.device.platform == "MACOS"
    assert event.device.secure_hardware_present is True
    assert event.outcome == events.Outcome(result="SUCCESS")
    assert [target.type for target in event.target] == ["AuthenticatorEnrollment", "AppInstance"]
    assert event.transaction is not None
    assert event.transaction.detail == {}
    assert event.authentication_context is not None
    assert event.authentication_context.issuer == events.Issuer(
        id="00o1aaaaaaaaaaaaa0h7", type="ORG"
    )
    assert event.authentication_context.authentication_step == 0
    assert event.security_context is not None
    assert event.security_context.as_number == 64496
    assert event.security_context.is_proxy is False
    assert event.security_context.user_behaviors == (
        events.UserBehavior(id="bhv1", name="New Device", result="NEGATIVE"),
    )
