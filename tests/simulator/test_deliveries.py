from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from okta_hooks.simulator import (
    Answer,
    Org,
    Request,
)

from .support import ELIGIBLE, URL, Clock, Receiver, body, failures_in_log, uuids

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime


def test_a_delivery_is_what_okta_sends(org: Org, receiver: Receiver, clock: Clock) -> None:
    """A POST with Okta's headers, the admin's, and a minified envelope of events that are in the log."""
    (hook_id,) = org.register(URL, ["user.lifecycle.create"], secret="s3cret")
    (event,) = org.emit(
        "user.lifecycle.create", target="user:ada@example.com", display_message="Hi"
    )
    clock.go_on(seconds=5)
    org.settle()
    request = receiver.requests[-1]
    assert (request.method, request.url) == ("POST", URL)
    assert request.headers["Authorization"] == "s3cret"
    assert request.headers["Content-Type"] == request.headers["Accept"] == "application/json"
    assert request.headers["User-Agent"] == f"Okta Hook Service v1.0.0 - {hook_id}"
    assert b'{"eventType":"com.okta.event_hook","eventTypeVersion":"1.0",' in request.body
    (envelope,) = receiver.envelopes
    assert envelope["source"] == f"https://example.okta.com/api/v1/eventHooks/{hook_id}"
    assert envelope["eventTime"] == "2026-08-03T09:00:05.000Z"
    assert envelope["data"]["events"] == [event]
    assert event["published"] == "2026-08-03T09:00:00.000Z"
    assert event["target"][0]["alternateId"] == "ada@example.com"
    assert event["displayMessage"] == "Hi"
    assert event["debugContext"]["debugData"]["targetEventHookIds"] == hook_id


def test_only_active_and_verified_hooks_get_only_their_types(org: Org, receiver: Receiver) -> None:
    """Events go to the hooks that asked for the type, and the log names these."""
    unverified = org.create_hook(body())["id"]
    one, other, stopped = (
        org.register(f"{URL}/{number}", ["user.lifecycle.deactivate"])[0] for number in range(3)
    )
    org.deactivate_hook(stopped)
    org.emit("user.lifecycle.deactivate")
    org.emit("user.lifecycle.create")
    org.settle()
    assert [request.url for request in receiver.requests if request.method == "POST"] == [
        f"{URL}/0",
        f"{URL}/1",
    ]
    left, created = org.log(filter='eventType sw "user.lifecycle."').events
    assert left["debugContext"]["debugData"]["targetEventHookIds"] == f"{one},{other}"
    assert "targetEventHookIds" not in created["debugContext"]["debugData"]
    assert unverified not in json.dumps(org.deliveries())


def test_a_hook_that_stops_before_the_delivery_gets_none(org: Org, receiver: Receiver) -> None:
    """What was on its way to a hook is dropped when the hook is deactivated or deleted."""
    (hook_id,) = org.register(URL, ["user.session.start"])
    org.emit("user.session.start")
    org.deactivate_hook(hook_id)
    org.delete_hook(hook_id)
    org.settle()
    assert receiver.envelopes == []
    assert [delivery["state"] for delivery in org.deliveries()] == ["dropped"]


def test_events_close_in_time_come_in_one_delivery(
    org: Org, receiver: Receiver, clock: Clock
) -> None:
    """A delivery waits half a second for more, and is sent when that is over, not before."""
    org.register(URL, ["user.session.start", "user.session.end"])
    first = org.emit("user.session.start")
    clock.go_on(seconds=0.4)
    second = org.emit("user.session.end")
    org.deliver_due()
    assert receiver.envelopes == []
    clock.go_on(seconds=0.1)
    org.deliver_due()
    assert receiver.uuids == [uuids(first + second)]
    third = org.emit("user.session.start")
    org.deliver_due()
    assert receiver.uuids == [uuids(first + second)]
    clock.go_on(seconds=0.5)
    org.deliver_due()
    assert receiver.uuids == [uuids(first + second), uuids(third)]


