from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from okta_hooks.inbox.overview import Counts
from okta_hooks.inbox.selection import Selection
from okta_hooks.inbox.tables import STATES
from tests.support import CREATED, HOUR, NOTHING, claim, fan_out, settle

if TYPE_CHECKING:
    from collections.abc import Callable

    from okta_hooks.inbox import Inbox
    from okta_hooks.inbox.intake import NewDelivery
    from tests.support import Clock

    DeliveryFactory = Callable[..., NewDelivery]


def test_counts(inbox: Inbox, delivery: DeliveryFactory, clock: Clock) -> None:
    """Events are counted, not receipts; the age is that of the oldest that is open."""
    assert inbox.overview.counts() == NOTHING
    inbox.intake.store([delivery("a", None)])
    clock.now += 10
    inbox.intake.store([delivery("b")])
    clock.now += 5
    fan_out(inbox, "a", "b", limit=1)
    assert inbox.overview.counts() == Counts(
        pending=1, claimed=1, dead=1, oldest_pending_seconds=15.0
    )

    settle(inbox, claim(inbox) + claim(inbox, "b"))

    assert inbox.overview.counts() == Counts(pending=1, done=1, dead=1, oldest_pending_seconds=5.0)


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({}, {"elsewhere", "pending", "claimed", "unwanted", "done", "dead"}),
        ({"uuids": ("done", "dead", "nowhere")}, {"done", "dead"}),
        ({"states": ("done",)}, {"done", "unwanted"}),
        ({"states": ("dead", "pending"), "hook": "okta"}, {"dead", "pending"}),
        ({"hook": "other"}, {"elsewhere"}),
        ({"patterns": ("user.lifecycle.create",)}, {"dead", "elsewhere"}),
        ({"patterns": ("user.lifecycle.*",)}, {"dead", "done", "elsewhere"}),
        ({"patterns": ("user.lifecycle.*", "group.lifecycle.create")}, None),
        ({"patterns": ("USER.lifecycle.*", "User.Lifecycle.Create")}, set()),
        ({"patterns": ("user.authentication.*",)}, {"claimed"}),
        ({"patterns": ("user_lifecycle.*", "%", "user.%.*", "user.lifecycle")}, set()),
        ({"patterns": ("nothing.*", "*"), "states": ("dead",)}, {"dead"}),
        ({"unreceived": True}, {"unwanted"}),
    ],
    ids=lambda value: str(sorted(value) if isinstance(value, set) else value),
)
def test_choosing_events(varied: Inbox, chosen: dict[str, Any], expected: set[str] | None) -> None:
    """Events are chosen by uuid, state, hook and whole segments of their type, all together."""
    if expected is None:
        expected = {"dead", "done", "elsewhere", "pending"}

    assert {row.uuid for row in varied.overview.find(Selection(**chosen))} == expected


def test_choosing_events_by_time(varied: Inbox, clock: Clock) -> None:
    """``since`` is in, ``until`` is out."""
    begin = clock.now - 4 * HOUR

    found = varied.overview.find(Selection(since=begin + HOUR, until=begin + 3 * HOUR))

    assert [row.uuid for row in found] == ["unwanted", "done"]
    assert [row.received_at for row in found] == [begin + 2 * HOUR, begin + HOUR]


def test_events_are_found_newest_first(varied: Inbox) -> None:
    """No more than the limit, the newest first."""
    assert [row.uuid for row in varied.overview.find(Selection(), limit=2)] == [
        "elsewhere",
        "pending",
    ]


def test_showing_an_event(varied: Inbox, clock: Clock) -> None:
    """An event is shown with its receipts and all that Okta sent of it."""
    (shown,) = varied.overview.show("dead")

    assert shown.event.state == "dead"
    assert shown.event.type == CREATED
    assert shown.raw == {"uuid": "dead", "eventType": CREATED}
    assert [(row.receiver, row.state, row.error) for row in shown.receipts] == [
        ("a", "dead", "no"),
        ("b", "done", None),
    ]
    assert varied.overview.show("nowhere") == []


def test_lanes(varied: Inbox, clock: Clock) -> None:
    """Each receiver that was ever connected is listed with its receipts by state."""
    varied.workers.see_receivers([("okta", "b"), ("okta", "a"), ("okta", "idle")])

    found = varied.overview.receivers()

    assert [row.receiver for row in found] == ["a", "b", "idle"]
    assert {row.seen_at for row in found} == {clock.now}
    numbers = [[getattr(row, state) for state in STATES] for row in found]
    assert numbers == [[1, 0, 1, 1], [0, 1, 2, 0], [0, 0, 0, 0]]


def test_what_was_due_at_once_shows_no_time_of_its_own(
    inbox: Inbox, delivery: DeliveryFactory
) -> None:
    """A receipt that was claimed the first time has no next attempt; 0 is shown as none."""
    inbox.intake.store([delivery("a")])
    fan_out(inbox, "a")
    claim(inbox, "a")

    ((shown,),) = (each.receipts for each in inbox.overview.show("a"))

    assert (shown.state, shown.due) == ("claimed", 0.0)


def test_events_by_their_ids(varied: Inbox) -> None:
    """Those that are there are found, in the order of their ids."""
    known = varied.overview.find(Selection())
    newest, oldest = known[0].id, known[-1].id

    found = varied.overview.by_ids([newest, 10**6, oldest])

    assert found == [known[-1], known[0]]


def test_what_is_tried_again(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """Of one receiver, what its last attempt has failed at, the next first; not what waits for its first."""
    inbox.intake.store([delivery("1", "2", "3")])
    fan_out(inbox, "a", "b")
    first, second, _ = claim(inbox)
    settle(inbox, [first], "pending", wait=20.0, error="first")
    settle(inbox, [second], "pending", wait=10.0, error="second")

    found = inbox.receipts.retried("okta", "a", limit=5)

    assert [(one.event_id, one.attempts, one.error) for one in found] == [
        (second.event_id, 1, "second"),
        (first.event_id, 1, "first"),
    ]
    assert len(inbox.receipts.retried("okta", "a", limit=1)) == 1
    assert inbox.receipts.retried("okta", "b", limit=5) == []


def test_when_receivers_were_last_seen(inbox: Inbox, clock: Clock) -> None:
    """Each that was ever connected has the time of the last look."""
    began = clock.now
    inbox.workers.see_receivers([("okta", "a"), ("okta", "b")])
    clock.now += 10
    inbox.workers.see_receivers([("okta", "b")])

    assert inbox.overview.last_seen() == {("okta", "a"): began, ("okta", "b"): began + 10}
