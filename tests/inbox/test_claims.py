from __future__ import annotations

import os
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from okta_hooks.inbox.claims import Settlement
from okta_hooks.inbox.intake import Stored
from okta_hooks.inbox.selection import Selection
from tests.support import DAY, claim, counts, fan_out, receipts, settle, states, take_over

if TYPE_CHECKING:
    from collections.abc import Callable

    from okta_hooks.inbox import Inbox
    from okta_hooks.inbox.intake import NewDelivery
    from tests.support import Clock

    OpenInbox = Callable[..., Inbox]
    DeliveryFactory = Callable[..., NewDelivery]


#: How many events two workers settle at once; the environment may ask for 10,000.
MANY = int(os.environ.get("INBOX_TEST_EVENTS", "500"))


def test_what_has_work(inbox: Inbox, delivery: DeliveryFactory, clock: Clock) -> None:
    """Of the receivers that are asked for, those for which something is due now."""
    inbox.intake.store([delivery("x")])
    fan_out(inbox, "a", "b", "c")
    settle(inbox, claim(inbox, "b"))
    settle(inbox, claim(inbox, "c"), "pending", wait=10)
    asked = [("okta", name) for name in "abc"] + [("other", "a")]

    assert inbox.claims.with_work(asked) == [("okta", "a")]
    assert inbox.claims.with_work([]) == []
    clock.now += 10
    assert inbox.claims.with_work(asked) == [("okta", "a"), ("okta", "c")]
    many = [("okta", f"r{number}") for number in range(6000)] + asked
    assert inbox.claims.with_work(many) == [("okta", "a"), ("okta", "c")]


def test_what_is_due_at_once_is_due_whatever_the_clock_says(
    inbox: Inbox, delivery: DeliveryFactory, clock: Clock
) -> None:
    """An event that is stored and assigned while the clock is wrong is not kept waiting by that."""
    now = clock.now
    for wrong in (now + 400 * DAY, 0.0):
        clock.now = wrong
        inbox.intake.store([delivery(f"at {wrong}")])
        fan_out(inbox, "a")
    clock.now = 0.0

    assert len(inbox.claims.with_work([("okta", "a")])) == 1
    assert len(claim(inbox)) == 2


def test_retries_and_new_receipts_take_turns(
    inbox: Inbox, delivery: DeliveryFactory, clock: Clock
) -> None:
    """Retries that are due can go first, and what has not been tried follows if there are none."""
    inbox.intake.store([delivery("a", "b", "c")])
    fan_out(inbox, "r")
    settle(inbox, claim(inbox, "r", limit=1), "pending", wait=1)
    clock.now += 1

    (retry,) = inbox.claims.claim("me", "okta", "r", 1, retries_first=True)
    (new,) = inbox.claims.claim("me", "okta", "r", 1, retries_first=True)
    (other,) = claim(inbox, "r", worker="me", limit=1)

    assert [found.ordinal for found in (retry, new, other)] == [0, 1, 2]
    assert (retry.attempts, new.attempts) == (1, 0)


def test_a_delivery_of_more_events_than_one_statement_holds(
    inbox: Inbox, delivery: DeliveryFactory
) -> None:
    """Okta names no most: all are stored, once, whatever part of them was there before."""
    uuids = [f"uuid-{number}" for number in range(2500)]
    assert inbox.intake.store([delivery(*uuids[1200:1300])]) == [Stored(new=100, duplicate=0)]

    assert inbox.intake.store([delivery(*uuids)]) == [Stored(new=2400, duplicate=100)]
    assert inbox.overview.counts().pending == 2500


