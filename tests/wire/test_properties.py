"""What holds for every body and every event, tried on tens of thousands of them."""

from __future__ import annotations

import functools
import json
import math
import re
from typing import TYPE_CHECKING, Any, get_args, get_origin

import pytest
from flask import Flask
from hypothesis import example, given
from hypothesis import strategies as st

from okta_hooks import EventHook, LogEvent, UnreadableDelivery, UnreadableEvent
from okta_hooks.wire import reading

from .bodies import (
    ATTRIBUTES,
    HOSTILE,
    PLACES,
    SAMPLES,
    Place,
    delivery,
    events,
    is_event,
    mutations,
    only,
    trees,
    tried,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def sweep() -> Iterator[bytes]:
    """Yield each sample broken off and spoilt at every byte."""
    for body in SAMPLES:
        for place in range(len(body)):
            yield body[:place]
            yield body[:place] + HOSTILE[place % len(HOSTILE)] + body[place + 1 :]


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


@pytest.mark.long
@tried(1000)
@given(st.binary())
@example(b"")
@example(b"[" * 100_000)
@example(b'{"data":{"events":[' + b"9" * 5000 + b"]}}")
def test_any_bytes(body: bytes) -> None:
    """Any bytes are a delivery or an ``UnreadableDelivery``, nothing else."""
    check_body(body)


@pytest.mark.long
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


@pytest.mark.long
@tried(60)
@given(trees)
@example(None)
@example("")
@example([None, "", {}])
def test_any_json_at_every_path(tree: Any) -> None:
    """Whatever stands at one place of an event, ``problems`` names it if it is lost, and ``raw`` has it."""
    for place in PLACES:
        event = {"eventType": "user.session.start"} | only(place, tree)

        assert check_body(delivery(event)) == is_event(event)


@pytest.mark.long
@tried(500)
@given(events())
def test_wrong_types_in_places(event: Any) -> None:
    """An event comes back whole in ``raw``, and ``problems`` names exactly what is not in its attributes."""
    assert check_body(delivery(event)) == is_event(event)


@pytest.mark.long
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
        refused = 400 if body else 503  # something has lost what Okta sent
        assert status == (refused if expected is None else 204)
        assert self.seen == [expected or 0] * 3
        return status


@pytest.fixture(scope="module")
def host() -> Host:
    """Return an app with receivers."""
    return Host()


@pytest.mark.long
@tried(500)
@given(body=st.binary() | mutations())
def test_post_any_bytes(host: Host, body: bytes) -> None:
    """Whatever bytes are posted, the answer is 204 or 400."""
    host.post(body)


@pytest.mark.long
@tried(200)
@given(elements=st.lists(events() | trees, max_size=3))
def test_post_any_events(host: Host, elements: list[Any]) -> None:
    """Whatever stands at ``data.events``, the answer is 204, and each receiver sees each event once."""
    assert host.post(delivery(*elements)) == 204


def test_post_spoilt_deliveries(host: Host) -> None:
    """Wherever a delivery is broken off or spoilt, the answer is 204 or 400; if nothing is left, 503."""
    statuses = [host.post(body) for number, body in enumerate(sweep()) if number % 7 == 0]

    assert set(statuses) == {204, 400, 503}
