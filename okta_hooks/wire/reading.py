"""Reading what Okta sends, tolerantly: bytes to an envelope, one element of it to a ``LogEvent``.

A new field of an event is declared in :mod:`okta_hooks.wire.events`, once: from the classes there are generated the
functions that read what is of the expected types (:mod:`okta_hooks.wire.loader`), and the schemas by which marshmallow
reads the rest, and decides what is an error (:mod:`okta_hooks.wire.fields`). It is imported when there is something
to decide, which in the deliveries of most orgs there never is.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, NotRequired, TypedDict

from okta_hooks.exceptions import UnreadableDelivery, UnreadableEvent

from .declared import Unfit
from .events import Envelope, LogEvent
from .loader import loader_of

try:
    import msgspec
except ImportError:  # it comes with the extra `fast`
    msgspec = None  # type: ignore[assignment]

#: The bounds of an event type, so that to match it by receivers' patterns takes no time worth noting, whatever was
#: sent. Of Okta's own types the longest has 93 characters, and the one with the most segments 11.
LONGEST_EVENT_TYPE: Final = 1000
MOST_SEGMENTS: Final = 200

_SURROGATE = re.compile("[\ud800-\udfff]")
#: The longest text, in characters, that is stored in a column of its own.
_LONGEST_PLAIN = 200


def load_delivery(body: bytes, *, keys_only: bool = False) -> Envelope:
    """Read the body of a delivery, without looking into its events.

    :param body: The request body: JSON in UTF-8 (UTF-16 and UTF-32 are recognised too).
    :param keys_only: Whether the events are only to be stored, so that their uuid and :func:`event_keys` suffice.
        Then msgspec reads these keys, if it is installed, and the events of the envelope have no others.
    :raises UnreadableDelivery: if it is not JSON, or has no list at ``data.events``.
    """
    document, text = (_read_keys(body) if keys_only else None) or _read(body)
    events = _events(document)
    if events is None:
        raise UnreadableDelivery("The body has no list at data.events.")
    try:
        envelope: Envelope = loader_of(Envelope)(document, events=tuple(events), text=text)
    except (Unfit, ValueError):
        known, _ = _by_schema(Envelope, document)
        envelope = Envelope(**known, events=tuple(events), text=text)
    return envelope


def _read(body: bytes) -> tuple[Any, str]:
    """Return what a body says, and the body as text that can be written in UTF-8."""
    try:
        text = body.decode(json.detect_encoding(body), "surrogatepass")
        document = json.loads(text)
    except (ValueError, RecursionError):
        # Nesting counts against the recursion limit together with the calls that led here,
        # so the same body may be too deep for one thread and not for another.
        # `from None`: the decoder's error carries the whole body.
        raise UnreadableDelivery("The body is not JSON that can be read.") from None
    try:
        text.encode()
    except UnicodeEncodeError:
        # In JSON text a surrogate can only stand within a string, where its escape means the same.
        text = _SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
    return document, text


class _KeysOfEvent(TypedDict):
    uuid: str
    eventType: str
    published: NotRequired[str | None]


class _KeysOfData(TypedDict):
    events: list[_KeysOfEvent]


class _Keys(TypedDict):
    data: _KeysOfData
    eventId: NotRequired[str | None]
    eventID: NotRequired[str | None]
    source: NotRequired[str | None]


_decoder = msgspec and msgspec.json.Decoder(_Keys)
#: The standard library refuses an integer of more than 4,300 digits, msgspec skips one of any length: a body that may
#: hold one is left to the standard library, or what is refused would depend on whether msgspec is installed.
#: Searching the whole body would take as long as reading it, so only every 256th byte is looked at: 4,301 digits in
#: a row put at least 16 in a row among these. Other bodies that match are only read slower.
_STRIDE = 256
_LONG_NUMBER = re.compile(rb"[0-9]{16}")


def _read_keys(body: bytes) -> tuple[Any, str] | None:
    """Do what :func:`_read` does by msgspec, which makes objects of the keys above only.

    None if it is not installed, or where it might accept what the standard library refuses, or read something else.
    """
    if _decoder is None or _LONG_NUMBER.search(body[::_STRIDE]):
        return None
    try:
        document = _decoder.decode(body)
        text = body.decode()
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    # An event whose uuid cannot be its key is identified by a hash of all its content, which was not read here.
    if all(is_plain(raw["uuid"]) for raw in document["data"]["events"]):
        return document, text
    return None


def _events(document: Any) -> list[Any] | None:
    data = document.get("data") if isinstance(document, dict) else None
    events = data.get("events") if isinstance(data, dict) else None
    return events if isinstance(events, list) else None


def is_plain(text: str) -> bool:
    """Return whether a text can be stored in a column of its own, and be the key of an event.

    It is 1 to 200 printable ASCII characters: whatever its encoding, any database stores and compares them alike,
    while PostgreSQL refuses a NUL.
    """
    return 0 < len(text) <= _LONGEST_PLAIN and text.isascii() and text.isprintable()


class EventKeys(NamedTuple):
    """What the inbox has columns for: the type, and when the event was published, in seconds since the epoch."""

    event_type: str
    published: float | None


def event_keys(raw: object) -> EventKeys:
    """Read only what the inbox stores in columns of its own, which is quick enough to do it before the answer.

    :param raw: As for :func:`load_event`.
    :raises UnreadableEvent: as :func:`load_event`, for the same events.
    """
    if not isinstance(raw, (dict, Mapping)):  # the check for dict first: it is quicker
        raise UnreadableEvent("The event is not a JSON object.")
    event_type = raw.get("eventType")
    if type(event_type) is not str or len(event_type) >= MOST_SEGMENTS:
        event_type = _event_type(event_type)
    try:
        published = datetime.fromisoformat(raw["published"])
        if published.tzinfo is None:
            published = published.replace(tzinfo=UTC)
        return EventKeys(event_type, published.timestamp())
    except (KeyError, TypeError, ValueError, OverflowError):
        return EventKeys(event_type, None)


def load_event(raw: object) -> LogEvent:
    """Read one event.

    What does not fit its field is None (an element of a list that is no object is dropped),
    and ``problems`` of the event names it.

    :param raw: An element of ``data.events``, as :func:`json.loads` made it.
    :raises UnreadableEvent: if it is no object, has no ``eventType`` that is text, or one that is longer than
        :data:`LONGEST_EVENT_TYPE` or of more than :data:`MOST_SEGMENTS`.
    """
    if not isinstance(raw, (dict, Mapping)):  # the check for dict first: it is quicker
        raise UnreadableEvent("The event is not a JSON object.")
    event_type = raw.get("eventType")
    if type(event_type) is not str or len(event_type) >= MOST_SEGMENTS:
        _event_type(event_type)
    try:
        event: LogEvent = loader_of(LogEvent)(raw, raw=dict(raw), problems={})
    except (Unfit, ValueError):
        known, problems = _by_schema(LogEvent, raw)
        event = LogEvent(**known, raw=dict(raw), problems=problems)
    return event


def _event_type(value: object) -> str:
    """Read the type of an event. A type that is a shorter text needs no call: it cannot have too many segments.

    Marshmallow decides what is text, by this field alone: to read the whole event would take fifty times as long,
    and a delivery may consist of events without a type.
    """
    from .fields import load_attribute

    try:
        event_type: str = load_attribute(LogEvent, "event_type", value)
    except Unfit:
        raise UnreadableEvent("The event has no eventType, or one that is not text.") from None
    if len(event_type) > LONGEST_EVENT_TYPE:
        raise UnreadableEvent(
            f"The event has an eventType that is longer than {LONGEST_EVENT_TYPE:,} characters."
        )
    if event_type.count(".") >= MOST_SEGMENTS:
        raise UnreadableEvent(f"The event has an eventType of more than {MOST_SEGMENTS} segments.")
    return event_type


def load_object(cls: Any, raw: object) -> tuple[Any, dict[str, Any]]:
    """Read any object of Okta's into a dataclass, as tolerantly as an event.

    :param cls: Its attributes are Okta's keys in snake case.
    :return: the object, or None if ``raw`` is none or lacks what the class requires; and marshmallow's messages.
    """
    if not isinstance(raw, Mapping):
        return None, {"_schema": ["Not a valid object."]}
    known, problems = _by_schema(cls, raw)
    required = {
        item.name for item in dataclasses.fields(cls) if item.default is dataclasses.MISSING
    }
    return (None if required - known.keys() else cls(**known)), problems


def _by_schema(cls: type, raw: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    from .fields import load_fitting, schema_of  # marshmallow

    return load_fitting(schema_of(cls), raw)
