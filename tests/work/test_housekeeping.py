from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

from okta_hooks import signals
from okta_hooks.inbox.selection import Selection
from okta_hooks.work.housekeeping import Housekeeping, Quota
from tests.support import DAY, Calls, Clock, receipts, states, until

from .support import Heard, await_

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    import pytest
    from blinker import NamedSignal

    from okta_hooks.inbox import Inbox
    from okta_hooks.inbox.intake import NewDelivery
    from okta_hooks.inbox.workers import DeadReceipt

    from .support import System


def test_a_disconnected_receiver_is_given_up_after_a_day(
    system: System,
    clock: Clock,
    finished: threading.Semaphore,
    caplog: pytest.LogCaptureFixture,
    hear: Callable[[NamedSignal], Calls],
) -> None:
    """Its receipts wait for it to come back; after 24 h they are dead letters that say why.

    Nothing is given up in the first ten minutes of a worker.
    """
    gone = Heard(LookupError())
    system.on("*", name="gone")(gone)
    system.on("*", name="stays")(Heard())
    dead = hear(signals.event_dead)
    system.store("a")
    system.drain()
    system.okta.signal("*").disconnect(gone)
    system.inbox.workers.note_unconnected([("okta", "stays")], DAY)
    worker = system.make_worker()
    worker.start()
    until(worker.lease.holds)
    system.store("b")
    await_(finished)
    assert receipts(system.inbox, "a")["gone"] == ("pending", 1)

    clock.now += 600
    worker.wake()
    await_(finished)

    assert receipts(system.inbox, "a") == {"gone": ("dead", 1), "stays": ("done", 1)}
    assert states(system.inbox)["a"] == "dead"
    assert [(row["receiver"], row["event"].uuid) for row in dead.arguments] == [("gone", "a")]
    assert caplog.text.count("its receiver has not been connected for a day") == 1


def test_the_worker_prunes(system: System, clock: Clock) -> None:
    """Retention is kept by the worker itself, with nobody calling."""
    system.on("*")(Heard())
    system.store("a")
    system.drain()
    clock.now += 5 * DAY + 1

    worker = system.make_worker(retention=timedelta(days=5))
    worker.start()
    until(worker.lease.holds)
    clock.now += 600
    worker.wake()

    until(lambda: not system.inbox.overview.find(Selection())[0].has_body)
    assert states(system.inbox) == {"a": "done"}


def test_a_clock_that_is_set_while_it_cleans_deletes_nothing(
    system: System, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is pruned goes by the time that was trusted when it began."""
    system.on("*")(Heard())
    system.store("a")
    system.drain()
    passed = Clock()
    inbox = system.inbox
    inbox.elapsed = passed
    housekeeping = Housekeeping(inbox, timedelta(days=30))
    passed.now += 601
    clock.now += 601
    give_up = inbox.workers.dead_letter_orphans

    def give_up_slowly(seconds: float) -> list[DeadReceipt]:
        clock.now += 400 * DAY
        return give_up(seconds)

    monkeypatch.setattr(inbox.workers, "dead_letter_orphans", give_up_slowly)

    assert housekeeping.clean() == []

    assert [found.has_body for found in inbox.overview.find(Selection())] == [True]


def test_keys_are_kept_as_long_as_bodies(system: System, clock: Clock) -> None:
    """A retention of more than 100 days holds for the keys, too."""
    system.on("*")(Heard())
    system.store("a")
    worker = system.make_worker(retention=timedelta(days=200))
    worker.drain()

    clock.now += 200 * DAY
    assert worker.housekeeping.prune() == 0
    clock.now += 1
    assert worker.housekeeping.prune() == 1
    assert states(system.inbox) == {}


def test_the_quota(
    inbox: Inbox,
    delivery: Callable[..., NewDelivery],
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each level is told once, by what the hook with the most has had in 24 hours; and again the next day."""
    monkeypatch.setattr("okta_hooks.work.housekeeping.MOST_EVENTS_A_DAY", 10)
    house = Housekeeping(inbox, timedelta(days=30))

    def store(number: int, hook: str = "okta", via: str = "hook") -> Quota | None:
        inbox.intake.store([delivery(*(str(uuid4()) for _ in range(number)), hook=hook, via=via)])
        clock.now += 601
        return house.quota()

    assert store(6) is None
    assert store(6, hook="other") is None
    assert store(100, via="backfill") is None
    assert store(1) == Quota(7, 10)
    assert store(1) is None
    assert store(4) == Quota(12, 10)
    clock.now += 24 * 3600
    assert store(1) is None
    assert store(9) == Quota(10, 10)


def test_hours_of_attempts_are_written_down(system: System, clock: Clock) -> None:
    """As soon as another hour has begun, so that what is attempted from then on counts in that one."""
    system.on("*")(Heard())
    passed = Clock()
    inbox = system.inbox
    inbox.elapsed = passed
    house = Housekeeping(inbox, timedelta(days=30))
    begin = clock.now
    for seconds in (3500, 105, 60):
        clock.now += seconds
        passed.now += seconds
        system.store(f"{seconds}")
        house.clean()
        system.drain()

    assert [one.handled for one in inbox.attempt_hours.chart(begin, clock.now)] == [1, 2]
