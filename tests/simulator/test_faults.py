from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from okta_hooks import UnknownEventTypeWarning

from .support import URL, Clock, Receiver, failures_in_log, types_in_log, uuids

if TYPE_CHECKING:
    from okta_hooks.simulator import (
        Org,
    )


def test_a_duplicate_comes_under_another_event_id(org: Org, receiver: Receiver) -> None:
    """The same events come twice: only their uuids tell."""
    org.register(URL, ["user.session.start"])
    events = uuids(org.emit("user.session.start", count=2, faults=["duplicate"]))
    org.settle()
    assert receiver.uuids == [events, events]
    first, second = receiver.envelopes
    assert first["eventId"] != second["eventId"]


def test_reordered_events_come_last_first_and_late(org: Org, receiver: Receiver) -> None:
    """They are overtaken by each other and by what happens next; published tells the true order."""
    org.register(URL, ["user.lifecycle.create", "user.lifecycle.deactivate"])
    created = uuids(org.emit("user.lifecycle.create", count=2, faults=["reorder"]))
    left = uuids(org.emit("user.lifecycle.deactivate"))
    org.settle()
    assert receiver.uuids == [left, [created[1]], [created[0]]]


def test_a_delayed_event_is_in_the_log_before_it_is_delivered(
    org: Org, receiver: Receiver, clock: Clock
) -> None:
    """A delay holds the delivery back, not the log, and not what happens later."""
    org.register(URL, ["user.session.start"])
    late = uuids(org.emit("user.session.start", delay=60))
    assert types_in_log(org)[-1] == "user.session.start"
    clock.go_on(seconds=30)
    soon = uuids(org.emit("user.session.start"))
    clock.go_on(seconds=30)
    org.deliver_due()
    assert receiver.uuids == [soon]
    clock.go_on(seconds=1)
    org.deliver_due()
    assert receiver.uuids == [soon, late]


def test_a_lost_delivery_is_meant_and_never_comes(org: Org, receiver: Receiver) -> None:
    """The log says that the event was for the hook, and knows of no failure."""
    (hook_id,) = org.register(URL, ["user.session.start"])
    org.emit("user.session.start", faults=["lost"])
    org.settle()
    assert receiver.envelopes == []
    logged = org.log().events[-1]
    assert logged["debugContext"]["debugData"]["targetEventHookIds"] == hook_id
    assert failures_in_log(org) == []
    assert [(each["state"], each["attempts"]) for each in org.deliveries()] == [("lost", [])]


def test_an_event_may_be_in_the_log_only(org: Org, receiver: Receiver) -> None:
    """It was meant for no hook, though one asks for its type."""
    org.register(URL, ["user.session.start"])
    org.emit("user.session.start", faults=["log_only"])
    org.settle()
    assert receiver.envelopes == []
    logged = org.log().events[-1]
    assert logged["eventType"] == "user.session.start"
    assert "targetEventHookIds" not in logged["debugContext"]["debugData"]
    assert org.deliveries() == []


def test_an_answer_that_is_too_late_brings_the_delivery_again(org: Org, receiver: Receiver) -> None:
    """The hook has it twice, under one ``eventId``; what comes next is answered in time."""
    org.register(URL, ["user.session.start"])
    events = uuids(org.emit("user.session.start", count=2, faults=["timeout"]))
    org.settle()
    later = uuids(org.emit("user.session.start"))
    org.settle()
    assert receiver.uuids == [events, events, later]
    first, second, _ = receiver.envelopes
    assert first["eventId"] == second["eventId"]
    attempts = [[each["status"] for each in one["attempts"]] for one in org.deliveries()]
    assert attempts == [[None, 204], [204]]
    assert org.deliveries()[0]["attempts"][0]["error"] == "timed out"
    assert failures_in_log(org) == []


def test_a_hook_that_is_down_gets_nothing(org: Org, receiver: Receiver) -> None:
    """Whatever is in front of it answers 503, twice; only the log has the event, and the failure."""
    org.register(URL, ["user.session.start"])
    org.emit("user.session.start", faults=["unavailable"])
    org.settle()
    assert receiver.envelopes == []
    (delivery,) = org.deliveries()
    assert (delivery["state"], [each["status"] for each in delivery["attempts"]]) == (
        "failed",
        [503, 503],
    )
    assert len(failures_in_log(org)) == 1


@pytest.mark.parametrize(
    ("wrong", "error", "reason"),
    [
        ({"faults": ["dupe"]}, ValueError, "No such fault: dupe"),
        ({"faults": "lost"}, TypeError, re.escape("faults is a list: write ['lost']")),
        ({"count": 0}, ValueError, "at least 1, not 0"),
        ({"count": -1}, ValueError, "at least 1, not -1"),
        ({"delay": -5}, ValueError, "from 0, not -5"),
        ({"tagret": "user:ada"}, TypeError, "no key 'tagret'"),
        ({"target": "ada"}, ValueError, "no short form"),
    ],
)
def test_what_cannot_happen_is_an_error(
    org: Org, wrong: dict[str, Any], error: type[Exception], reason: str
) -> None:
    """A misspelt fault would make a test that tests nothing, and so would a count of none."""
    with pytest.raises(error, match=reason):
        org.emit("user.session.start", **wrong)
    assert org.log().events == []


def test_an_unknown_type_is_warned_of_once_where_it_was_written(org: Org) -> None:
    """The warning points at the line of the caller, however often it happens."""
    with pytest.warns(UnknownEventTypeWarning, match="'user.session.start' meant") as warned:
        events = org.emit("user.session.strat", count=3)
    assert [(each.filename, each.category) for each in warned] == [
        (__file__, UnknownEventTypeWarning)
    ]
    assert len(events) == 3


def test_events_are_the_callers_own(org: Org, receiver: Receiver) -> None:
    """What a test changes in an event that was returned is not changed in what is delivered or logged."""
    org.register(URL, ["user.session.start"])
    one, other = org.emit("user.session.start", count=2, client={"zone": "a"})
    sent = uuids([one, other])
    one["uuid"] = one["client"]["zone"] = "b"
    org.settle()
    assert receiver.uuids == [sent]
    assert uuids(org.log().events[-2:]) == sent
    assert [
        event["client"]["zone"]
        for event in (other, *receiver.envelopes[0]["data"]["events"], *org.log().events[-2:])
    ] == ["a"] * 5
