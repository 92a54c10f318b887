"""What holds for every body and every event, tried on tens of thousands of them."""

from __future__ import annotations

import collections
import contextlib
import copy
import dataclasses
import functools
import importlib.util
import json
import math
import operator
import re
from datetime import UTC, datetime
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

import pytest
from flask import Flask
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import okta_hooks.wire.events
from okta_hooks import EventHook, LogEvent, UnreadableDelivery, UnreadableEvent
from okta_hooks.inbox.claims import NewDelivery, incoming
from okta_hooks.testing import make_event
from okta_hooks.wire import fields, reading
from okta_hooks.wire.events import ALIASES, Delivery

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

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
    """Return settings under which a run finds the same as the last one, however slow the machine is."""
    return settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


# Bodies and events

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


def sweep() -> Iterator[bytes]:
    """Yield each sample broken off and spoilt at every byte."""
    for body in SAMPLES:
        for place in range(len(body)):
            yield body[:place]
            yield body[:place] + HOSTILE[place % len(HOSTILE)] + body[place + 1 :]


# What must hold


def misfits(cls: type[Any], sent: Mapping[str, Any], made: Any) -> Iterator[Place]:
    """Yield the path of each value that was sent, is not null, and is not there."""
    for name, keys, hint in ATTRIBUTES[cls]:
        key = keys[0]
        value = next((sent[key] for key in keys if sent.get(key) is not None), None)
        read = getattr(made, name)
        if value is None:
            assert read in (None, ())
        elif get_origin(hint) is tuple:
            yield from misfits_of_list(get_args(hint)[0], key, value, read)
        elif hint in ATTRIBUTES:
            if isinstance(value, dict):
                yield from ((key, *path) for path in misfits(hint, value, read))
            else:
                assert read is None
                if value != "":  # stands for none
                    yield (key,)
        elif get_origin(hint) is dict:
            assert read is None or json.dumps(read) == json.dumps(value)
            if read is None and value != "":
                yield (key,)
        else:
            fits = type(value) is hint and not (hint is float and not math.isfinite(value))
            assert read == value or not fits
            if read is None:
                yield (key,)


def misfits_of_list(
    cls: type[Any], key: str, value: object, read: tuple[Any, ...]
) -> Iterator[Place]:
    """Yield the paths for a list, of which the elements that are no objects are dropped."""
    if not isinstance(value, list):
        assert read == ()
        yield (key,)
        return
    kept = iter(read)
    for place, element in enumerate(value):
        if isinstance(element, dict):
            yield from ((key, place, *path) for path in misfits(cls, element, next(kept)))
        else:
            yield (key, place)
    assert list(kept) == []


def paths(problems: Any) -> Iterator[Place]:
    """Yield the path of each of marshmallow's messages."""
    for key, inner in problems.items():
        if isinstance(inner, dict):
            yield from ((key, *path) for path in paths(inner))
        else:
            assert all(isinstance(message, str) for message in inner)
            yield (key,)


def is_event(raw: object) -> bool:
    """Return whether an element of a delivery is an event: an object with a type that can be text, within bounds."""
    event_type = raw.get("eventType") if isinstance(raw, dict) else None
    if isinstance(event_type, bool) or not isinstance(event_type, str | int | float):
        return False
    text = str(event_type)
    return len(text) <= 1000 and text.count(".") < 200


def check_event(raw: Any) -> bool:
    """Check what holds for every element of a delivery; return whether it is an event."""
    before = json.dumps(raw)
    try:
        event = reading.load_event(raw)
    except UnreadableEvent as unreadable:
        assert not is_event(raw)
        with pytest.raises(UnreadableEvent, match=f"^{re.escape(unreadable.reason)}$"):
            reading.event_keys(raw)
        return False
    assert is_event(raw)
    assert reading.event_keys(raw).event_type == event.event_type
    assert json.dumps(raw) == json.dumps(event.raw) == before
    named, missing = list(paths(event.problems)), list(misfits(LogEvent, raw, event))
    assert sorted(named, key=repr) == sorted(missing, key=repr)
    return True


def check_body(body: bytes) -> int | None:
    """Check what holds for every body; return the number of its events, or None if it is no delivery."""
    try:
        envelope = reading.load_delivery(body)
    except UnreadableDelivery:
        return None
    return sum(map(check_event, envelope.events))


def delivery(*made: Any) -> bytes:
    return json.dumps({"eventId": "d-1", "data": {"events": made}}).encode()


@tried(1000)
@given(st.binary())
@example(b"")
@example(b"[" * 100_000)
@example(b'{"data":{"events":[' + b"9" * 5000 + b"]}}")
def test_any_bytes(body: bytes) -> None:
    """Any bytes are a delivery or an ``UnreadableDelivery``, nothing else."""
    check_body(body)


