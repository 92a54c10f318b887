"""The Preview of the Admin Console: a past event, which may be edited, or sample data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from okta_hooks.simulator import Org, RequestRefused

from .support import URL, Clock, Receiver, body, failures_in_log, types_in_log, uuids

if TYPE_CHECKING:
    from flask.testing import FlaskClient

UPDATE = "user.account.update_profile"


@pytest.fixture
def hook_id(org: Org) -> str:
    """Return the id of a hook that is active and verified."""
    (hook_id,) = org.register(URL, [UPDATE, "user.session.start"], secret="s3cret")
    return hook_id


def sent(org: Org, receiver: Receiver) -> list[list[dict[str, Any]]]:
    """Deliver what is pending, and return the events of all deliveries."""
    org.settle()
    return [envelope["data"]["events"] for envelope in receiver.envelopes]


@pytest.mark.parametrize("nulls", [True, False])
def test_a_past_event_is_sent_with_every_key(nulls: bool, clock: Clock) -> None:
    """It is the event as it is delivered today, however it was serialised when it happened."""
    receiver = Receiver()
    org = Org(seed=1, clock=clock, send=receiver)
    (hook_id,) = org.register(URL, [UPDATE])
    expected = Org(seed=1, clock=clock, send=Receiver())
    expected.register(URL, [UPDATE])
    (full,) = expected.emit(UPDATE)
    (event,) = org.emit(UPDATE, nulls=nulls)
    org.settle()
    logged = org.log()
    preview = org.preview(hook_id, UPDATE)
    assert preview == full
    assert sent(org, receiver) == [[event], [preview]]
    assert receiver.envelopes[0]["eventId"] != receiver.envelopes[1]["eventId"]
    assert org.log() == logged


def test_the_last_event_is_sent_or_the_one_of_a_uuid(
    org: Org, hook_id: str, receiver: Receiver
) -> None:
    """A preview waits for no other event, and holds none."""
    first, last = org.emit(UPDATE, count=2, faults=["lost"])
    org.emit("user.session.start", faults=["lost"])
    assert org.preview(hook_id, UPDATE) == last
    assert org.preview(hook_id, UPDATE, uuid=first["uuid"]) == first
    assert sent(org, receiver) == [[last], [first]]


def test_a_preview_is_due_at_once(org: Org, hook_id: str, receiver: Receiver, clock: Clock) -> None:
    """What happened before it may still wait for more events."""
    (event,) = org.emit(UPDATE)
    preview = org.preview(hook_id, UPDATE)
    org.deliver_due()
    assert receiver.uuids == [[preview["uuid"]]]
    clock.go_on(seconds=1)
    org.deliver_due()
    assert receiver.uuids == [[preview["uuid"]], uuids([event])]


def test_it_may_be_edited(org: Org, hook_id: str, receiver: Receiver) -> None:
    """Any of its keys, in either spelling, and with short forms; its uuid stays, and so does what the log has."""
    (event,) = org.emit(UPDATE, target="user:ada@example.com", faults=["lost"])
    logged = org.log()
    preview = org.preview(
        hook_id, UPDATE, target="user:test@example.com", display_message="A test", device={"id": 1}
    )
    ((got,),) = sent(org, receiver)
    assert got == preview
    changed = {"target", "displayMessage", "device"}
    assert {key: got[key] for key in got if key not in changed} == {
        key: event[key] for key in event if key not in changed
    }
    assert got["target"][0]["alternateId"] == "test@example.com"
    assert (got["displayMessage"], got["device"]) == ("A test", {"id": 1})
    assert org.log() == logged


def test_sample_data_is_sent_where_the_log_has_no_such_event(
    org: Org, hook_id: str, receiver: Receiver, clock: Clock
) -> None:
    """Its actor, target and debug context are null; so is it once the event is too old for the log."""
    org.emit("user.session.start", faults=["lost"])
    sample = org.preview(hook_id, UPDATE)
    assert sample["eventType"] == UPDATE
    assert sample["actor"] is sample["target"] is sample["debugContext"] is None
    (event,) = org.emit(UPDATE, faults=["lost"])
    clock.go_on(days=91)
    other = org.preview(hook_id, UPDATE, actor="user:ada@example.com")
    assert other["uuid"] not in (sample["uuid"], event["uuid"])
    assert (other["actor"]["alternateId"], other["target"]) == ("ada@example.com", None)
    assert sent(org, receiver) == [[sample], [other]]


def test_a_filter_does_not_keep_it_back(org: Org, receiver: Receiver) -> None:
    """The preview of an event that the hook did not get is sent."""
    condition = {"event": UPDATE, "condition": {"expression": "false"}}
    events = {"type": "EVENT_TYPE", "items": [UPDATE], "filter": {"eventFilterMap": [condition]}}
    hook_id = org.create_hook(body(events=events))["id"]
    org.verify_hook(hook_id)
    org.emit(UPDATE)
    preview = org.preview(hook_id, UPDATE)
    assert sent(org, receiver) == [[preview]]


def test_it_is_a_delivery_otherwise(clock: Clock, receiver: Receiver) -> None:
    """It is tried twice, a failure is logged, and it counts in the quota."""
    org = Org(seed=1, clock=clock, send=receiver, quota=2)
    (hook_id,) = org.register(URL, [UPDATE])
    receiver.statuses.extend([503, 503])
    org.preview(hook_id, UPDATE)
    org.settle()
    (failure,) = failures_in_log(org)
    assert failure["debugContext"]["debugData"]["attempts"] == "2"
    assert UPDATE not in types_in_log(org)
    within, over = org.preview(hook_id, UPDATE), org.preview(hook_id, UPDATE)
    assert sent(org, receiver)[2:] == [[within]]
    assert over["uuid"] != within["uuid"]


def test_a_hook_that_gets_no_events_gets_no_preview(org: Org, hook_id: str) -> None:
    """One that is not there, is inactive, or has not that type is refused, and so is what cannot be edited."""
    with pytest.raises(RequestRefused, match="who1"):
        org.preview("who1", UPDATE)
    with pytest.raises(RequestRefused, match=r"does not get user.lifecycle.create now"):
        org.preview(hook_id, "user.lifecycle.create")
    with pytest.raises(ValueError, match=r"The log has no user.session.start with the uuid 'x'"):
        org.preview(hook_id, "user.session.start", uuid="x")
    with pytest.raises(TypeError, match="tagret"):
        org.preview(hook_id, UPDATE, tagret=1)
    with pytest.raises(TypeError, match="nulls"):
        org.preview(hook_id, UPDATE, nulls=False)
    org.deactivate_hook(hook_id)
    with pytest.raises(RequestRefused, match="does not get"):
        org.preview(hook_id, UPDATE)
    assert org.deliveries() == []


def test_previews_can_be_sent_over_http(
    client: FlaskClient, org: Org, hook_id: str, receiver: Receiver
) -> None:
    """No token is needed; the answer names the event."""
    first, _ = org.emit(UPDATE, count=2, faults=["lost"])
    answer = client.post(
        "/simulator/previews",
        json={
            "hook": hook_id,
            "type": UPDATE,
            "uuid": first["uuid"],
            "target": "user:test@example.com",
            "overrides": {"severity": "WARN"},
        },
    )
    assert (answer.status_code, answer.get_json()) == (200, {"uuid": first["uuid"]})
    ((got,),) = sent(org, receiver)
    assert (got["uuid"], got["severity"]) == (first["uuid"], "WARN")
    assert got["target"][0]["alternateId"] == "test@example.com"


@pytest.mark.parametrize(
    ("wrong", "status", "said"),
    [
        ({"hook": None}, 400, "hook: The id of a hook is needed"),
        ({"hook": "who1"}, 404, "who1 (Webhook)"),
        ({"type": "user.session.end"}, 400, "does not get user.session.end now"),
        ({"type": "user.sesion.end"}, 400, "is 'user.session.end' meant?"),
        ({"uuid": 1}, 400, "uuid: A text"),
        ({"uuid": "x"}, 400, "no user.account.update_profile with the uuid 'x'"),
        ({"overrides": []}, 200, ""),
        ({"overrides": [1]}, 400, "overrides: An object"),
        ({"overrides": {"uuid": "x"}}, 400, "overrides: An event has no key 'uuid'"),
        ({"overrides": {"hook_id": "x"}}, 400, "overrides: An event has no key 'hook_id'"),
        ({"overrides": {"nulls": False}}, 400, "overrides: An event has no key 'nulls'"),
        ({"target": "ada"}, 400, "no short form"),
        ({"count": 2}, 400, "count: No such key: there are hook, type, uuid, target, overrides"),
    ],
)
def test_a_wrong_preview_is_refused(
    client: FlaskClient, hook_id: str, wrong: dict[str, Any], status: int, said: str
) -> None:
    """The answer says why."""
    refused = client.post("/simulator/previews", json={"hook": hook_id, "type": UPDATE, **wrong})
    assert refused.status_code == status
    assert said in refused.text
