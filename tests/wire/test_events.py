from __future__ import annotations

import dataclasses
import json
import pickle
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from okta_hooks import Actor, ChangeDetails, DebugContext, Delivery, LogEvent, Target
from okta_hooks.wire import events, reading

SAMPLES = sorted((Path(__file__).parent / "samples").glob("*.json"))
CLASSES = [
    value
    for value in vars(events).values()
    if isinstance(value, type) and dataclasses.is_dataclass(value)
]
DELIVERY = Delivery(
    event_id="0b24cd2c",
    source="https://example.okta.com/api/v1/eventHooks/who1",
    via="hook",
    received_at=datetime(2024, 3, 26, 21, 5, 41, tzinfo=UTC),
)


def sample_events() -> list[LogEvent]:
    return [
        reading.load_event(raw)
        for path in SAMPLES
        for raw in reading.load_delivery(path.read_bytes()).events
    ]


def parts(value: Any) -> list[Any]:
    """Return a value object and all value objects inside it."""
    found = [value]
    for field in dataclasses.fields(value):
        member = getattr(value, field.name)
        for inner in member if isinstance(member, tuple) else [member]:
            if dataclasses.is_dataclass(inner):
                found += parts(inner)
    return found


def test_samples_hold_every_class() -> None:
    """The samples that these tests go through hold each class but ``Request``, which only the System Log sends."""
    seen = {type(part) for event in sample_events() for part in parts(event)}

    assert seen == set(CLASSES) - {Delivery, events.Envelope, events.Request}


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_frozen_slotted_and_keyword_only(cls: type[Any]) -> None:
    """A value object cannot be changed or added to, and its arguments are named."""
    made = {LogEvent: LogEvent(event_type="a"), Delivery: DELIVERY}.get(cls) or cls()
    first = dataclasses.fields(cls)[0].name

    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(made, first, "other")
    with pytest.raises((AttributeError, TypeError)):
        object.__setattr__(made, "unheard_of", 1)
    assert not hasattr(made, "__dict__")
    with pytest.raises(TypeError, match="positional"):
        cls("a")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle(protocol: int) -> None:
    """Events and deliveries come back equal from a pickle of any protocol."""
    for value in [*sample_events(), DELIVERY]:
        again = pickle.loads(pickle.dumps(value, protocol))
        assert again == value
        assert again is not value


def test_pickle_keeps_raw_and_problems() -> None:
    """What did not fit survives a pickle too."""
    event = reading.load_event({"eventType": "a", "target": [3], "extra": [1]})

    again = pickle.loads(pickle.dumps(event))

    assert again.raw == {"eventType": "a", "target": [3], "extra": [1]}
    assert again.problems == {"target": {0: ["Not a valid object."]}}


def test_hash() -> None:
    """Equal events are one member of a set, though they hold dicts; so are all their parts."""
    event, again = sample_events()[2], sample_events()[2]

    assert event is not again
    assert {event, again} == {event}
    for part, same in zip(parts(event), parts(again), strict=True):
        assert hash(part) == hash(same)
    assert len({DELIVERY, dataclasses.replace(DELIVERY, event_id="other")}) == 2


def test_equality_counts_everything() -> None:
    """Events that differ in nothing but what Okta sent besides the attributes are not equal."""
    event = reading.load_event({"eventType": "a"})

    assert event != reading.load_event({"eventType": "a", "extra": 1})
    assert event != reading.load_event({"eventType": "b"})


def test_repr_of_an_event() -> None:
    """An event shows its type and uuid: enough to find it, and nothing personal."""
    event = LogEvent(event_type="user.session.start", uuid="u-1", display_message="hush")

    assert repr(event) == str(event) == "<LogEvent 'user.session.start' 'u-1'>"