@tried(500)
@given(trees)
def test_any_json(tree: Any) -> None:
    """Any JSON may stand anywhere: only a list at ``data.events`` makes a delivery, only objects events."""
    documents = [tree, {"data": tree}, {"data": {"events": tree}}, {"data": {"events": [tree]}}]
    for document in documents:
        data = document.get("data") if isinstance(document, dict) else None
        elements = data.get("events") if isinstance(data, dict) else None
        expected = sum(map(is_event, elements)) if isinstance(elements, list) else None

        assert check_body(json.dumps(document).encode()) == expected


@tried(60)
@given(trees)
@example(None)
@example("")
@example([None, "", {}])
def test_any_json_at_every_place(tree: Any) -> None:
    """Whatever stands at one place of an event, ``problems`` names it if it is lost, and ``raw`` has it."""
    for place in PLACES:
        event = {"eventType": "user.session.start"} | only(place, tree)

        assert check_body(delivery(event)) == is_event(event)


@tried(500)
@given(events())
def test_wrong_types_in_places(event: Any) -> None:
    """An event comes back whole in ``raw``, and ``problems`` names exactly what is not in its attributes."""
    assert check_body(delivery(event)) == is_event(event)


@tried(1000)
@given(mutations())
def test_mutated_deliveries(body: bytes) -> None:
    """A delivery that was damaged on its way is read as far as it can be, or is unreadable."""
    check_body(body)


def test_every_byte_of_a_delivery() -> None:
    """Wherever a delivery is broken off or spoilt, it is read as far as it can be, or is unreadable."""
    counts = [check_body(body) for body in sweep()]

    assert len(counts) > 10_000
    assert set(counts) == {None, 0, 1, 2}


# Two ways to read an event


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


@tried(1000)
@given(events())
def test_events_are_read_as_marshmallow_does(event: Any) -> None:
    """Whatever stands at several places of an event, it is read as marshmallow alone would read it."""
    check_against_marshmallow(event)


# Two ways to read a body

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
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32"]


def members(*keys: str) -> st.SearchStrategy[list[tuple[str, str]]]:
    return st.lists(st.tuples(st.sampled_from(keys), literals), max_size=1)


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
@tried(2000)
@given(texts_of_json())
def test_both_readers_store_the_same(body: bytes) -> None:
    """Whether msgspec is installed changes nothing in what is refused, and nothing in what is stored."""
    assert stored(body, keys_only=True) == stored(body, keys_only=False)


@needs_msgspec
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


# Through the whole stack


class Host:
    """An app with receivers that use all that an event offers, and count."""

    def __init__(self) -> None:
        self.seen = [0, 0, 0]
        okta = EventHook("okta")
        okta.on("*")(self.look)
        okta.on("user.session.start", "user.*", "*")(functools.partial(self.look, place=1))
        okta.signal("*").connect(self.look_too)
        app = Flask("host")
        app.config.update(OKTA_HOOKS_SECRET="s3cret", OKTA_HOOKS_INBOX=None)
        app.register_blueprint(okta)
        self.client = app.test_client()

    def look(self, _: Flask, event: LogEvent, place: int = 0, **__: Any) -> None:
        """Look at every part of the event."""
        for target in event.targets_of("user"):
            assert target in event.target
        assert event.target_of("User") in (None, *event.target)
        assert len(set(event.changed_attributes)) == len(event.changed_attributes)
        assert {event: repr(event)}[event].startswith("<LogEvent ")
        assert event.published is None or event.published.utcoffset() is not None
        self.seen[place] += 1

    def look_too(self, _: Flask, event: LogEvent, **__: Any) -> None:
        """Look as well, though connected weakly."""
        self.look(_, event, place=2)

    def post(self, body: bytes) -> int:
        """Post a body as Okta would; check that every receiver saw every event of it."""
        self.seen[:] = [0, 0, 0]
        expected = check_body(body)
        status = self.client.post(
            "/okta/events", data=body, headers={"Authorization": "s3cret"}
        ).status_code
        assert status == (400 if expected is None else 204)
        assert self.seen == [expected or 0] * 3
        return status


@pytest.fixture(scope="module")
def host() -> Host:
    """Return an app with receivers."""
    return Host()


@tried(500)
@given(body=st.binary() | mutations())
def test_post_any_bytes(host: Host, body: bytes) -> None:
    """Whatever bytes are posted, the answer is 204 or 400."""
    host.post(body)


@tried(200)
@given(elements=st.lists(events() | trees, max_size=3))
def test_post_any_events(host: Host, elements: list[Any]) -> None:
    """Whatever stands at ``data.events``, the answer is 204, and each receiver sees each event once."""
    assert host.post(delivery(*elements)) == 204


def test_post_spoilt_deliveries(host: Host) -> None:
    """Wherever a delivery is broken off or spoilt, the answer is 204 or 400."""
    statuses = [host.post(body) for number, body in enumerate(sweep()) if number % 7 == 0]

    assert set(statuses) == {204, 400}
