"""Pages of events: whatever is chosen, each event stands on one page, and no page looks at more than it may."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from okta_hooks.inbox.selection import Selection
from tests.support import HOUR, claim, fan_out, settle

if TYPE_CHECKING:
    from collections.abc import Callable

    from okta_hooks.inbox import Inbox
    from okta_hooks.inbox.intake import NewDelivery
    from tests.support import Clock

    DeliveryFactory = Callable[..., NewDelivery]

CHOICES: dict[str, dict[str, Any]] = {
    "all": {},
    "a uuid": {"uuids": ("dead",)},
    "uuids of a hook": {"uuids": ("elsewhere", "dead"), "hook": "other"},
    "a state": {"states": ("dead",)},
    "done": {"states": ("done",)},
    "several states": {"states": ("pending", "claimed", "dead")},
    "a hook": {"hook": "other"},
    "patterns": {"patterns": ("user.lifecycle.*", "group.lifecycle.create")},
    "a state and a pattern": {"states": ("claimed",), "patterns": ("user.authentication.*",)},
    "a receiver": {"receiver": "a"},
    "dead of a receiver": {"receiver": "a", "states": ("dead",)},
    "dead of a receiver and a hook": {"receiver": "a", "states": ("dead",), "hook": "okta"},
    "open of a receiver": {"receiver": "b", "states": ("pending", "claimed")},
    "done of a receiver": {"receiver": "a", "states": ("done", "dead")},
    "unreceived": {"unreceived": True},
}
TIMES: dict[str, tuple[float | None, float | None]] = {
    "ever": (None, None),
    "since": (1.5, None),
    "until": (None, 3.0),
    "between": (0.5, 3.5),
}


@pytest.mark.parametrize("time", TIMES)
def test_it_finds_what_is_meant(varied: Inbox, clock: Clock, time: str) -> None:
    """As a look at everything does; in pages of one, to either side, and with few rows to look at, too."""
    begin = clock.now - 4 * HOUR
    since, until = (None if at is None else begin + at * HOUR for at in TIMES[time])
    for name, values in CHOICES.items():
        chosen = Selection(**values, since=since, until=until)
        expected = [one.uuid for one in varied.overview.find(chosen)]

        assert [one.uuid for one in varied.event_page.find(chosen).events] == expected, name
        for most in (1, 2, 20_000):
            assert down(varied, chosen, most=most) == expected, (name, most)
            assert up(varied, chosen, most=most) == expected, (name, most)
        assert varied.event_page.count(chosen) == (len(expected), False), name


def down(inbox: Inbox, chosen: Selection, **values: Any) -> list[str]:
    """Return the keys of the events of all pages, from the first to the last."""
    page = inbox.event_page.find(chosen, limit=1, **values)
    assert page.newer is None
    found = [one.uuid for one in page.events]
    while page.older is not None:
        assert (page.looked_to is None) is bool(page.events)
        before, page = page, inbox.event_page.find(chosen, limit=1, before=page.older, **values)
        assert page.older != before.older
        found += [one.uuid for one in page.events]
    return found


def up(inbox: Inbox, chosen: Selection, **values: Any) -> list[str]:
    """Return the keys of the events of all pages, from the last to the first, in the order of :func:`down`."""
    page = inbox.event_page.find(chosen, limit=1, after="0.0_0", **values)
    found = [one.uuid for one in page.events]
    while page.newer is not None:
        before, page = page, inbox.event_page.find(chosen, limit=1, after=page.newer, **values)
        assert page.newer != before.newer
        found += [one.uuid for one in page.events]
    return found[::-1]


def test_the_pages_beside(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """A page leads back to the one that led to it, and says so if there is none."""
    inbox.intake.store([delivery(*"abcde")])
    first = inbox.event_page.find(Selection(), limit=2)
    second = inbox.event_page.find(Selection(), limit=2, before=first.older)
    third = inbox.event_page.find(Selection(), limit=2, before=second.older)

    assert [[one.uuid for one in page.events] for page in (first, second, third)] == [
        ["e", "d"],
        ["c", "b"],
        ["a"],
    ]
    assert (first.newer, third.older) == (None, None)
    assert inbox.event_page.find(Selection(), limit=2, after=third.newer).events == second.events
    again = inbox.event_page.find(Selection(), limit=2, after=second.newer)
    assert again == first
    inbox.intake.store([delivery("f")])
    assert inbox.event_page.find(Selection(), limit=2, after=second.newer).newer is not None


def test_how_far_it_looked(inbox: Inbox, delivery: DeliveryFactory, clock: Clock) -> None:
    """Where there is no index, the look ends after so many rows, tells when, and can be gone on with."""
    begin = clock.now
    for number in range(10):
        clock.now = begin + number
        kind = "user.session.start" if number else "group.lifecycle.create"
        inbox.intake.store([delivery(f"{number}", type=kind)])
    rare = Selection(patterns=("group.*",))

    page = inbox.event_page.find(rare, most=6)

    assert (page.events, page.looked_to) == ((), begin + 4)
    assert inbox.event_page.count(rare, most=6) == (0, True)
    page = inbox.event_page.find(rare, before=page.older, most=6)
    assert ([one.uuid for one in page.events], page.older, page.looked_to) == (["0"], None, None)


def test_a_count_ends_somewhere(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """Nobody needs to know how many there are beyond that, and people read that there are more."""
    inbox.intake.store([delivery(*map(str, range(12)))])

    assert inbox.event_page.count(Selection(), up_to=12) == (12, False)
    more = inbox.event_page.count(Selection(), up_to=11)
    assert more == (11, True)
    assert str(inbox.event_page.count(Selection(), up_to=5)) == "5+"


@pytest.mark.parametrize("text", ["", "17", "x_1", "1.0_x", "nan_1", "1.0_99999999999999999999"])
def test_no_place(inbox: Inbox, text: str) -> None:
    """What a URL says may be anything."""
    with pytest.raises(ValueError, match=r"."):
        inbox.event_page.find(Selection(), before=text)


def test_dead_letters_of_a_receiver_with_others(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """With a receiver, a state is that of its receipt: what another has given up is not among them."""
    inbox.intake.store([delivery("x", "y")])
    fan_out(inbox, "a", "b")
    first, second = claim(inbox)
    settle(inbox, [first], "dead")
    settle(inbox, [second])
    settle(inbox, claim(inbox, "b"))

    found = inbox.event_page.find(Selection(states=("dead",), receiver="b"))
    assert found.events == ()
    found = inbox.event_page.find(Selection(states=("done",), receiver="b"))
    assert [one.uuid for one in found.events] == ["y", "x"]
