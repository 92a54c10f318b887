from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from flask import Flask

from okta_hooks import EventHook
from okta_hooks.inbox.claims import Inbox
from okta_hooks.work.lease import FileLease
from okta_hooks.work.worker import MOST_IN_HAND, Worker

from .support import Heard

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from okta_hooks.inbox.claims import NewDelivery
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
        other.free()
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
    inbox.store([delivery("a", hook="idle")])
    leader = FileLease(inbox, tmp_path / "inbox.sqlite3.lock")
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
