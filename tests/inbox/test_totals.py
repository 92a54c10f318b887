"""The numbers of what is done, which are kept: whatever is done to events and receipts, they are right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from okta_hooks.inbox.selection import Selection
from okta_hooks.inbox.tables import total
from tests.support import claim, fan_out, settle

if TYPE_CHECKING:
    from collections.abc import Callable

    from okta_hooks.inbox import Inbox
    from okta_hooks.inbox.intake import NewDelivery
    from tests.support import Clock

    DeliveryFactory = Callable[..., NewDelivery]

DAY = 24 * 3600.0


def numbers(inbox: Inbox) -> dict[str, int]:
    """Return how many events are done, and receipts by receiver, by the totals; a look at everything finds the same."""
    assert not inbox.totals.recount()
    inbox.workers.see_receivers([("okta", "a"), ("okta", "b")])
    receipts = {row.receiver: row.done for row in inbox.overview.receivers()}
    return {"events": inbox.overview.counts().done, **receipts}


def test_what_is_done(inbox: Inbox, delivery: DeliveryFactory, clock: Clock) -> None:
    """Settled, of no receiver, replayed, dead, pruned: each step is counted once."""
    inbox.intake.store([delivery("x", "y", "z")])
    fan_out(inbox, "a", "b", limit=2)
    fan_out(inbox)
    assert numbers(inbox) == {"events": 1, "a": 0, "b": 0}
    settle(inbox, claim(inbox) + claim(inbox, "b"))
    assert numbers(inbox) == {"events": 3, "a": 2, "b": 2}

    inbox.upkeep.replay(Selection(uuids=("x",)))
    assert numbers(inbox) == {"events": 2, "a": 1, "b": 1}
    inbox.upkeep.replay(Selection(uuids=("y",)), receiver="b")
    assert numbers(inbox) == {"events": 1, "a": 1, "b": 0}
    fan_out(inbox, "a", "b")
    settle(inbox, claim(inbox))
    settle(inbox, claim(inbox, "b"), state="dead")
    assert numbers(inbox) == {"events": 1, "a": 2, "b": 0}

    assert inbox.upkeep.prune_dead(before=clock.now + 1) == 2
    assert numbers(inbox) == {"events": 1, "a": 0, "b": 0}
    clock.now += 101 * DAY
    while inbox.upkeep.prune(bodies_before=clock.now - 30 * DAY, keys_before=clock.now - 100 * DAY):
        pass
    assert numbers(inbox) == {"events": 0, "a": 0, "b": 0}


def test_receipts_go_with_the_body(inbox: Inbox, delivery: DeliveryFactory, clock: Clock) -> None:
    """What is forgotten is not counted any more, but that its event was handled stays so."""
    inbox.intake.store([delivery("x")])
    fan_out(inbox, "a")
    settle(inbox, claim(inbox))
    clock.now += 31 * DAY
    inbox.upkeep.prune(bodies_before=clock.now - 30 * DAY, keys_before=clock.now - 100 * DAY)

    assert numbers(inbox) == {"events": 1, "a": 0, "b": 0}


def test_attempts(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """Each counts by what came of it, with how long it took; one without a call has no duration."""
    inbox.intake.store([delivery("w", "x", "y", "z")])
    fan_out(inbox, "a")
    w, x, y, z = claim(inbox)
    settle(inbox, [w], seconds=0.01)
    settle(inbox, [x], state="pending", seconds=0.2)
    settle(inbox, [y], state="dead", seconds=1000.0, error="no")
    settle(inbox, [z], state="dead", error="it cannot be read")

    (found,) = inbox.totals.attempts()

    assert (found.hook, found.receiver) == ("okta", "a")
    assert (found.done, found.retried, found.dead) == (1, 1, 2)
    assert found.seconds == pytest.approx(1000.21)
    assert found.calls == 3
    assert found.within == (1, 1, 1, 2, 2, 2, 2, 2, 2)


def test_workers_that_are_gone(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """What they have counted stays, and their rows do not: each process would leave some for ever."""
    inbox.intake.store([delivery("x", "y")])
    fan_out(inbox, "a")
    settle(inbox, claim(inbox, limit=1), seconds=0.5)
    inbox.totals.fold()
    assert parts(inbox) == {"me"}

    inbox.workers.leave("me")
    inbox.totals.fold()

    assert parts(inbox) == {""}
    assert numbers(inbox) == {"events": 1, "a": 1, "b": 0}
    (found,) = inbox.totals.attempts()
    assert (found.done, found.seconds, found.within[-1]) == (1, 0.5, 1)


def test_another_version_has_not_counted(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """One that does not know of the totals leaves them wrong; a recount puts them right, and attempts stay."""
    inbox.intake.store([delivery("x", "y")])
    fan_out(inbox, "a")
    settle(inbox, claim(inbox), seconds=0.5)
    with inbox.database.transaction() as connection:
        connection.execute(sa.update(total).values(events=7, receipts=0))

    assert inbox.totals.recount()

    assert numbers(inbox) == {"events": 2, "a": 2, "b": 0}
    assert inbox.totals.attempts()[0].done == 2


def parts(inbox: Inbox) -> set[str]:
    with inbox.database.reading() as connection:
        return set(connection.scalars(sa.select(total.c.part)))
