"""An event that somebody else has kept: ``event.raw``, in a queue or in a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from okta_hooks.exceptions import UnreadableEvent

from . import reading

if TYPE_CHECKING:
    from .events import LogEvent


def load_event(raw: Mapping[str, Any] | str | bytes | bytearray) -> LogEvent:
    """Read an event as Okta sent it: what :attr:`LogEvent.raw` holds, or JSON of that.

    Wherever it was kept meanwhile, what comes out equals the event that a receiver gets.

    :param raw: An element of ``data.events`` of a delivery, or an event of the System Log:
        a mapping, JSON text, or JSON in UTF-8.
    :raises TypeError: if it is none of these.
    :raises UnreadableEvent: if it is not JSON, no JSON object, has no ``eventType``, or is a whole delivery.
    """
    if isinstance(raw, str | bytes | bytearray):
        try:
            raw = json.loads(raw)
        except (ValueError, RecursionError):
            # `from None`: the decoder's error carries the whole text.
            raise UnreadableEvent("The event is not JSON that can be read.") from None
        if not isinstance(raw, Mapping):
            raise UnreadableEvent("The event is not a JSON object.")
    if not isinstance(raw, Mapping):
        raise TypeError(
            f"An event is a mapping, or JSON in a str or in bytes, not a {type(raw).__name__}."
        )
    data = raw.get("data")
    if isinstance(data, Mapping) and "events" in data:
        raise UnreadableEvent(
            "This is a whole delivery: each of its events is an element of data.events."
        )
    return reading.load_event(raw)
