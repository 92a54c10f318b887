from __future__ import annotations

import contextlib
import copy
import dataclasses
import functools
import json
import operator
from datetime import datetime
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

import okta_hooks.wire.events
from okta_hooks import LogEvent
from okta_hooks.testing import make_event
from okta_hooks.wire.events import ALIASES
from tests.support import LONG

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


Place = tuple[str | int, ...]
SAMPLES = [
    json.dumps(json.loads(path.read_bytes()), separators=(",", ":")).encode()
    for path in sorted((Path(__file__).parent / "samples").glob("*.json"))
]
HOSTILE = [
    b'"',
    b"\\",
    b"\0",
    b"\xff",
    b"[",
    b"}",
    b"9",
    b"",
    b"null",
    b"\\ud800",
    b"NaN",
    b"{" * 50,
]
OURS = {"raw", "problems"}  # made here, not read from a key


def tried(examples: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return settings under which a run finds the same as the last one, however slow the machine is.

    :param examples: How many ``make long`` tries; the suite tries a quarter of them.
    """
    return settings(
        max_examples=examples if LONG else examples // 4,
        derandomize=True,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


texts = st.text(st.characters(exclude_categories=()), max_size=12) | st.sampled_from(
    [
        "",
        "null",
        "unknown",
        "User",
        "user.session.start",
        "\0",
        "\ud800",
        "email,,title",
        "9" * 400,
        "." * 100,
        "x" * 1001,
    ]
)
timestamps = st.datetimes().map(datetime.isoformat) | st.sampled_from(
    [
        "2023-03-26T21:05:32.159Z",
        "2023-03-26 21:05:32.159123456",
        "2023-09-31T00:00:00Z",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        "yesterday",
    ]
)
integers = st.integers() | st.integers(1, 4000).map(lambda digits: 10**digits)
scalars = st.none() | st.booleans() | integers | st.floats() | texts | timestamps
trees = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=6,
)


def key_of(name: str) -> str:
    """Return Okta's camel-case key of an attribute."""
    first, *rest = name.strip("_").split("_")
    return first + "".join(word.title() for word in rest)


def bare(hint: Any) -> Any:
    """Return an annotation without its ``| None``."""
    return get_args(hint)[0] if get_origin(hint) is UnionType else hint


def attributes(cls: type[Any]) -> list[tuple[str, list[str], Any]]:
    """Return the attributes of a class: name, the keys it is read from, annotation."""
    hints = get_type_hints(cls)
    return [
        (
            field.name,
            [key_of(field.name), *field.metadata.get(ALIASES, ())],
            bare(hints[field.name]),
        )
        for field in dataclasses.fields(cls)
        if field.name not in OURS
    ]


ATTRIBUTES: dict[Any, list[tuple[str, list[str], Any]]] = {
    cls: attributes(cls)
    for cls in vars(okta_hooks.wire.events).values()
    if isinstance(cls, type) and dataclasses.is_dataclass(cls)
}


def full(hint: Any) -> Any:
    """Return JSON that fits an annotation, with a value at every key in every spelling."""
    plain = {
        str: "user.session.start",
        int: 7,
        float: 0.5,
        bool: True,
        datetime: "2023-03-26T21:05:32.159Z",
        dict: {"changedAttributes": "email"},
    }
    if get_origin(hint) is tuple:
        return [full(get_args(hint)[0])]
    if hint in ATTRIBUTES:
        members = {key: full(inner) for _, keys, inner in ATTRIBUTES[hint] for key in keys}
        return members | {"unheardOf": 1}
    return plain[get_origin(hint) or hint]


def places(value: Any) -> Iterator[Place]:
    """Yield the path of everything inside a JSON value."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield (key,)
            yield from ((key, *place) for place in places(inner))


FULL = full(LogEvent)
PLACES = list(places(FULL))
REAL = [
    *(raw for body in SAMPLES for raw in json.loads(body)["data"]["events"]),
    *(
        json.loads(json.dumps(make_event(event_type, seed=1)))
        for event_type in (
            "user.session.start",
            "group.user_membership.add",
            "device.lifecycle.delete",
        )
    ),
]


def only(place: Place, value: Any) -> Any:
    """Return JSON that has a value at one place, and nothing but the way to it."""
    for key in reversed(place):
        value = {key: value} if isinstance(key, str) else [value]
    return value


@st.composite
def events(draw: st.DrawFn) -> Any:
    """Make an event, a full one or a real one, but for a few places that hold something else, or null."""
    event = copy.deepcopy(draw(st.just(FULL) | st.sampled_from(REAL)))
    for *way, last in draw(st.lists(st.sampled_from(list(places(event))), max_size=6)):
        # The way is barred where something else has been put before.
        with contextlib.suppress(LookupError, TypeError):
            functools.reduce(operator.getitem, way, event)[last] = draw(st.none() | trees)
    return event


@st.composite
def mutations(draw: st.DrawFn) -> bytes:
    """Make a delivery with some of its bytes replaced, doubled, moved or missing."""
    body = draw(st.sampled_from(SAMPLES))
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(body)))
        end = start + draw(st.integers(0, 40))
        put = draw(st.sampled_from([*HOSTILE, body[start:end] * 2]) | st.binary(max_size=4))
        body = body[:start] + put + body[end:]
    return body


def is_event(raw: object) -> bool:
    """Return whether an element of a delivery is an event: an object with a type that can be text, within bounds."""
    event_type = raw.get("eventType") if isinstance(raw, dict) else None
    if isinstance(event_type, bool) or not isinstance(event_type, str | int | float):
        return False
    text = str(event_type)
    return len(text) <= 1000 and text.count(".") < 200


def delivery(*made: Any) -> bytes:
    return json.dumps({"eventId": "d-1", "data": {"events": made}}).encode()


LITERALS = [
    *(
        "null",
        "true",
        "0",
        "-0",
        "1.0",
        "1e5",
        "1" + "0" * 40,
        str(2**64),
        str(-(2**63) - 1),
        "9" * 309,
        "9" * 5000,
        "1e400",
    ),
    *("NaN", "-Infinity", "01", "1.", ".5", '"', "'a'", "[]", "{}", '{"a":1,"a":2}', '{"a":1,}'),
    *('""', '"u-1"', '"U-1 "', '"é"', '"\\u00e9"', '"\\u0000"', '"\0"', '"\x7f"', '"\t"', '"\\x"'),
    *('"\\ud800"', '"\\ud83e\\udd84"', '"\\udd84\\ud83e"', '"\ud800"', '"🦄"', f'"{"x" * 201}"'),
    *('"2023-03-26T21:05:32.159Z"', '"9999-12-31T23:59:59-23:00"', '"user.session.start"'),
    *("[" * depth + "]" * depth for depth in (200, 251, 252, 253, 700, 1020, 1100)),
    *('{"a":' * depth + "1" + "}" * depth for depth in (251, 252, 253, 1020, 1100)),
]
literals = st.sampled_from(LITERALS)


def members(*keys: str) -> st.SearchStrategy[list[tuple[str, str]]]:
    return st.lists(st.tuples(st.sampled_from(keys), literals), max_size=1)
