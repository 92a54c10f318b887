from __future__ import annotations

from typing import TYPE_CHECKING

from okta_hooks.inbox.selection import Selection
from tests.support import claim, counts, fan_out, receipts, settle, states

if TYPE_CHECKING:
    from collections.abc import Callable

    from okta_hooks.inbox import Inbox
    from okta_hooks.inbox.intake import NewDelivery

    DeliveryFactory = Callable[..., NewDelivery]


def test_replaying_a_dead_event(varied: Inbox) -> None:
    """It gets its dead receipts back, as if never tried; the receiver that is done is left alone."""
    assert varied.upkeep.replay(Selection(uuids=("dead",))) == 1

    assert states(varied)["dead"] == "claimed"
    assert receipts(varied, "dead") == {"a": ("pending", 0), "b": ("done", 1)}
    assert varied.overview.show("dead")[0].receipts[0].error is None


def test_replaying_a_done_event(varied: Inbox) -> None:
    """It forgets all its receipts and begins anew, with whoever is connected then."""
    assert varied.upkeep.replay(Selection(uuids=("done",))) == 1

    assert states(varied)["done"] == "pending"
    assert receipts(varied, "done") == {}
    fan_out(varied, "new")
    assert receipts(varied, "done") == {"new": ("pending", 0)}


def test_replaying_an_unreadable_event(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """It is read again: a newer version may be able to."""
    inbox.intake.store([delivery(None)])

    assert inbox.upkeep.replay(Selection(states=("dead",))) == 1

    assert counts(inbox) == {"pending": 1}
    assert inbox.overview.find(Selection())[0].reason is None


def test_replaying_what_nobody_received(varied: Inbox) -> None:
    """``unreceived`` finds the done events that no receiver was connected for, and only those."""
    assert varied.upkeep.replay(Selection(unreceived=True)) == 1

    assert states(varied)["unwanted"] == "pending"
    assert states(varied)["done"] == "done"


def test_what_is_open_is_not_replayed(varied: Inbox) -> None:
    """Pending and claimed events are on their way already."""
    before = states(varied)

    assert varied.upkeep.replay(Selection(uuids=("pending", "claimed"))) == 0

    assert states(varied) == before


def test_replaying_for_one_receiver(varied: Inbox) -> None:
    """Its receipt is reset, done or dead; no other is, and an event that it never had is left alone."""
    assert varied.upkeep.replay(Selection(hook="okta"), receiver="b") == 2

    assert receipts(varied, "done") == {"a": ("done", 1), "b": ("pending", 0)}
    assert receipts(varied, "dead") == {"a": ("dead", 1), "b": ("pending", 0)}
    assert receipts(varied, "claimed")["b"] == ("claimed", 0)
    assert states(varied)["unwanted"] == "done"
    settle(varied, claim(varied, "b"))
    assert (states(varied)["done"], states(varied)["dead"]) == ("done", "dead")


def test_replaying_for_one_receiver_while_others_are_at_work(varied: Inbox) -> None:
    """A receipt of an event that another receiver has still open can be reset, too."""
    (open_one,) = claim(varied)
    settle(varied, [open_one])

    assert varied.upkeep.replay(Selection(uuids=("claimed",)), receiver="a") == 1

    assert receipts(varied, "claimed") == {"a": ("pending", 0), "b": ("claimed", 0)}


def test_a_dry_run_only_counts(varied: Inbox) -> None:
    """The number is that of a real run, and nothing changes."""
    before = states(varied)

    assert varied.upkeep.replay(Selection(states=("done",)), dry_run=True) == 2
    assert varied.upkeep.replay(Selection(), receiver="b", dry_run=True) == 2

    assert states(varied) == before
    assert receipts(varied, "done") == {"a": ("done", 1), "b": ("done", 1)}


def test_replaying_more_than_a_batch(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """Replay goes in batches, to hold no lock for long, and reaches all."""
    inbox.intake.store([delivery(*(f"uuid-{number}" for number in range(1203)))])
    while inbox.overview.counts().pending:
        fan_out(inbox)

    assert inbox.upkeep.replay(Selection(states=("done",)), dry_run=True) == 1203
    assert inbox.upkeep.replay(Selection(states=("done",))) == 1203
    assert counts(inbox) == {"pending": 1203}
