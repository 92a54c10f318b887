from __future__ import annotations

import dataclasses
import json
import math
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import pytest

from okta_hooks import Actor, LogEvent, UnreadableDelivery, UnreadableEvent, catalog
from okta_hooks.testing import make_event
from okta_hooks.wire import events, fields, loader, reading

SAMPLES = Path(__file__).parent / "samples"
OURS = {"raw", "problems"}  # made here, not read from a key


def load(**keys: Any) -> LogEvent:
    """Return an event of which only some keys matter, as it comes out of its JSON text."""
    return reading.load_event(json.loads(json.dumps({"eventType": "user.session.start", **keys})))


def load_sample(name: str) -> tuple[LogEvent, ...]:
    envelope = reading.load_delivery((SAMPLES / name).read_bytes())
    return tuple(reading.load_event(raw) for raw in envelope.events)


def example(hint: Any) -> tuple[Any, Any]:
    """Return JSON that fits an annotation, and what it should come to."""
    plain: dict[Any, tuple[Any, Any]] = {
        str: ("text", "text"),
        int: (7, 7),
        float: (0.5, 0.5),
        bool: (True, True),
        datetime: ("2024-03-26T21:05:32Z", datetime(2024, 3, 26, 21, 5, 32, tzinfo=UTC)),
        dict: ({"a": [1]}, {"a": [1]}),
    }
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is UnionType:
        return example(arguments[0])
    if origin is tuple:
        given, expected = example(arguments[0])
        return [given, given], (expected, expected)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        hints = {name: hint for name, hint in get_type_hints(hint).items() if name not in OURS}
        members = {name: example(hint) for name, hint in hints.items()}
        given = {key_of(name): given for name, (given, _) in members.items()}
        return given, hint(**{name: expected for name, (_, expected) in members.items()})
    return plain[origin or hint]


def key_of(name: str) -> str:
    """Return Okta's camel-case key of an attribute."""
    first, *rest = name.strip("_").split("_")
    return first + "".join(word.title() for word in rest)


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


# Bytes to an envelope


def test_delivery_of_2024() -> None:
    """The envelope gives the delivery's id, its source, and the events as they came."""
    body = (SAMPLES / "delivery_2024.json").read_bytes()

    envelope = reading.load_delivery(body)

    assert envelope.event_id == "0b24cd2c-6d7a-4d05-a2ad-5e4c7a1a8c11"
    assert envelope.source == "https://example.okta.com/api/v1/eventHooks/who2024aaaaaaaaaaa0h7"
    assert envelope.events == tuple(json.loads(body)["data"]["events"])


def test_delivery_of_2019() -> None:
    """The id is read in the spelling of 2019, and nothing else of the envelope is needed."""
    envelope = reading.load_delivery((SAMPLES / "delivery_2019.json").read_bytes())

    assert envelope.event_id == "b5a188b9-5ece-4636-b041-482ffda96311"
    assert len(envelope.events) == 2


def test_bare_envelope() -> None:
    """A list at ``data.events`` is all that a delivery must have, and it may be empty."""
    assert reading.load_delivery(b'{"data":{"events":[]}}') == events.Envelope()


def test_both_spellings_of_the_id() -> None:
    """Today's spelling wins over the old one, unless it is null."""
    both = b'{"eventID":"old","eventId":"new","data":{"events":[]}}'
    null = b'{"eventID":"old","eventId":null,"data":{"events":[]}}'

    assert reading.load_delivery(both).event_id == "new"
    assert reading.load_delivery(null).event_id == "old"


def test_odd_envelope() -> None:
    """Keys of the envelope that make no sense cost nothing but themselves."""
    envelope = reading.load_delivery(
        b'{"eventId":{"a":1},"source":[],"eventTime":"soon","extra":1,"data":{"events":[1],"more":2}}'
    )

    assert envelope == events.Envelope(events=(1,))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32-be"])
def test_encodings_of_json(encoding: str) -> None:
    """Every encoding that a JSON text may have is recognised."""
    body = '{"eventId":"é","data":{"events":[{"eventType":"zoë"}]}}'.encode(encoding)

    envelope = reading.load_delivery(body)

    assert (envelope.event_id, envelope.events) == ("é", ({"eventType": "zoë"},))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"hush",
        b"\xff",
        b'{"data":{"events":[]}}}',
        b'{"data":{"events":["\xe9"]}}',
        b"[" * 100_000,
        b'{"data":{"events":' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
        b'{"data":{"events":[' + b"9" * 5000 + b"]}}",
    ],
    ids=[
        "empty",
        "blank",
        "broken off",
        "no JSON",
        "no text",
        "more after the end",
        "Latin-1",
        "deep, broken off",
        "deep",
        "an integer of 5,000 digits",
    ],
)
def test_not_json(body: bytes) -> None:
    """What Python cannot read as JSON is an unreadable delivery, and the error quotes none of it."""
    with pytest.raises(UnreadableDelivery) as caught:
        reading.load_delivery(body)
    assert caught.value.reason == "The body is not JSON that can be read."
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    "body",
    [
        b"null",
        b"1",
        b'"events"',
        b"[]",
        b'[{"data":{"events":[]}}]',
        b"{}",
        b'{"data":null}',
        b'{"data":[]}',
        b'{"data":{}}',
        b'{"data":{"events":null}}',
        b'{"data":{"events":{}}}',
        b'{"data":{"events":"[]"}}',
        b'{"events":[]}',
    ],
)
def test_no_list_of_events(body: bytes) -> None:
    """JSON without a list at ``data.events`` is an unreadable delivery."""
    with pytest.raises(UnreadableDelivery) as caught:
        reading.load_delivery(body)
    assert caught.value.reason == "The body has no list at data.events."


