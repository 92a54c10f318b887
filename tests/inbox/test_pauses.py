from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from okta_hooks.inbox.claims import Settlement
from okta_hooks.inbox.pauses import Pause
from okta_hooks.inbox.selection import Selection
from tests.support import DAY, PATIENCE, claim, fan_out, receipts, settle, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from okta_hooks.inbox import Inbox
    from okta_hooks.inbox.claims import Claim
    from okta_hooks.inbox.intake import NewDelivery
    from tests.support import Clock

    DeliveryFactory = Callable[..., NewDelivery]
    InboxFactory = Callable[..., Inbox]


def test_a_pause_says_who_and_why(inbox: Inbox, clock: Clock) -> None:
    """It says when, too; pausing again changes nothing, and a receiver need not be known."""
    assert inbox.pauses.pause("okta", "a", who="ada", reason="the API\nis down")
    assert not inbox.pauses.pause("okta", "a", who="bob")
    assert inbox.pauses.pause("other", "a", who="bob")

    first, second = inbox.pauses.paused()
    assert first == Pause(
        hook="okta", receiver="a", paused_at=clock.now, who="ada", reason="the API\\x0ais down"
    )
    assert (second.hook, second.who, second.reason) == ("other", "bob", None)
    assert inbox.pauses.is_paused("okta", "a")
    assert inbox.pauses.resume("okta", "a")
    assert not inbox.pauses.resume("okta", "a")
    assert not inbox.pauses.is_paused("okta", "a")
    assert [each.hook for each in inbox.pauses.paused()] == ["other"]


def test_nothing_of_a_paused_receiver_is_claimed(
    inbox: Inbox, delivery: DeliveryFactory, open_inbox: InboxFactory
) -> None:
    """Neither by whom has paused it nor by another process, nor together with a settlement; others go on."""
    other = open_inbox()
    inbox.intake.store([delivery("u", "v", "w")])
    fan_out(inbox, "a", "b")
    held = claim(inbox, limit=1)
    claim(other, worker="you", limit=1)
    inbox.pauses.pause("okta", "a", who="ada")

    assert claim(other, worker="you") == []
    settled = [Settlement(claim=held[0], state="done")]
    counted, _, claims = inbox.claims.settle_and_claim("me", settled, "okta", "a", 5)
    assert (counted, claims) == (settled, [])
    assert len(claim(other, "b", worker="you")) == 3
    assert inbox.claims.with_work([("okta", "a"), ("okta", "b")]) == []
    assert receipts(inbox, "w")["a"] == ("pending", 0)
    other.pauses.resume("okta", "a")
    assert inbox.claims.with_work([("okta", "a")]) == [("okta", "a")]
    assert len(claim(inbox)) == 1


def test_a_pause_is_of_one_hook(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """A receiver of the same name at another hook goes on."""
    inbox.intake.store([delivery("u")])
    fan_out(inbox, "a")
    inbox.pauses.pause("other", "a", who="ada")
    inbox.pauses.pause("okta", "b", who="ada")

    assert len(claim(inbox)) == 1


def test_what_waits_for_a_paused_receiver_is_not_due(
    inbox: Inbox, delivery: DeliveryFactory, clock: Clock
) -> None:
    """Whoever works until nothing is due would never end; what another has in hand still counts."""
    both = [("okta", "a"), ("okta", "b")]
    inbox.intake.store([delivery("u", "v")])
    fan_out(inbox, "a")
    first, second = claim(inbox)
    settle(inbox, [first], "pending", wait=60)
    inbox.pauses.pause("okta", "a", who="ada")

    assert inbox.overview.next_due(both) is None
    assert inbox.receipts.later(both).number == 0
    assert inbox.overview.has_due(both)
    settle(inbox, [second])
    clock.now += 60
    assert not inbox.overview.has_due(both)
    assert inbox.receipts.due(both) == 0
    inbox.pauses.resume("okta", "a")
    assert inbox.receipts.due(both) == 1
    assert inbox.overview.next_due(both) == clock.now


def test_a_pause_outlives_a_replay(
    inbox: Inbox, delivery: DeliveryFactory, open_inbox: InboxFactory
) -> None:
    """And the process that has made it."""
    inbox.intake.store([delivery("u")])
    fan_out(inbox, "a")
    settle(inbox, claim(inbox), "dead", error="no")
    inbox.pauses.pause("okta", "a", who="ada")
    inbox.close()
    other = open_inbox()

    assert other.upkeep.replay(Selection(uuids=("u",))) == 1
    assert receipts(other, "u") == {"a": ("pending", 0)}
    assert claim(other) == []
    assert other.upkeep.replay(Selection(), receiver="a") == 0


def test_receipts_of_a_paused_orphan_are_kept(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """Whoever takes a receiver away for long pauses it: nothing of it becomes a dead letter meanwhile."""
    inbox.intake.store([delivery("u")])
    fan_out(inbox, "a", "b")
    inbox.workers.see_receivers([("okta", "a"), ("okta", "b")])
    inbox.workers.note_unconnected([], 2 * DAY)
    inbox.pauses.pause("okta", "a", who="ada")

    assert [each.receiver for each in inbox.workers.dead_letter_orphans(DAY)] == ["b"]
    inbox.pauses.resume("okta", "a")
    assert [each.receiver for each in inbox.workers.dead_letter_orphans(DAY)] == ["a"]


def test_claims_that_race_a_pause(
    inbox: Inbox, delivery: DeliveryFactory, open_inbox: InboxFactory
) -> None:
    """Two processes claim all the time: what begins when the pause has returned gets nothing."""
    inbox.intake.store([delivery(*(f"u{number}" for number in range(20)))])
    fan_out(inbox, "a")
    is_paused = threading.Event()
    before: list[str] = []
    after: dict[str, list[Claim]] = {}

    def claim_again_and_again(name: str) -> None:
        other = open_inbox()
        other.workers.beat(name, 60)
        while True:
            began_late = is_paused.is_set()
            claims = other.claims.claim(name, "okta", "a", 2)
            if began_late:
                after[name] = claims
                return
            if claims:
                before.append(name)
            other.claims.release(name, claims)

    threads = [threading.Thread(target=claim_again_and_again, args=(name,)) for name in "xy"]
    for thread in threads:
        thread.start()
    until(lambda: {*before} == {"x", "y"})
    inbox.pauses.pause("okta", "a", who="ada")
    is_paused.set()
    for thread in threads:
        thread.join(PATIENCE)

    assert after == {"x": [], "y": []}
