"""Forgetting and replaying at the same time."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from okta_hooks.inbox import Inbox
from okta_hooks.inbox.selection import Selection
from okta_hooks.inbox.tables import delivery as deliveries
from okta_hooks.inbox.tables import event
from tests.support import DAY, Clock, claim, fan_out, settle

if TYPE_CHECKING:
    from collections.abc import Callable

    from okta_hooks.inbox.intake import NewDelivery

    DeliveryFactory = Callable[..., NewDelivery]

_SECONDS = 3.0
_EVENTS = 300


def test_no_replayed_event_loses_its_body(
    inbox_url: str, delivery: DeliveryFactory, clock: Clock
) -> None:
    """Whatever is open has its body, and neither command ever fails: the one waits for the other."""
    inboxes = [Inbox(inbox_url, clock=clock) for _ in range(4)]
    first = inboxes[0]
    # In another order than the ids of the events, so that who goes by one meets who goes by the other.
    for number in range(_EVENTS):
        clock.now += 7 * DAY if number % 2 else -7 * DAY + 1
        first.intake.store([delivery(f"uuid-{number}", f"uuid-{number}-too")])
    clock.now += 60 * DAY
    give_up_at = time.monotonic() + _SECONDS
    pruned: list[int] = []

    def work() -> None:
        fan_out(first, "a")
        settle(first, claim(first, limit=100))

    def prune() -> None:
        # Few at a time: the stress is to last.
        oldest = clock.now - 30 * DAY - 40 * DAY * (give_up_at - time.monotonic()) / _SECONDS
        pruned.append(inboxes[1].upkeep.prune(bodies_before=oldest, keys_before=0.0))

    def replay() -> None:
        inboxes[2].upkeep.replay(Selection(states=("done",)))

    def replay_one() -> None:
        inboxes[3].upkeep.replay(Selection(states=("done", "claimed")), receiver="a")

    assert failures_of([work, prune, replay, replay_one], give_up_at) == []

    work()
    prune()  # on a busy machine its thread may have had no turn
    assert sum(pruned) > 0
    with first.database.reading() as connection:
        bare = (
            sa.select(sa.func.count())
            .select_from(event)
            .join(deliveries, deliveries.c.id == event.c.delivery_id)
            .where(event.c.state.in_(["pending", "claimed"]), deliveries.c.body.is_(None))
        )
        assert connection.scalar(bare) == 0
    for inbox in inboxes:
        inbox.close()


def failures_of(work: list[Callable[[], object]], give_up_at: float) -> list[BaseException]:
    """Do each of these again and again, all at the same time, until it is time; return what they raised."""
    failures: list[BaseException] = []

    def repeat(do: Callable[[], object]) -> None:
        try:
            while time.monotonic() < give_up_at:
                do()
        except BaseException as error:  # noqa: BLE001 - it is returned
            failures.append(error)

    threads = [threading.Thread(target=repeat, args=(do,)) for do in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures


@pytest.mark.parametrize("inbox_url", ["PostgreSQL"], indirect=True)
def test_pruning_looks_again(
    inbox_url: str, delivery: DeliveryFactory, clock: Clock, engine: sa.Engine
) -> None:
    """What is replayed between the look and the lock keeps its body."""
    inbox = Inbox(inbox_url, clock=clock)
    inbox.intake.store([delivery("a")])
    fan_out(inbox, "a")
    settle(inbox, claim(inbox))
    clock.now += 60 * DAY
    pruned: list[int] = []

    def prune() -> None:
        pruned.append(inbox.upkeep.prune(bodies_before=clock.now, keys_before=clock.now))

    with engine.begin() as connection:
        connection.execute(event.update().values(state="pending"))
        thread = threading.Thread(target=prune)
        thread.start()
        waiting = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        while not connection.scalar(waiting):
            time.sleep(0.01)
    thread.join()

    assert pruned == [0]
    assert inbox.overview.find(Selection())[0].has_body
    inbox.close()