def test_duplicate_keys() -> None:
    """Of a key that stands twice the last one counts, as :func:`json.loads` has it."""
    envelope = reading.load_delivery(
        b'{"data":{"events":[]},"data":{"events":[{"eventType":"a","eventType":"b"}]}}'
    )

    assert envelope.events == ({"eventType": "b"},)


def test_ten_thousand_events() -> None:
    """A delivery may hold any number of events: they come out one by one, in order."""
    body = json.dumps(
        {"data": {"events": [{"eventType": "a.b", "uuid": str(n)} for n in range(10_000)]}}
    ).encode()

    envelope = reading.load_delivery(body)

    assert [raw["uuid"] for raw in envelope.events] == [str(n) for n in range(10_000)]


def test_keys_are_read_by_msgspec() -> None:
    """Where keys are enough nothing else is read; elsewhere all is as Okta sent it."""
    pytest.importorskip("msgspec")
    body = b'{"data":{"events":[{"uuid":"u-1","eventType":"a","extra":1%s}]}}' % (b"0" * 40)

    (quick,) = reading.load_delivery(body, keys_only=True).events
    (whole,) = reading.load_delivery(body).events

    assert quick == {"uuid": "u-1", "eventType": "a"}
    assert whole["extra"] == 10**40


@pytest.mark.parametrize(
    "event",
    [
        b'{"eventType":"a","extra":1%s}',
        b'{"uuid":"","eventType":"a","extra":1%s}',
        b'{"uuid":"\xc3\xa9","eventType":"a","extra":1%s}',
        b'{"uuid":1,"eventType":"a","extra":1%s}',
        b'{"uuid":"u-1","eventType":1%s}',
        b'{"uuid":"u-1","eventType":"a","extra":[NaN,1%s]}',
        b'{"uuid":"u-1","eventType":"a","extra":["\\ud800",1%s]}',
        b"[1%s]",
    ],
)
def test_more_than_keys_is_read_by_the_standard_library(event: bytes) -> None:
    """An event that is known by all that it says is read exactly, though keys were asked for."""
    body = b'{"data":{"events":[%s]}}' % (event % (b"0" * 40))

    assert "1" + "0" * 40 in repr(reading.load_delivery(body, keys_only=True).events)


def test_msgspec_is_optional() -> None:
    """Without it the standard library reads everything."""
    program = """
import sys
sys.modules["msgspec"] = None
from okta_hooks.wire import reading
print(reading.load_delivery(b'{"data":{"events":[{"uuid":"u-1","eventType":"a"}]}}', keys_only=True).events)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout == "({'uuid': 'u-1', 'eventType': 'a'},)\n"


def test_unreadable_events_do_not_spoil_a_delivery() -> None:
    """The envelope is read without looking into the events."""
    assert reading.load_delivery(b'{"data":{"events":[null,[],{}]}}').events == (None, [], {})


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


LONGEST = "x" * 1000
MOST_SEGMENTS = ".".join("x" * 200)


@pytest.mark.parametrize("event_type", [LONGEST, MOST_SEGMENTS, "." * 199, 10**999])
def test_event_with_the_largest_type(event_type: object) -> None:
    """A type of 1,000 characters, or of 200 segments, is a type: Okta's own stay far below."""
    raw = {"eventType": event_type}

    assert reading.load_event(raw).event_type == str(event_type)
    assert reading.event_keys(raw).event_type == str(event_type)


@pytest.mark.parametrize(
    ("event_type", "reason"),
    [
        (LONGEST + "x", "longer than 1,000 characters"),
        (10**1000, "longer than 1,000 characters"),
        ("x." * 1_000_000, "longer than 1,000 characters"),
        (MOST_SEGMENTS + ".x", "more than 200 segments"),
        ("." * 200, "more than 200 segments"),
    ],
)
def test_event_with_a_type_beyond_all_bounds(event_type: object, reason: str) -> None:
    """A type that is too long to match in no time makes the event unreadable, which tells the bound, not the type."""
    raw = {"eventType": event_type, "uuid": "u-1"}

    for read in (reading.load_event, reading.event_keys):
        with pytest.raises(UnreadableEvent, match=reason) as caught:
            read(raw)
        assert len(str(caught.value)) < 100


@pytest.mark.parametrize("rest", [{}, {"eventType": None}, {"eventType": "." * 200}])
def test_event_without_a_usable_type_is_refused_at_once(rest: dict[str, object]) -> None:
    """Nothing but the type is read of an event that has none: a delivery may consist of such events."""
    asked = []

    class Watched(dict[str, object]):
        def get(self, key: str, default: Any = None) -> Any:
            asked.append(key)
            return super().get(key, default)

    for read in (reading.load_event, reading.event_keys):
        with pytest.raises(UnreadableEvent):
            read(Watched(rest, uuid="u-1", actor={"id": "a"}))
    assert set(asked) == {"eventType"}


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
    load_straight = loader.loader_of(LogEvent)
    for event_type in catalog.entries():
        raw = json.loads(json.dumps(make_event(event_type, seed=1)))
        known, problems = fields.load_fitting(fields.schema_of(LogEvent), raw)

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


# Problems


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
