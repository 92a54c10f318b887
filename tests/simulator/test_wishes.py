from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from okta_hooks.simulator import Org

from .support import URL, Clock, Receiver, body, uuids

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask.testing import FlaskClient


def test_events_can_be_made_to_happen_over_http(client: FlaskClient, org: Org) -> None:
    """No token is needed; type, count, target, overrides, faults and delay are those of ``emit``."""
    org.register(URL, ["user.lifecycle.create"])
    answer = client.post(
        "/simulator/events",
        json={
            "type": "user.lifecycle.create",
            "count": 3,
            "target": "user:ada@example.com",
            "overrides": {"displayMessage": "Hi", "nulls": False},
            "faults": ["duplicate"],
            "delay": 1,
        },
    )
    assert answer.status_code == 200
    events = org.log(filter='eventType eq "user.lifecycle.create"').events
    assert answer.get_json() == {"uuids": uuids(events)}
    assert len(events) == 3
    assert {event["target"][0]["alternateId"] for event in events} == {"ada@example.com"}
    assert {event["displayMessage"] for event in events} == {"Hi"}
    assert "device" not in events[0]
    org.settle()
    deliveries = client.get("/simulator/deliveries").get_json()
    assert [each["state"] for each in deliveries] == ["delivered", "delivered"]
    assert deliveries[0]["due"] == "2026-08-03T09:00:01.500Z"
    assert deliveries[0]["events"] == [
        {"uuid": event["uuid"], "eventType": "user.lifecycle.create"} for event in events
    ]
    (attempt,) = deliveries[0]["attempts"]
    assert 0 <= attempt.pop("seconds") < 10
    assert attempt == {"at": "2026-08-03T09:00:00.000Z", "status": 204, "error": None}


@pytest.mark.parametrize(
    ("wrong", "cause"),
    [
        ({"type": "user.lifecyle.create"}, "'user.lifecycle.create' meant"),
        ({"type": None}, "type: "),
        ({"count": 0}, "count: "),
        ({"count": True}, "count: "),
        ({"delay": -1}, "delay: "),
        ({"delay": "soon"}, "delay: "),
        ({"faults": ["dupe"]}, "faults: "),
        ({"faults": "lost"}, "faults: "),
        ({"overrides": ["x"]}, "overrides: "),
        ({"overrides": {"tagret": 1}}, "'tagret'"),
        ({"overrides": {"count": 2}}, "overrides: An event has no key 'count'"),
        ({"overrides": {"event_type": "x"}}, "overrides: An event has no key 'event_type'"),
        ({"overrides": {"seed": 1}}, "overrides: An event has no key 'seed'"),
        ({"target": "ada"}, "no short form"),
        ({"target": 3}, "target is 3: it may be a short form such as 'user:ada@example.com'"),
        ({"target": ["user:ada", None]}, "or a list of these"),
        ({"tpye": "x"}, "tpye: No such key: there are type, count, target, "),
    ],
)
def test_a_wrong_wish_is_refused(
    client: FlaskClient, org: Org, wrong: dict[str, Any], cause: str
) -> None:
    """What cannot happen is an error 400 that says why, and nothing happens."""
    wish = {"type": "user.lifecycle.create", **wrong}
    refused = client.post("/simulator/events", json=wish)
    assert refused.status_code == 400
    assert cause in str(refused.get_json()["errorCauses"])
    assert org.log().events == []


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"", 'An object such as {"type": "user.lifecycle.create"}'),
        (b"type=user.lifecycle.create", "An object such as"),
        (b'["user.lifecycle.create"]', "An object such as"),
        (b"{}", "type: The event type is needed, such as user.lifecycle.create"),
    ],
)
def test_a_wish_that_is_none_is_refused(
    client: FlaskClient, org: Org, data: bytes, cause: str
) -> None:
    """The answer shows what is expected."""
    refused = client.post("/simulator/events", data=data)
    assert refused.status_code == 400
    assert [each["errorSummary"][: len(cause)] for each in refused.get_json()["errorCauses"]] == [
        cause
    ]
    assert org.log().events == []


def test_what_no_hook_asks_for_is_said(org: Org, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever waits for a delivery learns that there will be none, and why."""
    caplog.set_level("WARNING")
    org.create_hook(body())
    org.emit("user.lifecycle.deactivate", faults=["log_only"])
    assert caplog.messages == []
    org.emit("user.lifecycle.deactivate")
    expected = "No hook that is active and verified asks for user.lifecycle.deactivate."
    assert caplog.messages == [expected]
    org.register(URL, ["user.lifecycle.deactivate"])
    org.emit("user.lifecycle.deactivate")
    assert caplog.messages == [expected]


def test_a_changed_hook_receives_after_a_while(
    clock: Clock, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """With ``change_seconds``, what happens shortly after any change is not meant for the hook, and that is said."""
    org = Org(clock=clock, send=receiver, change_seconds=60)
    (hook_id,) = org.register(URL, ["user.session.start"])
    changes: list[Callable[[], object]] = [
        lambda: None,
        lambda: org.replace_hook(hook_id, {**org.hook(hook_id), "name": "Other"}),
        lambda: org.verify_hook(hook_id),
        lambda: org.activate_hook(hook_id),
    ]
    for change in changes:
        change()
        clock.go_on(seconds=59.9)
        (early,) = org.emit("user.session.start")
        assert "targetEventHookIds" not in early["debugContext"]["debugData"]
        assert caplog.messages == [
            f"{hook_id} was changed less than 60 s ago, and does not get user.session.start yet."
        ]
        clock.go_on(seconds=0.1)
        (event,) = org.emit("user.session.start")
        org.settle()
        assert receiver.uuids.pop() == [event["uuid"]]
        caplog.clear()
    assert len(receiver.envelopes) == len(changes)


@pytest.mark.parametrize("change_seconds", [0, 60])
def test_what_happened_before_a_change_is_for_the_hook(
    clock: Clock, receiver: Receiver, change_seconds: float
) -> None:
    """A clock that is set back, as tests do to fill the log, keeps nothing from a hook."""
    org = Org(clock=clock, send=receiver, change_seconds=change_seconds)
    (hook_id,) = org.register(URL, ["user.session.start"])
    clock.go_on(days=-3)
    (event,) = org.emit("user.session.start")
    assert event["debugContext"]["debugData"]["targetEventHookIds"] == hook_id


def test_what_came_of_a_delivery_is_said(
    org: Org, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """A delivery that failed is a warning, which pytest shows of a test that fails; one that did not is none."""
    caplog.set_level("INFO")
    org.register(URL, ["user.session.start"])
    receiver.statuses.extend([302, 204])
    for _ in range(2):
        org.emit("user.session.start")
        org.settle()
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", f"1 events to {URL}: The endpoint answered 302."),
        ("INFO", f"1 events to {URL}: 204."),
    ]
