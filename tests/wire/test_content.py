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
    "severity": "INFO",
    "actor": {"id": "00uAdmin", "type": "User", "alternateId": "jane@example.com"},
    "outcome": {"result": "SUCCESS", "reason": "why"},
    "target": [
        {
            "id": "00uA",
            "type": "User",
            "alternateId": "joe@example.com",
            "displayName": "Joe",
            "changeDetails": {"from": {"status": "ACTIVE", "logins": 3}, "to": {}},
        },
        {"id": "0oaB", "type": "AppInstance", "alternateId": "Wiki"},
    ],
    "transaction": {"id": "t1", "type": "WEB"},
    "client": {"ipChain": [{"ip": "203.0.113.9"}]},
    "debugContext": {
        "debugData": {
            "requestId": "r1",
            "privilegeGranted": "Read-only administrator",
            "originalPrincipal": {"id": "00uAdmin"},
        }
    },
}
JOE, WIKI = EVENT["target"]


def contradicts(**changes: Any) -> bool:
    """Return whether the event with some changes contradicts the event; it must not matter which is asked."""
    one, other = content_of(EVENT), content_of({**EVENT, **changes})
    assert one is not None
    assert other is not None
    assert one.contradicts(other) == other.contradicts(one)
    return one.contradicts(other)


@pytest.mark.parametrize(
    "changes",
    [
        {"eventType": "user.lifecycle.activate"},
        {"published": "2026-05-04T03:02:03.159Z"},
        {"actor": {"id": "00uOther"}},
        {"actor": {"alternateId": "other@example.com"}},
        {"outcome": {"result": "FAILURE"}},
        {"outcome": {"result": "SUCCESS", "reason": "another"}},
        {"transaction": {"id": "t2"}},
        {"target": [{"alternateId": "Wiki"}, {"alternateId": "other@example.com"}]},
        {"target": [{"id": "00uTest"}, {"id": "0oaB"}]},
        {"target": [{"id": "00uA"}]},
        {"target": [{"id": "00uA"}, {"id": "00uA"}, {"id": "0oaB"}]},
        {"target": [JOE, WIKI, {"type": "UserGroup", "displayName": "Admins"}]},
        {"target": [{"displayName": "Eve", "id": None}, {"displayName": "Bob"}]},
        {"target": [{**JOE, "displayName": "Eve"}, WIKI]},
        {"target": [{**JOE, "type": "UserGroup"}, WIKI]},
        {"target": [{**JOE, "alternateId": "Wiki"}, {**WIKI, "alternateId": "joe@example.com"}]},
        {"target": [{**JOE, "changeDetails": {"from": {"status": "STAGED"}}}, WIKI]},
        {"target": [{**JOE, "changeDetails": {"from": {"logins": 4}}}, WIKI]},
        {"severity": "ERROR"},
        {"debugContext": {"debugData": {"privilegeGranted": "Super administrator"}}},
        {"debugContext": {"debugData": {"originalPrincipal": {"id": "00uOther"}}}},
    ],
    ids=str,
)
def test_another_event(changes: dict[str, Any]) -> None:
    """Whatever both say, and do not say alike, cannot be of one event."""
    assert contradicts(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"uuid": "u2", "displayMessage": "Désactiver", "severity": "Info", "unknown": 1},
        {"published": "2026-05-04T03:02:01.159000000Z"},
        {"published": "2026-05-04 03:02:01.159"},
        {"published": "2026-05-04T05:02:01.900+02:00"},
        {"published": "yesterday"},
        {"actor": {"id": "00uAdmin", "displayName": "Jane"}},
        {"actor": None},
        {"actor": {"id": "unknown", "alternateId": "Unknown"}},
        {"outcome": {"result": "Success", "reason": None}},
        {"outcome": {"result": "null", "reason": ""}},
        {"outcome": {}},
        {"transaction": {}},
        {"transaction": {"id": None, "detail": {"x": "y"}}},
        {"target": list(reversed(EVENT["target"]))},
        {"target": None},
        {"target": []},
        {"target": [{"id": None}, {"id": "00uA"}]},
        {"target": [{"type": "app instance"}, {"type": "USER"}]},
        {"target": [{}, WIKI, None, JOE]},
        {"target": [{**JOE, "changeDetails": {"FROM": {"logins": "3"}, "to": {"a": 1}}}, WIKI]},
        {"target": [{**JOE, "changeDetails": {"from": {"logins": 3.0}}}, WIKI]},
        {"target": [{**JOE, "changeDetails": {"from": {"status": ["x"]}}}, WIKI]},
        {"debugContext": {"debugData": ""}},
        {"debugContext": {"debugData": {"RequestID": "r1", "isNew": True}}},
        {"debugContext": {"debugData": {"REQUESTID": "r2", "requestid": "r1"}}},
        {"actor": "", "outcome": [], "target": {"id": "x"}},
        {"client": None, "request": {"ipChain": [{"ip": "203.0.113.9"}]}},
        {"client": {"ipAddress": "198.51.100.7"}, "securityContext": {"isp": "another"}},
    ],
    ids=str,
)
def test_the_same_event_written_differently(changes: dict[str, Any]) -> None:
    """What the log and a delivery write differently, or leave out, is no other event."""
    assert not contradicts(**changes)


def test_the_hooks_that_it_was_meant_for() -> None:
    """Okta puts them into the log's version, and they are no part of what happened."""
    one, other = (
        content_of({**EVENT, "debugContext": {"debugData": {"targetEventHookIds": ids}}})
        for ids in ("who1", "who1,who2")
    )

    assert one is not None
    assert other is not None
    assert not one.contradicts(other)


def test_a_value_of_any_depth() -> None:
    """What nobody would send is compared as far as it makes sense, and nothing ends at it."""
    deep: Any = "x"
    for _ in range(10_000):
        deep = {"a": deep}

    assert not contradicts(debugContext={"debugData": deep})
    assert contradicts(debugContext={"debugData": deep}, severity="WARN")
    assert contradicts(target=[{"id": str(number)} for number in range(10_000)])
    assert contradicts(transaction={"id": 10**4000})
    assert contradicts(transaction={"id": float("inf")})


@pytest.mark.parametrize(
    "left_out",
    ["published", "severity", "actor", "outcome", "target", "transaction", "debugContext"],
)
def test_keys_that_are_left_out(left_out: str) -> None:
    """Deliveries have left out keys that are null in the log."""
    whole = content_of(EVENT)
    part = content_of({key: value for key, value in EVENT.items() if key != left_out})

    assert whole is not None
    assert part is not None
    assert not whole.contradicts(part)


@pytest.mark.parametrize("raw", [None, 7, [], {}, {"eventType": []}, {"uuid": "u1"}])
def test_what_cannot_be_read(raw: object) -> None:
    """An event that nobody can read says nothing."""
    assert content_of(raw) is None


def test_anything_may_stand_anywhere() -> None:
    """A lone surrogate is a part of what an event says."""
    assert contradicts(actor={"id": "\ud800"})
