from __future__ import annotations

import collections
import dataclasses
import importlib.util
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from okta_hooks import LogEvent, UnreadableDelivery, UnreadableEvent
from okta_hooks.inbox.intake import NewDelivery, incoming
from okta_hooks.wire import fields, reading
from okta_hooks.wire.events import Delivery

from .bodies import (
    PLACES,
    delivery,
    events,
    is_event,
    literals,
    members,
    mutations,
    only,
    trees,
    tried,
)

if TYPE_CHECKING:
    from collections.abc import Iterable


class Word(str):
    """Text that is not quite a ``str``."""

    __slots__ = ()


#: What may stand anywhere: near misses of every type, and what only looks like one.
NEAR_MISSES: list[Any] = [
    *(None, "", True, False, 0, 1, 2, -1, 10**40, 10**400),
    *(0.0, -0.0, 1.0, 0.5, 1e400, -1e400, math.nan),
    *(
        "1",
        "0.5",
        "true",
        "off",
        "null",
        "NaN",
        "é",
        "\0",
        "\ud800",
        b"bytes",
        b"\xff",
        Word("word"),
    ),
    *("2023-03-26T21:05:32.159Z", "2023-03-26T21:05:32.159123999Z", "2023-03-26 21:05:32"),
    *("2023-03-26T23:05:32+02:00", "2023-03-26T21:05:32z", "20230326T210532Z", "2023-W12-7T21:05Z"),
    *("2023-03-26Z", "2023-09-31T00:00:00Z", "9999-12-31T24:00:00Z", "yesterdayZ", "Z"),
    *(datetime(2023, 3, 26, tzinfo=UTC), datetime(2023, 3, 26)),  # noqa: DTZ001 - it is none
    *([], {}, [None], [{}], [[]], ["", {}], ({},), {"id": "a"}, {"id": 1}, {"id": []}, {1: 2}),
    *(collections.OrderedDict(id="a"), collections.UserDict(id="a"), collections.UserList()),
]


def anatomy(value: Any) -> Any:
    """Return what tells a value from all others, also from its equals of another type."""
    if dataclasses.is_dataclass(value):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return type(value), [(key, anatomy(inner)) for key, inner in value.items()]
    if isinstance(value, tuple | list):
        return type(value), [anatomy(inner) for inner in value]
    return type(value), repr(value)


def check_against_marshmallow(raw: Any) -> None:
    """Check that an event is read as its schema reads it: values, their types, and problems."""
    known, problems = fields.load_fitting(fields.schema_of(LogEvent), raw)
    try:
        event = reading.load_event(raw)
    except UnreadableEvent:
        assert not is_event({"eventType": known.get("event_type")})
        return
    assert anatomy(event) == anatomy(LogEvent(**known, raw=dict(raw), problems=problems))


def test_near_misses_are_read_as_marshmallow_does() -> None:
    """Whatever stands at one place of an event, it is read as marshmallow alone would read it."""
    for place in PLACES:
        for value in NEAR_MISSES:
            check_against_marshmallow({"eventType": "user.session.start"} | only(place, value))


@pytest.mark.long
@tried(1000)
@given(events())
def test_events_are_read_as_marshmallow_does(event: Any) -> None:
    """Whatever stands at several places of an event, it is read as marshmallow alone would read it."""
    check_against_marshmallow(event)


ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32"]


def object_of(members: Iterable[tuple[str, str]]) -> str:
    return "{" + ",".join(f'"{key}":{literal}' for key, literal in members) + "}"


@st.composite
def texts_of_json(draw: st.DrawFn) -> bytes:
    """Make a delivery of good members and odd ones, where keys may stand twice."""
    good = [("uuid", '"u-1"'), ("eventType", '"user.session.start"'), ("extra", "1" + "0" * 40)]
    elements = [
        object_of([*good, *more])
        for more in draw(st.lists(members("uuid", "eventType", "published")))
    ]
    odd = draw(members("eventId", "eventID", "source"))
    events = f'{{"events":[{",".join([*elements, *draw(st.lists(literals, max_size=1))])}]}}'
    text = object_of([*odd, ("data", events)])
    return text.encode(draw(st.sampled_from([*ENCODINGS[:1] * 4, *ENCODINGS])), "surrogatepass")


def stored(body: bytes, *, keys_only: bool) -> NewDelivery | str:
    """Return what would be stored of a body, or why it is refused."""
    try:
        envelope = reading.load_delivery(body, keys_only=keys_only)
    except UnreadableDelivery as unreadable:
        return unreadable.reason
    received = Delivery(
        event_id=envelope.event_id,
        source=envelope.source,
        via="hook",
        received_at=datetime(2023, 3, 26, tzinfo=UTC),
    )
    return incoming("okta", envelope, received)


needs_msgspec = pytest.mark.skipif(
    importlib.util.find_spec("msgspec") is None, reason="the other way is msgspec's"
)


@needs_msgspec
@pytest.mark.long
@tried(2000)
@given(texts_of_json())
def test_both_readers_store_the_same(body: bytes) -> None:
    """Whether msgspec is installed changes nothing in what is refused, and nothing in what is stored."""
    assert stored(body, keys_only=True) == stored(body, keys_only=False)


@needs_msgspec
@pytest.mark.long
@tried(1000)
@given(
    st.lists(events() | trees, max_size=3).map(lambda made: delivery(*made))
    | mutations()
    | st.binary()
)
@example(b"[]")
def test_both_readers_store_the_same_of_anything(body: bytes) -> None:
    """The same holds for real events that were changed, for damaged deliveries, and for any bytes."""
    assert stored(body, keys_only=True) == stored(body, keys_only=False)


@needs_msgspec
@pytest.mark.parametrize("depth", [200, 250, 251, 252, 500, 900, 1000, 1010, 1020, 1021, 5000])
def test_both_readers_refuse_the_same_depth(depth: int) -> None:
    """How deep a body may be nested does not depend on msgspec either."""
    body = delivery({"uuid": "u-1", "eventType": "user.session.start", "extra": "deep"})
    body = body.replace(b'"deep"', b"[" * depth + b"]" * depth)

    assert stored(body, keys_only=True) == stored(body, keys_only=False)
