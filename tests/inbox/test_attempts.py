"""The timeline of an event: each attempt that failed, the one that succeeded, and when the next is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from okta_hooks.inbox.attempts import Attempt, ReceiptNow, Timeline
from okta_hooks.inbox.claims import Settlement
from okta_hooks.inbox.dead_letters import DeadChoice
from okta_hooks.inbox.selection import Selection
from okta_hooks.inbox.tables import ATTEMPTS_KEPT, attempt
from tests.support import DAY, claim, fan_out, settle, take_over

if TYPE_CHECKING:
    from collections.abc import Callable

    from okta_hooks.inbox import Inbox
    from okta_hooks.inbox.intake import NewDelivery
    from tests.support import Clock

    DeliveryFactory = Callable[..., NewDelivery]


def timeline(inbox: Inbox, uuid: str = "x") -> Timeline:
    """Return that of the event of a uuid."""
    (found,) = inbox.overview.find(Selection(uuids=(uuid,)))
    made = inbox.attempts.timeline(found.id)
    assert made is not None
    return made


def rows(inbox: Inbox) -> int:
    """Return how many failed attempts are kept."""
    with inbox.database.reading() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(attempt)) or 0


def test_attempts(inbox: Inbox, delivery: DeliveryFactory, clock: Clock) -> None:
    """In the order of time, with what came of each and how long it took; one that succeeds costs no row."""
    begin = clock.now
    inbox.intake.store([delivery("x")])
    fan_out(inbox, "a", "b", "c", "d")
    clock.now += 1
    settle(inbox, claim(inbox), "pending", wait=2.0, error="first\nline", seconds=0.25)
    clock.now += 2
    settle(inbox, claim(inbox), seconds=0.5)
    settle(inbox, claim(inbox, "b"), "dead", error="it cannot be read")
    settle(inbox, claim(inbox, "c"), "pending", wait=60.0, error="no", seconds=0.125)

    found = timeline(inbox)

    assert found.attempts == (
        made("a", 1, "pending", begin + 1, 0.25, "first\\x0aline"),
        made("a", 2, "done", begin + 3, 0.5, None),
        made("b", 1, "dead", begin + 3, None, "it cannot be read"),
        made("c", 1, "pending", begin + 3, 0.125, "no"),
    )
    assert (found.received_at, found.via, found.delivery) == (begin, "hook", "delivery-1")
    next_at = {one.receiver: one.next_at for one in found.receipts}
    assert next_at == {"a": None, "b": None, "c": begin + 63, "d": begin}
    assert found.receipts[0] == ReceiptNow(
        receiver="a",
        state="done",
        attempts=2,
        deaths=0,
        next_at=None,
        worker=None,
        error=None,
        ended_at=begin + 3,
        seconds=0.5,
    )
    assert rows(inbox) == 3


def made(*values: Any) -> Attempt:
    """Return an attempt of these values."""
    names = ("receiver", "number", "outcome", "ended_at", "seconds", "error")
    return Attempt(**dict(zip(names, values, strict=True)))


def test_who_has_it_in_hand(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """And how many processes have died with it: they have ended no attempt."""
    inbox.intake.store([delivery("x")])
    fan_out(inbox, "a")
    claim(inbox)
    (one,) = timeline(inbox).receipts
    assert (one.state, one.worker, one.deaths, one.next_at) == ("claimed", "me", 0, None)

    take_over(inbox)
    (one,) = timeline(inbox).receipts
    assert (one.state, one.worker, one.deaths) == ("pending", None, 1)
    claim(inbox)
    (one,) = timeline(inbox).receipts
    assert one.deaths == 1
    assert timeline(inbox).attempts == ()


def test_an_attempt_that_does_not_count(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """Where the receipt has been taken away, nothing is written down; both ways to settle do the same."""
    inbox.intake.store([delivery("x", "y")])
    fan_out(inbox, "a")
    lost, kept = claim(inbox)
    inbox.claims.take_back("me", "okta", "a", keep=[kept])
    failed = [Settlement(claim=one, state="pending", error="no") for one in (lost, kept)]

    counted, *_ = inbox.claims.settle_and_claim("me", failed, "okta", "a", 0)

    assert [one.claim for one in counted] == [kept]
    settle(inbox, [lost], "pending", error="no")
    assert (timeline(inbox).attempts, len(timeline(inbox, "y").attempts)) == ((), 1)


def test_the_last_ones_are_kept(inbox: Inbox, delivery: DeliveryFactory, clock: Clock) -> None:
    """However often a receiver fails, also after a replay, an event has so many rows of it and no more."""
    inbox.intake.store([delivery("x")])
    fan_out(inbox, "a")
    for number in range(ATTEMPTS_KEPT + 2):
        clock.now += 1
        is_last = number == ATTEMPTS_KEPT + 1
        state = "dead" if is_last else "pending"
        settle(inbox, claim(inbox), state, error=str(number), seconds=0.5)
    numbers = [one.number for one in timeline(inbox).attempts]
    assert numbers == list(range(3, ATTEMPTS_KEPT + 3))

    inbox.upkeep.replay(Selection(uuids=("x",)))
    (one,) = timeline(inbox).receipts
    assert (one.attempts, one.ended_at, one.seconds) == (0, None, None)
    clock.now += 1
    settle(inbox, claim(inbox), "pending", error="again")

    numbers = [one.number for one in timeline(inbox).attempts]
    assert numbers == [*range(3, ATTEMPTS_KEPT + 1), ATTEMPTS_KEPT + 2, 1]
    assert timeline(inbox).receipts[0].attempts == 1


@pytest.mark.parametrize("way", ["retention", "dead", "group"])
def test_they_go_with_the_event(
    inbox: Inbox, delivery: DeliveryFactory, clock: Clock, way: str
) -> None:
    """With its body, or when a dead letter is pruned; those of others stay."""
    inbox.intake.store([delivery("x")])
    fan_out(inbox, "a")
    settle(inbox, claim(inbox), "pending", error="no")
    clock.now += 1
    settle(inbox, claim(inbox), "done" if way == "retention" else "dead", error="no")
    clock.now += 20 * DAY
    inbox.intake.store([delivery("y")])
    fan_out(inbox, "a")
    settle(inbox, claim(inbox), "dead", error="no")
    (x,) = inbox.overview.find(Selection(uuids=("x",)))

    if way == "retention":
        inbox.upkeep.prune(bodies_before=clock.now - DAY, keys_before=0.0)
    elif way == "dead":
        inbox.upkeep.prune_dead(before=clock.now - DAY)
    else:
        inbox.dead_letters.prune(DeadChoice(hook="okta", receiver="a", uuids=("x",)))

    assert rows(inbox) == 1
    found = inbox.attempts.timeline(x.id)
    assert found is None or (found.attempts, found.receipts) == ((), ())
    assert (found is None) is (way != "retention")