def test_a_delivery_holds_no_more_than_the_batch_size(clock: Clock, receiver: Receiver) -> None:
    """A burst is cut into deliveries, in order."""
    org = Org(clock=clock, send=receiver, batch_size=2)
    org.register(URL, ["user.session.start"])
    events = uuids(org.emit("user.session.start", count=5))
    org.settle()
    assert receiver.uuids == [events[:2], events[2:4], events[4:]]
    assert len({envelope["eventId"] for envelope in receiver.envelopes}) == 3


@pytest.mark.parametrize(
    ("statuses", "state", "failures"),
    [
        ([200], "delivered", 0),
        ([204], "delivered", 0),
        ([503, 204], "delivered", 0),
        ([503, 500], "failed", 1),
        ([202], "failed", 1),
        ([302], "failed", 1),
        ([400], "failed", 1),
        ([429], "failed", 1),
    ],
)
def test_a_server_error_is_tried_once_more_and_nothing_else(
    org: Org, receiver: Receiver, statuses: list[int], state: str, failures: int
) -> None:
    """200 and 204 are success; only 5xx gets another attempt, with the same body; a failure is in the log."""
    (hook_id,) = org.register(URL, ["user.session.start"])
    org.emit("user.session.start")
    receiver.statuses.extend([*statuses, 299])
    org.settle()
    assert list(receiver.statuses) == [299]
    assert len({request.body for request in receiver.requests if request.method == "POST"}) == 1
    (delivery,) = org.deliveries()
    assert [attempt["status"] for attempt in delivery["attempts"]] == statuses
    assert delivery["state"] == state
    logged = failures_in_log(org)
    assert len(logged) == failures
    for failure in logged:
        assert failure["outcome"]["result"] == "FAILURE"
        assert str(statuses[-1]) in failure["outcome"]["reason"]
        assert failure["target"][0]["id"] == hook_id
        assert failure["debugContext"]["debugData"]["eventId"] == delivery["eventId"]
        assert failure["debugContext"]["debugData"]["attempts"] == str(len(statuses))
        assert "targetEventHookIds" not in failure["debugContext"]["debugData"]


def test_what_an_app_raises_comes_out_and_stops_nothing(clock: Clock) -> None:
    """An error in the process is no answer of the hook's: it is raised, and the rest can still be delivered."""
    receiver = Receiver()

    def send(request: Request) -> Answer:
        if request.method == "POST" and not receiver.envelopes:
            receiver(request)
            raise RuntimeError("a bug")
        return receiver(request)

    org = Org(clock=clock, send=send, batch_size=1)
    org.register(URL, ["user.session.start"])
    org.emit("user.session.start", count=2)
    with pytest.raises(RuntimeError, match="a bug"):
        org.settle()
    org.settle()
    assert [delivery["state"] for delivery in org.deliveries()] == ["failed", "delivered"]
    (attempt,) = org.deliveries()[0]["attempts"]
    assert (attempt["status"], attempt["error"]) == (None, "RuntimeError: a bug")
    (failure,) = failures_in_log(org)
    assert failure["outcome"]["reason"] == "RuntimeError: a bug"


def test_what_an_app_raises_at_its_verification_comes_out() -> None:
    """An error in the process is not that of an endpoint that cannot answer."""

    def send(request: Request) -> Answer:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        Org(send=send).register(URL, ["user.session.start"])


def test_a_receiver_may_let_more_happen(clock: Clock) -> None:
    """What happens while the org settles is delivered, too."""
    org: Org
    receiver = Receiver()

    def send(request: Request) -> Answer:
        if b"user.lifecycle.create" in request.body:
            org.emit("group.user_membership.add")
        return receiver(request)

    org = Org(clock=clock, send=send)
    org.register(URL, ["user.lifecycle.create", "group.user_membership.add"])
    org.emit("user.lifecycle.create")
    org.settle()
    assert [envelope["data"]["events"][0]["eventType"] for envelope in receiver.envelopes] == [
        "user.lifecycle.create",
        "group.user_membership.add",
    ]


