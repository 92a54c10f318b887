"""Reading what Okta sends, tolerantly: bytes to an envelope, one element of it to a ``LogEvent``.

The schemas are generated from the dataclasses in :mod:`okta_hooks.wire.events`: a new field is declared there, once.
From the schemas in turn functions are generated that read what is of the plain types, twenty times as fast;
marshmallow reads the rest, and is the judge of every error.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple, NotRequired, TypedDict

from marshmallow import ValidationError

from okta_hooks.exceptions import UnreadableDelivery, UnreadableEvent

from .events import Envelope, LogEvent
from .fields import _load, _schema
from .loader import _loader

try:
    import msgspec
except ImportError:  # it comes with the extra `fast`
    msgspec = None  # type: ignore[assignment]

_SURROGATE = re.compile("[\ud800-\udfff]")
#: The longest text, in characters, that is kept in a column of its own.
_LONGEST = 200


def load_delivery(body: bytes, *, keys_only: bool = False) -> Envelope:
    """Read the body of a delivery, without looking into its events.

    :param body: The request body: JSON in UTF-8 (UTF-16 and UTF-32 are recognised too).
    :param keys_only: Whether of the events nothing matters but what identifies them, and :func:`event_keys`.
        Then msgspec reads them if it is installed, and nothing else is there.
    :raises UnreadableDelivery: if it is not JSON, or has no list at ``data.events``.
    """
    document, text = (_read_keys(body) if keys_only else None) or _read(body)
    events = _events(document)
    if events is None:
        raise UnreadableDelivery("The body has no list at data.events.")
    try:
        envelope: Envelope = _loader(Envelope)(document, events=tuple(events), text=text)
    except (ValidationError, ValueError):
        known, _ = _load(_schema(Envelope), document)
        envelope = Envelope(**known, events=tuple(events), text=text)
    return envelope


def _read(body: bytes) -> tuple[Any, str]:
    """Return what a body says, and the body as text that can be written in UTF-8."""
    try:
        text = body.decode(json.detect_encoding(body), "surrogatepass")
        document = json.loads(text)
    except (ValueError, RecursionError):
        # `from None`: the decoder's error carries the whole body.
        raise UnreadableDelivery("The body is not JSON that can be read.") from None
    try:
        text.encode()
    except UnicodeEncodeError:
        # JSON text has other than printable characters only in strings, so an escape stands for the same.
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


_keys = msgspec and msgspec.json.Decoder(_Keys)
#: So many digits among the bytes that are looked at are a number of more than 4,096: Python reads 4,300.
_LONG_NUMBER = re.compile(rb"[0-9]{16}")
_STRIDE = 256


def _read_keys(body: bytes) -> tuple[Any, str] | None:
    """Return what :func:`_read` does, with only these keys, by msgspec, which makes nothing of the rest.

    None where its judgement might differ from the standard library's, or it is not installed.
    """
    if _keys is None or _LONG_NUMBER.search(body[::_STRIDE]):
        return None
    try:
        document = _keys.decode(body)
        text = body.decode()
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    # Another event is known by all that it says.
    if all(is_plain(raw["uuid"]) for raw in document["data"]["events"]):
        return document, text
    return None


def _events(document: Any) -> list[Any] | None:
    data = document.get("data") if isinstance(document, dict) else None
    events = data.get("events") if isinstance(data, dict) else None
    return events if isinstance(events, list) else None


def is_plain(text: str) -> bool:
    """Return whether a text can be in a column of its own, and tell an event from others."""
    return 0 < len(text) <= _LONGEST and text.isascii() and text.isprintable()


class EventKeys(NamedTuple):
    """What the inbox has columns for: the type, and when it happened, in seconds since the epoch."""

    event_type: str
    published: float | None


def event_keys(raw: object) -> EventKeys:
    """Read of an event only what the inbox needs: quick enough to do it before the answer.

    :param raw: As for :func:`load_event`.
    :raises UnreadableEvent: as :func:`load_event`, for the same events.
    """
    if not isinstance(raw, (dict, Mapping)):  # a dict is told quicker
        raise UnreadableEvent("The event is not a JSON object.")
    event_type = raw.get("eventType")
    if not isinstance(event_type, str):
        event_type = load_event(raw).event_type
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
    :raises UnreadableEvent: if it is no object, or has no ``eventType`` that is text.
    """
    if not isinstance(raw, (dict, Mapping)):  # a dict is told quicker
        raise UnreadableEvent("The event is not a JSON object.")
    try:
        event: LogEvent = _loader(LogEvent)(raw, raw=dict(raw), problems={})
    except (ValidationError, ValueError):
        known, problems = _load(_schema(LogEvent), raw)
        if known.get("event_type") is None:
            # `from None`: marshmallow's error carries the event.
            raise UnreadableEvent("The event has no eventType, or one that is not text.") from None
        event = LogEvent(**known, raw=dict(raw), problems=problems)
    return event


def load_object(cls: Any, raw: object) -> tuple[Any, dict[str, Any]]:
    """Read any object of Okta's into a dataclass, as tolerantly as an event.

    :param cls: Its attributes are Okta's keys in snake case.
    :return: the object, or None if ``raw`` is none or lacks what the class requires; and marshmallow's messages.
    """
    if not isinstance(raw, Mapping):
        return None, {"_schema": ["Not a valid object."]}
    known, problems = _load(_schema(cls), raw)
    required = {
        item.name for item in dataclasses.fields(cls) if item.default is dataclasses.MISSING
    }
    return (None if required - known.keys() else cls(**known)), problems
