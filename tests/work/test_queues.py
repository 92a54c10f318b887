"""A worker that runs only the receivers of some queues, and what becomes of the others' receipts."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING

from flask import Flask

from okta_hooks import EventHook, RetryLater
from okta_hooks.inbox import Inbox
from okta_hooks.work.lease import FileLease
from okta_hooks.work.worker import Worker
from tests.support import HOUR, PATIENCE, fan_out, receipts, until

from .support import Heard

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

    from okta_hooks.inbox.intake import NewDelivery
    from tests.support import Clock

    from .support import System


def test_a_drain_leaves_the_others_pending(system: System) -> None:
    """It runs the receivers of its queues; those of others, or of none, have their receipts, and wait."""
    slow, slower, fast, none = Heard(), Heard(), Heard(), Heard()
    system.on("*", name="slow", queue="slow")(slow)
    system.on("*", name="slower", queue="slower")(slower)
    system.on("*", name="fast", queue="fast")(fast)
    system.on("*", name="none")(none)
    system.store("a", "b")
    worker = system.make_worker()
    worker.queues = frozenset({"slow", "slower"})

    assert worker.drain() == 4

    assert slow.uuids == slower.uuids == ["a", "b"]
    assert fast.uuids == none.uuids == []
    assert receipts(system.inbox, "a") == {
        "slow": ("done", 1),
        "slower": ("done", 1),
        "fast": ("pending", 0),
        "none": ("pending", 0),
    }
    assert system.drain() == 4
    assert fast.uuids == none.uuids == ["a", "b"]


def test_a_hook_without_receivers_of_its_queues(system: System) -> None:
    """Its events get their receipts, too: another worker need only run them."""
    fast = system.on("*", name="fast", queue="fast")(Heard())
    system.store("a")
    worker = system.make_worker()
    worker.queues = frozenset({"slow"})

    assert worker.drain() == 0

    assert receipts(system.inbox, "a") == {"fast": ("pending", 0)}
    assert fast.uuids == []


def test_a_day_of_one_queue(system: System, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it runs, the others count as connected: only of who is gone are the receipts dead letters."""
    monkeypatch.setattr("okta_hooks.work.housekeeping._SEEN_SECONDS", HOUR)
    slow, fast, none, gone = Heard(), Heard(), Heard(), Heard()
    system.on("*", name="slow", queue="slow")(slow)
    system.on("*", name="fast", queue="fast")(fast)
    system.on("*", name="none")(none)
    system.on("*", name="gone", queue="fast")(gone)
    system.store("a")
    worker = system.make_worker()
    worker.queues = frozenset({"slow"})
    worker.drain()
    system.okta.signal("*").disconnect(gone)
    system.store("b")
    worker = system.make_worker()
    worker.queues = frozenset({"slow"})
    worker.start()
    until(lambda: slow.uuids == ["a", "b"])

    for _ in range(15):
        clock.now += 2 * HOUR
        worker.wake()
        until(lambda: seen_at(system.inbox, "slow") == clock.now)

    assert receipts(system.inbox, "a") == {
        "slow": ("done", 1),
        "fast": ("pending", 0),
        "none": ("pending", 0),
        "gone": ("dead", 0),
    }
    assert seen_at(system.inbox, "fast") == seen_at(system.inbox, "none") == clock.now
    assert fast.uuids == none.uuids == []
    assert worker.stop(PATIENCE)
    system.drain()
    assert fast.uuids == none.uuids == ["a", "b"]


def seen_at(inbox: Inbox, receiver: str) -> float:
    """Return when a worker last noted that a receiver was connected."""
    return next(row.seen_at for row in inbox.overview.receivers() if row.receiver == receiver)


def test_when_the_next_is_due(system: System, clock: Clock) -> None:
    """What is due in other queues does not count."""
    system.on("*", name="slow", queue="slow")(Heard(RetryLater(3600)))
    system.on("*", name="fast", queue="fast")(Heard(RetryLater(60)))
    system.store("a")
    system.drain()
    worker = system.make_worker()

    def next_due(*queues: str) -> float:
        worker.queues = frozenset(queues) or None
        due = worker.next_due()
        assert due is not None
        return due - clock.now

    assert next_due() == next_due("slow", "fast") == next_due("fast") < HOUR
    assert next_due("slow") >= HOUR
    worker.queues = frozenset({"other"})
    assert worker.next_due() is None


def test_a_drain_beside_a_leader_waits_only_for_its_queues(
    tmp_path: Path, okta: EventHook, delivery: Callable[..., NewDelivery]
) -> None:
    """A standby that drains some queues does not wait for what is due in others."""
    okta.on("*", name="fast", queue="fast")(Heard())
    okta.on("*", name="slow", queue="slow")(Heard())
    inbox = Inbox(f"sqlite:///{tmp_path}/inbox.sqlite3")
    inbox.intake.store([delivery("a")])
    fan_out(inbox, "fast")
    leader = FileLease(inbox, "leader", tmp_path / "inbox.sqlite3.lock")
    assert leader.renew() == []
    worker = Worker(
        Flask("host"), {"okta": okta}, inbox, max_attempts=3, retention=timedelta(days=30)
    )
    worker.queues = frozenset({"slow"})
    patience = time.monotonic() + 10.0

    assert worker.drain(until=patience) == 0

    assert time.monotonic() < patience
    leader.give_up()
    inbox.close()