class Hurried(Clock):
    """A clock of a machine that stalls for ten seconds between any two looks at it."""

    def __call__(self) -> datetime:
        """Return the time."""
        self.go_on(seconds=10)
        return self.now


def test_settling_from_within_is_an_error() -> None:
    """A receiver that settles the org it is called by would wait for ever."""
    org: Org
    receiver = Receiver()

    def send(request: Request) -> Answer:
        if request.method == "POST":
            org.settle()
        return receiver(request)

    org = Org(send=send)
    org.register(URL, ["user.session.start"])
    org.emit("user.session.start")
    with pytest.raises(RuntimeError, match="cannot settle the org"):
        org.settle()


def test_settling_another_org_from_within_is_none() -> None:
    """A receiver may settle any org but the one that is waiting for it."""
    receiver = Receiver()
    other = Org(send=receiver)

    def send(request: Request) -> Answer:
        other.settle()
        return receiver(request)

    for org in (other, Org(send=send)):
        org.register(URL, ["user.session.start"])
        org.emit("user.session.start")
    org.settle()
    assert len(receiver.envelopes) == 2


@pytest.mark.parametrize("make_clock", [Clock, Hurried])
def test_settling_asks_no_clock(make_clock: Callable[[], Clock]) -> None:
    """However long things take, the same events come in the same deliveries, in the same order."""
    receiver = Receiver()
    org = Org(seed=1, clock=make_clock(), send=receiver, batch_size=3)
    org.register(URL, ["user.session.start"])

    def emit(**how: Any) -> list[str]:
        return uuids(org.emit("user.session.start", **how))

    delayed = emit(delay=5)
    last, first = emit(count=2, faults=["reorder"])
    one, two = emit(), emit(count=3)
    twice = emit(faults=["duplicate"])
    three = emit()
    org.settle()
    together = [[*one, *two[:2]], [two[2], *three], twice, twice]
    assert receiver.uuids == [*together, [first], [last], delayed]
    org.settle()
    assert len(receiver.uuids) == 7


def test_what_happens_does_not_depend_on_how_it_was_delivered(clock: Clock) -> None:
    """With a seed, events are the same whether or not others were delivered, or failed, meanwhile."""

    def run(*, settle: bool) -> list[str]:
        receiver = Receiver()
        receiver.statuses.extend([503] * 4)
        org = Org(seed=1, clock=clock, send=receiver)
        org.register(URL, ["user.session.start"])
        found = []
        for _ in range(3):
            found += uuids(org.emit("user.session.start"))
            if settle:
                org.settle()
        return [*found, org.create_hook(body())["id"]]

    assert run(settle=True) == run(settle=False)


def test_equal_seeds_make_equal_orgs(clock: Clock) -> None:
    """With a seed and a clock, every id and every event is the same in each run."""

    def run() -> list[bytes]:
        receiver = Receiver()
        org = Org(seed=5, clock=clock, send=receiver)
        org.register(URL, ["user.session.start"])
        org.emit("user.session.start", count=3)
        org.settle()
        return [request.body for request in receiver.requests]

    assert run() == run()


def test_more_types_than_a_hook_may_have_make_more_hooks(org: Org, receiver: Receiver) -> None:
    """All 314 types can be registered at once: two hooks share them, so no event comes twice."""
    assert len(org.register(URL, ELIGIBLE, secret="s3cret", headers={"X-Team": "people"})) == 2
    for event_type in (ELIGIBLE[0], ELIGIBLE[-1]):
        org.emit(event_type)
    org.settle()
    assert sum(len(delivery) for delivery in receiver.uuids) == 2
    assert receiver.requests[-1].headers["X-Team"] == "people"
