from __future__ import annotations

import dataclasses
import json
import math
from datetime import UTC, datetime, timedelta

import pytest

from okta_hooks import Actor, LogEvent
from okta_hooks.wire import events, reading

from .support import load, load_sample


def test_quirk_1_keys_left_out() -> None:
    """A delivery of 2019 leaves keys out: the attributes are None, the lists empty."""
    _, event = load_sample("delivery_2019.json")

    assert event.target == ()
    assert event.actor is None
    assert event.display_message is None
    assert event.security_context is None
    assert event.transaction == events.Transaction()


def test_quirk_1_empty_objects_and_lists() -> None:
    """``{}`` is an object of which nothing is known, ``[]`` an empty tuple."""
    event, _ = load_sample("delivery_2019.json")

    assert event.client == events.Client(ip_chain=())
    assert event.security_context == events.SecurityContext()
    assert event.device == events.Device()


def test_quirk_1_every_key_null() -> None:
    """A delivery of today sends every key as null: that is the same as leaving it out."""
    _, event = load_sample("delivery_2024.json")

    assert event.client == events.Client()
    assert event == dataclasses.replace(
        LogEvent(event_type="group.user_membership.add"),
        uuid=event.uuid,
        published=event.published,
        version="0",
        severity="NOTICE",
        client=events.Client(),
        raw=event.raw,
    )


@pytest.mark.parametrize(
    "key",
    [
        "actor",
        "outcome",
        "securityContext",
        "debugContext",
        "client",
        "device",
        "transaction",
        "request",
        "authenticationContext",
    ],
)
@pytest.mark.parametrize(("sent", "is_none"), [(None, True), ("", True), ({}, False)])
def test_quirk_2_nothing_where_an_object_belongs(key: str, sent: object, *, is_none: bool) -> None:
    """``null``, ``""`` and ``{}`` all stand for an object Okta knows nothing of, and are no problem."""
    event = load(**{key: sent})
    name = "".join(f"_{c.lower()}" if c.isupper() else c for c in key)

    assert (getattr(event, name) is None) is is_none
    assert event.problems == {}


@pytest.mark.parametrize("key", ["target", "ipChain", "userBehaviors"])
def test_quirk_2_null_where_a_list_belongs(key: str) -> None:
    """``null`` for a list is an empty tuple, at any depth."""
    event = load(target=None, client={key: None}, securityContext={key: None})

    assert event.target == ()
    assert event.client == events.Client()
    assert event.security_context == events.SecurityContext()
    assert event.problems == {}


def test_quirk_2_null_inside_the_client() -> None:
    """``null`` for an object within an object is None."""
    event = load(client={"userAgent": None, "geographicalContext": None, "ipAddress": "192.0.2.1"})

    assert event.client == events.Client(ip_address="192.0.2.1")


@pytest.mark.parametrize("data", [None, ""])
def test_quirk_2_no_debug_data(data: object) -> None:
    """``debugData`` may be null or an empty string: then there is none, and that is no problem."""
    event = load(debugContext={"debugData": data})

    assert event.debug_context == events.DebugContext(debug_data=None)
    assert event.problems == {}
    assert event.changed_attributes == ()


def test_quirk_3_words_for_nothing() -> None:
    """The strings ``"null"`` and ``"unknown"`` are Okta's and stay as they are."""
    event = load(client={"zone": "null"}, actor={"id": "unknown"})

    assert event.client is not None
    assert event.client.zone == "null"
    assert event.actor is not None
    assert event.actor.id == "unknown"


def test_quirk_4_debug_data() -> None:
    """Debug data comes as it is: strings are not read further, the one object among them is kept."""
    event, _ = load_sample("delivery_2024.json")

    assert event.debug_context is not None
    assert event.debug_context.debug_data == event.raw["debugContext"]["debugData"]
    assert event.debug_context.debug_data is not None
    assert event.debug_context.debug_data["threatSuspected"] == "false"
    assert event.debug_context.debug_data["risk"] == "{level=LOW}"
    assert event.debug_context.debug_data["originalPrincipal"]["type"] == "User"


