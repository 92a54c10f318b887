from __future__ import annotations

import json
import subprocess
import sys

import pytest

from okta_hooks import UnreadableDelivery
from okta_hooks.wire import events, reading

from .support import SAMPLES


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
