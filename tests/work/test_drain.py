from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from flask import Flask

from okta_hooks import EventHook
from okta_hooks.inbox import Inbox
from okta_hooks.work.lane import MOST_IN_HAND
from okta_hooks.work.lease import FileLease
from okta_hooks.work.worker import Worker
from tests.support import SQLITE, states

from .support import Heard, Held, await_

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

    from okta_hooks.inbox.intake import NewDelivery
    from tests.support import Clock

    from .support import System

    DeliveryFactory = Callable[..., NewDelivery]
    InboxFactory = Callable[..., Inbox]


def test_draining_tells_its_progress(system: System) -> None:
    """Events are counted, not attempts, when they are finished."""
    system.on("*", name="a")(Heard())
    system.on("*", name="b")(Heard())
    system.store(*(f"uuid-{number}" for number in range(50)))
    told: list[int] = []

    assert system.make_worker().drain(told.append) == 100

    assert sum(told) == 50
    assert len(told) > 1


def test_draining_lets_no_receiver_wait_for_another(system: System) -> None:
    """However much one has to do, the next gets its turn after as much as one may have in hand."""
    order: list[str] = []
    system.on("*", name="a")(lambda *_, **__: order.append("a"))
    system.on("*", name="b")(lambda *_, **__: order.append("b"))
    system.store(*(f"uuid-{n}" for n in range(3 * MOST_IN_HAND)))

    system.make_worker(system.inbox).drain()

    assert len(order) == 6 * MOST_IN_HAND
    assert order[:MOST_IN_HAND] == ["a"] * MOST_IN_HAND
    assert order[MOST_IN_HAND : 2 * MOST_IN_HAND] == ["b"] * MOST_IN_HAND


def test_draining_keeps_its_lease(system: System, open_inbox: InboxFactory, clock: Clock) -> None:
    """Nobody takes from it what is in its hands, though all of it takes longer than a lease."""
    if system.inbox.path is not None:  # there the lease is a lock, which does not run out
        return
    heard = Heard()
    other = open_inbox()

    @system.on("*")
    def slow(sender: Flask, **arguments: Any) -> None:
        clock.now += 1.0
        other.workers.free({})
        heard(sender, **arguments)

    system.store(*(f"uuid-{n:03}" for n in range(60)))

    system.make_worker(system.inbox).drain()

    assert heard.uuids == [f"uuid-{n:03}" for n in range(60)]


def test_drain_beside_a_leader_waits_only_for_its_own(
    tmp_path: Path, okta: EventHook, delivery: DeliveryFactory
) -> None:
    """A standby that drains does not wait for what no receiver of its is to have."""
    okta.on("*")(lambda sender, **extra: None)
    inbox = Inbox(f"sqlite:///{tmp_path}/inbox.sqlite3")
    inbox.intake.store([delivery("a", hook="idle")])
    leader = FileLease(inbox, "leader", tmp_path / "inbox.sqlite3.lock")
    assert leader.renew() == []
    worker = Worker(
        Flask("host"),
        {"okta": okta, "idle": EventHook("idle")},
        inbox,
        max_attempts=3,
        retention=timedelta(days=30),
    )

    assert worker.drain() == 0

    leader.give_up()
    inbox.close()


@SQLITE
def test_a_drain_keeps_its_lease_during_one_run(
    postgresql_url: str,
    system: System,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A receiver that takes longer than a lease is not run by another worker meanwhile."""
    monkeypatch.setattr("okta_hooks.work.lease.HEARTBEAT_SECONDS", 0.2)
    monkeypatch.setattr("okta_hooks.work.lease.LEASE_SECONDS", 2.0)
    held = Held()
    system.on("*")(held)
    drains, looks = Inbox(postgresql_url), Inbox(postgresql_url)
    drains.intake.store([system.delivery("a")])
    drain = threading.Thread(target=system.make_worker(drains).drain)
    drain.start()
    await_(held.has_begun)
    other = system.make_worker(looks)
    other.start()

    assert not held.has_begun.acquire(timeout=5.0)

    held.may_end.set()
    drain.join()
    assert other.stop(30.0)
    assert states(looks) == {"a": "done"}
    for inbox in (drains, looks):
        inbox.close()