EVENING = datetime(2023, 3, 26, 21, 5, 32, tzinfo=UTC)


@pytest.mark.parametrize("key", ["published", "insertionTimestamp"])
@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ("2023-03-26T21:05:32.159Z", EVENING.replace(microsecond=159_000)),
        ("2023-03-26T21:05:32Z", EVENING),
        ("2023-03-26T21:05:32.15Z", EVENING.replace(microsecond=150_000)),
        ("2023-03-26T21:05:32.159123Z", EVENING.replace(microsecond=159_123)),
        ("2023-03-26T21:05:32.159123999Z", EVENING.replace(microsecond=159_123)),
        ("2023-03-26 21:05:32.159", EVENING.replace(microsecond=159_000)),
        ("2023-03-26 21:05:32", EVENING),
        ("2023-03-26T23:05:32+02:00", EVENING),
        ("2023-03-26T21:05:32.159+0000", EVENING.replace(microsecond=159_000)),
    ],
)
def test_quirk_5_timestamps(key: str, sent: str, expected: datetime) -> None:
    """Every form of a timestamp that Okta has sent is an aware datetime; without a zone it is UTC."""
    event = load(**{key: sent})
    read = event.published if key == "published" else event.insertion_timestamp

    assert read == expected
    assert read.utcoffset() in (timedelta(0), timedelta(hours=2))
    assert event.problems == {}


@pytest.mark.parametrize("key", ["published", "insertionTimestamp"])
@pytest.mark.parametrize(
    "sent",
    ["yesterday", "", "2023-09-31T08:00:00.000Z", "2023-13-01T00:00:00Z", 1679864732159, True, []],
)
def test_quirk_5_what_is_no_time(key: str, sent: object) -> None:
    """A word, an impossible date or a number is None with a problem, and stays in ``raw``."""
    event = load(**{key: sent})

    assert event.published is None
    assert event.insertion_timestamp is None
    assert event.problems == {key: ["Not a valid datetime."]}
    assert event.raw[key] == sent


@pytest.mark.parametrize("sent", [None, "missing"])
def test_quirk_5_no_timestamp(sent: str | None) -> None:
    """A timestamp that is null or not there is None and no problem."""
    event = load(**({} if sent else {"published": None}))

    assert event.published is None
    assert event.problems == {}


@pytest.mark.parametrize(
    "uuid",
    [
        "0a5e5a1c-9b6e-11e9-8f2e-7f6a3b1d2c4e",
        "0A5E5A1C-9B6E-11E9-8F2E-7F6A3B1D2C4E",
        "01cc7b16-3a3f-4f0e-9c45-8a31b9a2d5e4",
        "not a uuid",
        "",
        "x" * 10_000,
    ],
)
def test_quirk_6_uuid_of_any_form(uuid: str) -> None:
    """The form of a uuid is not judged, nor its case changed."""
    event = load(uuid=uuid)

    assert event.uuid == uuid
    assert event.problems == {}


def test_quirk_6_no_uuid() -> None:
    """An event without a uuid is an event."""
    assert load().uuid is None
    assert load(uuid=None).uuid is None


def test_quirk_7_new_words() -> None:
    """Severities, results and types are whatever text Okta sends."""
    event = load(
        severity="NOTICEABLE",
        outcome={"result": "Success", "reason": "VERIFICATION_ERROR"},
        actor={"type": "System Principal"},
        target=[{"type": "app user"}, {"type": "AppUser"}],
    )

    assert event.severity == "NOTICEABLE"
    assert event.outcome == events.Outcome(result="Success", reason="VERIFICATION_ERROR")
    assert event.actor == Actor(type="System Principal")
    assert [target.type for target in event.target] == ["app user", "AppUser"]
    assert event.problems == {}


def test_quirk_8_many_targets_of_one_type() -> None:
    """Twelve targets of one type are twelve targets, in Okta's order."""
    event = load(target=[{"type": "User", "id": str(n)} for n in range(12)])

    assert [target.id for target in event.target] == [str(n) for n in range(12)]
    assert event.targets_of("User") == event.target