def test_settling_and_claiming_at_once(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """What was taken over does not count, and the next that are due are claimed all the same."""
    inbox.intake.store([delivery("a", "b", "c", "d")])
    fan_out(inbox, "lane")
    first, second = claim(inbox, "lane", limit=2)
    taken_over = Settlement(claim=replace(second, claims=second.claims + 1), state="done")
    done = Settlement(claim=first, state="done")

    counted, closed, claims = inbox.claims.settle_and_claim(
        "me", [done, taken_over], "okta", "lane", 1
    )

    assert counted == [done]
    assert closed == {first.event_id: "done"}
    assert [(claim.ordinal, claim.claims) for claim in claims] == [(2, 1)]


def test_a_claim_takes_the_oldest_that_are_due(
    inbox: Inbox, delivery: DeliveryFactory, clock: Clock
) -> None:
    """At most as many as asked for, of this lane alone, by the time they are due."""
    inbox.intake.store([delivery(*"abcd")])
    fan_out(inbox, "a", "b")
    first = claim(inbox, limit=1)
    settle(inbox, first, "pending", wait=10)

    assert [found.ordinal for found in claim(inbox, limit=2)] == [1, 2]
    assert [found.ordinal for found in claim(inbox, limit=20)] == [3]
    assert claim(inbox) == []
    clock.now += 10
    (again,) = claim(inbox)
    assert (again.event_id, again.attempts, again.claims) == (first[0].event_id, 1, 2)
    assert len(claim(inbox, "b")) == 4


def test_the_next_attempt_is_that_of_the_lanes_that_count(
    inbox: Inbox, delivery: DeliveryFactory, clock: Clock
) -> None:
    """Others may have an earlier one; without any lane there is none."""
    inbox.intake.store([delivery("x")])
    fan_out(inbox, "a", "b")
    settle(inbox, claim(inbox, "a"), "pending", wait=10)
    settle(inbox, claim(inbox, "b"), "pending", wait=20)

    lanes = [("okta", "a"), ("okta", "b")]
    assert inbox.overview.next_due(lanes) == clock.now + 10
    assert inbox.overview.next_due(lanes[1:]) == clock.now + 20
    assert inbox.overview.next_due([("other", "a")]) is None
    assert inbox.overview.next_due([]) is None


def test_what_died_in_somebodys_hands_is_taken_alone(
    inbox: Inbox, delivery: DeliveryFactory
) -> None:
    """A receipt that was claimed when its process died may be what killed it: it is claimed by itself."""
    inbox.intake.store([delivery(*"abcd")])
    fan_out(inbox, "a")
    settle(inbox, claim(inbox, limit=1))
    assert len(claim(inbox, limit=2)) == 2
    take_over(inbox)

    assert [found.ordinal for found in claim(inbox)] == [1]
    assert [found.ordinal for found in claim(inbox)] == [2]
    assert [found.ordinal for found in claim(inbox)] == [3]


def test_what_came_before_a_suspect_is_taken_without_it(
    inbox: Inbox, delivery: DeliveryFactory, clock: Clock
) -> None:
    """A suspect that is not the oldest ends the batch before itself."""
    inbox.intake.store([delivery("a", "b", "c")])
    fan_out(inbox, "a")
    a, b, c = claim(inbox)
    inbox.claims.release("me", [a, c])
    assert take_over(inbox) == []

    assert claim(inbox) == [a]
    assert [found.event_id for found in claim(inbox)] == [b.event_id]
    assert claim(inbox) == [c]


def test_an_event_is_done_when_its_last_receipt_is(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """Settling closes an event, and says so, only when no receipt of it is open."""
    inbox.intake.store([delivery("a")])
    fan_out(inbox, "a", "b")
    one, other = claim(inbox), claim(inbox, "b")

    assert settle(inbox, one) == {}
    assert states(inbox) == {"a": "claimed"}
    assert settle(inbox, other) == {one[0].event_id: "done"}
    assert states(inbox) == {"a": "done"}
    assert receipts(inbox, "a") == {"a": ("done", 1), "b": ("done", 1)}


def test_an_event_with_a_dead_receipt_is_dead_in_the_end(
    inbox: Inbox, delivery: DeliveryFactory
) -> None:
    """It is dead when none is open; until then it is claimed. Its error is kept as text that any database takes."""
    inbox.intake.store([delivery("a")])
    fan_out(inbox, "a", "b")

    assert settle(inbox, claim(inbox), "dead", error="LookupError: \0 \ud83d Zoë") == {}
    assert settle(inbox, claim(inbox, "b")) == {1: "dead"}
    assert [row.error for row in inbox.overview.show("a")[0].receipts] == [
        "LookupError: \\x00 \\ud83d Zoë",
        None,
    ]


def test_a_claim_that_was_taken_over_does_not_count(
    inbox: Inbox, delivery: DeliveryFactory
) -> None:
    """The fence: what was freed, and perhaps claimed again, is not settled by who had it before."""
    inbox.intake.store([delivery("a", "b")])
    fan_out(inbox, "a")
    stale = claim(inbox)
    take_over(inbox)
    done = [Settlement(claim=found, state="done") for found in stale]

    assert inbox.claims.settle("me", done) == ([], {})
    (fresh,) = claim(inbox)
    assert inbox.claims.settle("me", done) == ([], {})
    assert inbox.claims.settle("another", [Settlement(claim=fresh, state="done")]) == ([], {})
    inbox.claims.release("me", stale)
    assert receipts(inbox, "a") == {"a": ("claimed", 0)}
    assert settle(inbox, [fresh]) == {fresh.event_id: "done"}


def test_what_is_given_back_was_not_attempted(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """A released receipt is as if it had never been claimed: it is no suspect."""
    inbox.intake.store([delivery("a", "b")])
    fan_out(inbox, "a")
    claims = claim(inbox)

    inbox.claims.release("me", claims)

    assert claim(inbox) == claims


def test_taking_back_what_is_not_known_to_be_in_hand(
    inbox: Inbox, delivery: DeliveryFactory
) -> None:
    """After a claim whose commit was in doubt a worker gives back all but what it knows of."""
    inbox.intake.store([delivery("a", "b")])
    fan_out(inbox, "a", "b")
    known, unknown = claim(inbox)
    theirs = claim(inbox, worker="another") + claim(inbox, "b")
    assert len(theirs) == 2

    inbox.claims.take_back("me", "okta", "a", keep=[known])

    assert claim(inbox) == [unknown]


# Several at once


def test_two_workers_settle_the_last_receipts_of_the_same_events(
    open_inbox: OpenInbox, delivery: DeliveryFactory
) -> None:
    """Neither sees the other's receipt as open: after each of several rounds every event is done."""
    one, other = open_inbox(), open_inbox()
    for begin in range(0, MANY, 100):
        one.intake.store([delivery(*(f"uuid-{number}" for number in range(begin, begin + 100)))])
    closed: list[int] = []
    failures: list[BaseException] = []

    def work(inbox: Inbox, receiver: str) -> None:
        try:
            while claims := claim(inbox, receiver, worker=receiver):
                made = [Settlement(claim=found, state="done") for found in claims]
                counted, done = inbox.claims.settle(receiver, made)
                assert len(counted) == len(claims)
                closed.extend(done)
        except BaseException as error:  # noqa: BLE001 - it is raised in the test
            failures.append(error)

    for _ in range(3):
        while one.assignments.unassigned(["okta"], limit=1):
            fan_out(one, "a", "b")
        closed.clear()
        threads = [
            threading.Thread(target=work, args=arguments)
            for arguments in ((one, "a"), (other, "b"))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert failures == []
        assert counts(one) == {"done": MANY}
        assert len(closed) == len(set(closed)) == MANY
        assert one.upkeep.replay(Selection(states=("done",))) == MANY


def test_many_claim_from_one_lane(open_inbox: OpenInbox, delivery: DeliveryFactory) -> None:
    """No receipt is in two hands at once, and none is left over."""
    first = open_inbox()
    first.intake.store([delivery(*(f"uuid-{number}" for number in range(200)))])
    fan_out(first, "a")
    taken: list[int] = []
    barrier = threading.Barrier(4)

    def work(inbox: Inbox, worker: str) -> None:
        inbox.open()
        barrier.wait()
        while claims := claim(inbox, worker=worker, limit=7):
            taken.extend(found.event_id for found in claims)

    threads = [
        threading.Thread(target=work, args=(open_inbox(), f"worker-{number}"))
        for number in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(taken) == len(set(taken)) == 200


def test_events_of_one_delivery_are_claimed_in_okta_s_order(
    inbox: Inbox, delivery: DeliveryFactory
) -> None:
    """What came together goes to a receiver in the order in which Okta put it, whatever the uuids."""
    inbox.intake.store([delivery("c", "a", "d", "b")])
    fan_out(inbox, "a")

    assert [item.ordinal for item in claim(inbox)] == [0, 1, 2, 3]