def test_repr_of_its_parts() -> None:
    """Actors and targets show type and id."""
    assert repr(Actor(type="User", id="00u1", display_name="hush")) == "<Actor 'User' '00u1'>"
    assert repr(Target(type="User", id="00u1", alternate_id="hush")) == "<Target 'User' '00u1'>"


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_repr_shows_nothing_personal(cls: type[Any]) -> None:
    """No class shows a value that is not a type or an id: representations end in logs."""
    shown = {"id", "type", "uuid", "event_type", "event_id", "source", "via", "received_at"}
    values: dict[str, Any] = {field.name: "hush" for field in dataclasses.fields(cls)}
    made = cls(**values | dict.fromkeys(shown & set(values), "open"))

    assert "hush" not in repr(made)
    assert "hush" not in str(made)


def test_log_of_a_whole_sample_is_silent() -> None:
    """No name, address or value of a full event shows in any representation of its parts."""
    event = sample_events()[2]

    text = " ".join(repr(part) for part in parts(event))

    for personal in ("Zoë", "zoe@example.com", "192.0.2.44", "Reykjav", "Mozilla", "Ada"):
        assert personal in json.dumps(event.raw, ensure_ascii=False)
        assert personal not in text


def test_targets_of() -> None:
    """The targets of a type come in Okta's order, whatever the case of the type."""
    first, second = Target(type="User", id="1"), Target(type="USER", id="2")
    event = LogEvent(
        event_type="a", target=(Target(type="AppUser", id="0"), first, Target(id="x"), second)
    )

    assert event.targets_of("User") == (first, second)
    assert event.targets_of("user") == (first, second)
    assert event.targets_of("Group") == ()


def test_target_of() -> None:
    """The first target of a type, or None if there is none or no target at all."""
    first, second = Target(type="User", id="1"), Target(type="User", id="2")
    event = LogEvent(event_type="a", target=(Target(type="AppUser"), first, second))

    assert event.target_of("user") == first
    assert event.target_of("Group") is None
    assert LogEvent(event_type="a").target_of("User") is None


def with_debug_data(data: dict[str, Any] | None, *targets: Target) -> LogEvent:
    return LogEvent(
        event_type="user.account.update_profile",
        debug_context=DebugContext(debug_data=data),
        target=targets,
    )


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        ("email", ("email",)),
        ("email,mobilePhone", ("email", "mobilePhone")),
        (" email , mobilePhone ,", ("email", "mobilePhone")),
        ("email,email", ("email",)),
        ("", ()),
        (",", ()),
        (None, ()),
        (["email"], ()),
        (7, ()),
    ],
)
def test_changed_attributes_in_debug_data(listed: object, expected: tuple[str, ...]) -> None:
    """The names in the comma-separated list come once each, trimmed, in Okta's order."""
    assert with_debug_data({"changedAttributes": listed}).changed_attributes == expected


def test_changed_attributes_in_targets() -> None:
    """The attributes in a target's change details count, whether they were there before or are now."""
    event = with_debug_data(
        {"changedAttributes": "email"},
        Target(),
        Target(change_details=ChangeDetails(from_={"title": 1, "email": 2}, to={"city": 3})),
        Target(change_details=ChangeDetails(to={"title": 4})),
    )

    assert event.changed_attributes == ("email", "title", "city")


def test_nothing_changed() -> None:
    """An event that says nothing of changes has no changed attributes."""
    assert LogEvent(event_type="a").changed_attributes == ()
    assert with_debug_data(None).changed_attributes == ()
    assert with_debug_data({}).changed_attributes == ()


def test_changed_attributes_of_a_sample() -> None:
    """A profile update as Okta sends it tells what changed."""
    assert sample_events()[0].changed_attributes == ("department", "mobilePhone")


def test_raw_of_two_events_is_not_shared() -> None:
    """An event that was made without ``raw`` has an empty one of its own."""
    one, other = LogEvent(event_type="a"), LogEvent(event_type="a")
    one.raw["x"] = 1

    assert other.raw == {}