def test_quirk_9_numbers_for_strings() -> None:
    """A number where Okta documents a string is its digits."""
    event = load(version=0, client={"geographicalContext": {"postalCode": 94107}})

    assert event.version == "0"
    assert event.client is not None
    assert event.client.geographical_context == events.GeographicalContext(postal_code="94107")
    assert event.problems == {}


def test_quirk_9_unknown_keys() -> None:
    """Keys that Okta adds are no problem at any depth, and are in ``raw``."""
    extra = {"new": {"deeper": [1]}}
    event = load(**extra, actor={"id": "a", **extra}, target=[{"id": "b", **extra}], client=extra)

    assert event.problems == {}
    assert event.actor == Actor(id="a")
    assert event.raw["new"] == {"deeper": [1]}
    assert event.raw["target"] == [{"id": "b", "new": {"deeper": [1]}}]


@pytest.mark.parametrize(
    "event_type",
    [
        "user.authentication.auth_via_IDP",
        "some-app.sub-part.event-name",
        "a.b.c.d.e.f.g.h.i.j.k",
        "x" * 93,
        "",
        "käse",
    ],
)
def test_quirk_10_event_types_of_any_form(event_type: str) -> None:
    """An event type is whatever text Okta sends."""
    assert load(eventType=event_type).event_type == event_type


@pytest.mark.parametrize(
    "text", ["Zoë Ångström", "2001:db8::1", "a\0b", "\ud800", "🦄", "\u202eevil"]
)
def test_quirk_11_odd_text(text: str) -> None:
    """NUL, lone surrogates and whatever else JSON can escape come through as they are."""
    event = load(
        uuid=text,
        displayMessage=text,
        target=[{"id": text}],
        debugContext={"debugData": {text: text}},
    )

    assert event.uuid == event.display_message == event.target[0].id == text
    assert event.raw["debugContext"] == {"debugData": {text: text}}
    assert event.problems == {}


def test_quirk_11_nan_and_infinity() -> None:
    """``NaN`` is no coordinate, but it is in ``raw`` and harmless elsewhere."""
    envelope = reading.load_delivery(
        b'{"data":{"events":[{"eventType":"a","published":NaN,"extra":NaN,'
        b'"client":{"geographicalContext":{"geolocation":{"lat":NaN,"lon":-Infinity}}}}]}}'
    )

    event = reading.load_event(envelope.events[0])

    assert math.isnan(event.raw["extra"])
    assert event.client is not None
    assert event.client.geographical_context is not None
    assert event.client.geographical_context.geolocation == events.Geolocation()
    assert set(event.problems) == {"published", "client"}
    assert set(event.problems["client"]["geographicalContext"]["geolocation"]) == {"lat", "lon"}


def test_huge_integers() -> None:
    """An integer beyond every machine word is kept exactly, and is too large for a coordinate."""
    huge = 10**4000
    event = load(
        version=huge,
        extra=huge,
        securityContext={"asNumber": huge},
        client={"geographicalContext": {"geolocation": {"lat": huge}}},
    )

    assert event.version == str(huge)
    assert event.raw["extra"] == huge
    assert event.security_context == events.SecurityContext(as_number=huge)
    assert event.problems == {
        "client": {"geographicalContext": {"geolocation": {"lat": ["Number too large."]}}}
    }


def test_integer_that_python_does_not_write_out() -> None:
    """An integer with more digits than Python turns into text is a problem of a text field."""
    event = reading.load_event({"eventType": "a", "version": 10**5000})

    assert event.version is None
    assert event.problems == {"version": ["Not a valid string."]}


def test_deep_nesting() -> None:
    """Nesting that :func:`json.loads` can read is kept, as deep as it is."""
    deep = json.loads("[" * 400 + "]" * 400)
    event = load(extra=deep, debugContext={"debugData": {"deep": deep}})

    assert event.problems == {}
    assert event.raw["extra"] == deep
