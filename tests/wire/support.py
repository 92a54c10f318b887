from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

from okta_hooks.wire import reading

if TYPE_CHECKING:
    from okta_hooks import LogEvent

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
