from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from okta_hooks.exceptions import InboxUnavailable
from okta_hooks.inbox.intake import Stored
from okta_hooks.inbox.selection import Selection
from tests.support import CREATED, DAY, HOUR, NOTHING, claim, fan_out, settle, states

if TYPE_CHECKING:
    from collections.abc import Callable

    from okta_hooks.inbox import Inbox
    from okta_hooks.inbox.intake import NewDelivery
    from tests.support import Clock

    DeliveryFactory = Callable[..., NewDelivery]


def test_trying_to_write_leaves_nothing(inbox: Inbox, engine: sa.Engine) -> None:
    """It finds out whether storing works, and a delivery that nobody sent is not there afterwards."""
    inbox.upkeep.try_writing()

    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM okta_hooks_delivery")) == 0


def test_trying_to_write_tells_that_it_fails(inbox: Inbox, engine: sa.Engine) -> None:
    """A table that takes nothing is found out."""
    inbox.open()
    with engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE okta_hooks_delivery RENAME TO elsewhere"))

    with pytest.raises(InboxUnavailable):
        inbox.upkeep.try_writing()


# Forgetting


def prune(inbox: Inbox, clock: Clock) -> list[int]:
    """Prune as a worker does by default, and return the size of each batch."""
    sizes = []
    while size := inbox.upkeep.prune(
        bodies_before=clock.now - 30 * DAY, keys_before=clock.now - 100 * DAY
    ):
        sizes.append(size)
    return sizes


def test_bodies_go_first_and_keys_later(
    inbox: Inbox, delivery: DeliveryFactory, clock: Clock
) -> None:
    """After 30 days body and receipts are gone, but a duplicate is still known; after 100 days all is gone."""
    inbox.intake.store([delivery("a")])
    fan_out(inbox, "a")
    settle(inbox, claim(inbox))
    clock.now += 30 * DAY
    assert prune(inbox, clock) == []

    clock.now += 1
    assert prune(inbox, clock) == [1]
    assert inbox.intake.store([delivery("a")]) == [Stored(new=0, duplicate=1)]
    (shown,) = inbox.overview.show("a")
    assert (shown.event.has_body, shown.raw) == (False, None)
    assert shown.receipts == ()
    assert inbox.overview.find(Selection(unreceived=True)) == []
    assert inbox.upkeep.replay(Selection(uuids=("a",))) == 0

    clock.now += 70 * DAY
    assert prune(inbox, clock) == [1]
    assert inbox.intake.store([delivery("a")]) == [Stored(new=1, duplicate=0)]


@pytest.mark.parametrize("state", ["pending", "claimed", "dead"])
def test_what_is_not_done_is_kept(
    inbox: Inbox, delivery: DeliveryFactory, clock: Clock, engine: sa.Engine, state: str
) -> None:
    """A delivery with an event that is open or dead keeps everything, however old it is."""
    inbox.intake.store([delivery("a", "b")])
    fan_out(inbox, "a", limit=1 if state == "pending" else 2)
    settle(inbox, claim(inbox, limit=1))
    if state == "dead":
        settle(inbox, claim(inbox), "dead", error="no")
    clock.now += 1000 * DAY

    assert prune(inbox, clock) == []

    assert states(inbox) == {"a": "done", "b": state}
    assert inbox.overview.show("b")[0].raw is not None


def test_pruning_goes_in_small_batches(
    inbox: Inbox, delivery: DeliveryFactory, clock: Clock, engine: sa.Engine
) -> None:
    """No transaction of the worker's prunes more than a few hundred deliveries."""
    inbox.intake.store([delivery(f"uuid-{number}") for number in range(603)])
    while inbox.overview.counts().pending:
        fan_out(inbox)
    clock.now += 101 * DAY

    sizes = prune(inbox, clock)

    assert len(sizes) > 1
    assert inbox.overview.counts() == NOTHING
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM okta_hooks_delivery")) == 0


def test_pruning_dead_letters(varied: Inbox, delivery: DeliveryFactory, clock: Clock) -> None:
    """By hand only: dead letters received before a time go with their receipts, and nothing else goes."""
    varied.intake.store([delivery(None)])
    received = clock.now - 4 * HOUR
    assert varied.upkeep.prune_dead(before=received) == 0
    assert varied.upkeep.prune_dead(before=clock.now, dry_run=True) == 1
    before = states(varied)

    assert varied.upkeep.prune_dead(before=clock.now) == 1

    assert states(varied).keys() == before.keys() - {"dead"}
    assert varied.intake.store([delivery("dead")]) == [Stored(new=1, duplicate=0)]


def test_a_delivery_stays_while_it_has_an_event(
    inbox: Inbox, delivery: DeliveryFactory, clock: Clock
) -> None:
    """A dead letter that came with others takes nothing of theirs along."""
    inbox.intake.store([delivery("a", None)])
    clock.now += 1

    assert inbox.upkeep.prune_dead(before=clock.now) == 1

    assert inbox.overview.show("a")[0].raw == {"uuid": "a", "eventType": CREATED}
