"""What tells an event from another that has its uuid, and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from okta_hooks.wire.content import content_of

EVENT: dict[str, Any] = {
    "uuid": "u1",
    "eventType": "user.lifecycle.deactivate",
    "published": "2026-05-04T03:02:01.159Z",
    "displayMessage": "Deactivate Okta user",
    "actor": {"id": "00uAdmin", "type": "User", "alternateId": "jane@example.com"},
    "outcome": {"result": "SUCCESS", "reason": None},
    "target": [{"id": "00uA", "type": "User"}, {"id": "0oaB", "type": "AppInstance"}],
    "client": {"ipChain": [{"ip": "203.0.113.9"}]},
    "debugContext": {"debugData": {"requestId": "r1"}},
}


def contradicts(**changes: Any) -> bool:
    """Return whether the event with some changes contradicts the event; it must not matter which is asked."""
    one, other = content_of(EVENT), content_of({**EVENT, **changes})
    assert one is not None
    assert other is not None
    assert one.contradicts(other) == other.contradicts(one)
    assert (one.digest == other.digest) <= (not one.contradicts(other))
    return one.contradicts(other)


@pytest.mark.parametrize(
    "changes",
    [
        {"eventType": "user.lifecycle.activate"},
        {"published": "2026-05-04T03:02:03.159Z"},
        {"actor": {"id": "00uOther"}},
        {"outcome": {"result": "FAILURE"}},
        {"target": [{"id": "00uTest"}, {"id": "0oaB"}]},
        {"target": [{"id": "00uA"}]},
        {"target": [{"id": "00uA"}, {"id": "00uA"}, {"id": "0oaB"}]},
    ],
    ids=str,
)
def test_another_event(changes: dict[str, Any]) -> None:
    """Another type, time, actor, result or other targets cannot be the same event."""
    assert contradicts(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"uuid": "u2", "displayMessage": "Désactiver", "severity": "WARN", "unknown": 1},
        {"published": "2026-05-04T03:02:01.159000000Z"},
        {"published": "2026-05-04 03:02:01.159"},
        {"published": "2026-05-04T05:02:01.900+02:00"},
        {"published": "yesterday"},
        {"actor": {"id": "00uAdmin", "displayName": "Jane"}},
        {"actor": None},
        {"outcome": {"result": "Success", "reason": "why"}},
        {"outcome": {}},
        {"target": list(reversed(EVENT["target"]))},
        {"target": None},
        {"target": []},
        {"target": [{"id": None}, {"id": "00uA"}]},
        {"actor": "", "outcome": [], "target": {"id": "x"}},
        {"client": None, "request": {"ipChain": [{"ip": "203.0.113.9"}]}},
        {"debugContext": {"debugData": {"targetEventHookIds": "who1", "requestId": "r1"}}},
    ],
    ids=str,
)
def test_the_same_event_written_differently(changes: dict[str, Any]) -> None:
    """What the log and a delivery write differently, or leave out, is no other event."""
    assert not contradicts(**changes)


@pytest.mark.parametrize("left_out", ["published", "actor", "outcome", "target"])
def test_keys_that_are_left_out(left_out: str) -> None:
    """Deliveries have left out keys that are null in the log."""
    whole = content_of(EVENT)
    part = content_of({key: value for key, value in EVENT.items() if key != left_out})

    assert whole is not None
    assert part is not None
    assert not whole.contradicts(part)


def test_the_digest_is_stable() -> None:
    """It is stored in keys: two forms of one event have the same, and it stays what it is."""
    event = content_of(EVENT)
    other = content_of({**EVENT, "published": "2026-05-04T03:02:01.159000Z", "severity": "X"})

    assert event is not None
    assert other is not None
    assert event.digest == other.digest == "ccea3e124740"


@pytest.mark.parametrize("raw", [None, 7, [], {}, {"eventType": []}, {"uuid": "u1"}])
def test_what_cannot_be_read(raw: object) -> None:
    """An event that nobody can read says nothing."""
    assert content_of(raw) is None


def test_anything_may_stand_anywhere() -> None:
    """A lone surrogate is a part of what is said."""
    event = content_of({"eventType": "a.b", "actor": {"id": "\ud800"}})

    assert event is not None
    assert len(event.digest) == 12
