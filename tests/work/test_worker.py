from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from okta_hooks import EventHook, Reject
from okta_hooks.inbox import Inbox
from okta_hooks.inbox.selection import Selection
from okta_hooks.work.worker import Worker
from tests.support import CREATED, PATIENCE, states

from .support import Heard, Held, await_

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flask import Flask

    from okta_hooks.inbox.intake import NewDelivery

    from .support import System

    AppFactory = Callable[..., Flask]
    DeliveryFactory = Callable[..., NewDelivery]


def test_every_receiver_gets_every_event_that_it_matches(system: System) -> None:
    """What was stored is handed to the receivers by their patterns, once, oldest first."""
    everything, some = (
        system.on("*", name="all")(Heard()),
        system.on("group.*", name="some")(Heard()),
    )
    system.inbox.intake.store(
        [system.delivery("a", "b"), system.delivery("c", type="group.lifecycle.create")]
    )

    assert system.drain() == 4

    assert everything.uuids == ["a", "b", "c"]
    assert some.uuids == ["c"]
    assert set(states(system.inbox).values()) == {"done"}
    assert system.drain() == 0


def test_what_a_receiver_gets(system: System, app: Flask) -> None:
    """The app itself, the event whole, its delivery, the hook and the attempt, in a context of its own."""
    calls = []

    @system.on("*")
    def receiver(sender: Flask, **arguments: Any) -> None:
        calls.append((sender, arguments))

    new = system.delivery({"uuid": "a", "eventType": CREATED, "moon": {"phase": 10**40}})
    system.inbox.intake.store([new])
    system.drain()

    ((sender, arguments),) = calls
    assert sender is app
    assert arguments["event"].raw["moon"] == {"phase": 10**40}
    assert arguments["delivery"] == new.delivery
    assert (arguments["hook"], arguments["attempt"]) == (system.okta, 1)
    assert set(arguments) == {"event", "delivery", "hook", "attempt"}


def test_an_event_that_nobody_wants_is_done(system: System) -> None:
    """No pattern matches: it is done, and found again by ``unreceived``."""
    system.on("group.*")(Heard())
    system.store("a")

    system.drain()

    assert states(system.inbox) == {"a": "done"}
    assert len(system.inbox.overview.find(Selection(unreceived=True))) == 1


def test_async_receivers(system: System) -> None:
    """A coroutine is run to its end, and its error is the attempt's."""
    ran = []

    @system.on("*", name="async")
    async def receiver(sender: Flask, event: Any, **extra: Any) -> None:
        await asyncio.sleep(0)
        ran.append(event.uuid)
        if event.uuid == "b":
            raise Reject("no")

    system.store("a", "b")
    system.drain()

    assert ran == ["a", "b"]
    assert states(system.inbox) == {"a": "done", "b": "dead"}


def test_one_receiver_cannot_commit_what_another_left(system: System) -> None:
    """Each call has an application context of its own."""
    from flask import g  # here only

    left = []

    @system.on("*", name="one")
    @system.on("*")
    def one(sender: Flask, **extra: Any) -> None:
        left.append(g.get("left"))
        g.left = "half"

    system.store("a", "b")
    system.drain()

    assert left == [None, None]


def test_a_worker_without_receivers_touches_nothing(
    app: Flask, okta: EventHook, tmp_path: Path
) -> None:
    """Not even a file is made: a deploy that forgot to import its receivers must not finish events."""
    inbox = Inbox(f"sqlite:///{tmp_path}/new/inbox.sqlite3")
    worker = Worker(app, {"okta": okta}, inbox, max_attempts=20, retention=timedelta(days=30))

    assert not worker.has_receivers()
    assert worker.drain() == 0
    worker.start()
    assert worker.stop(PATIENCE)

    assert list(tmp_path.iterdir()) == []


def test_a_hook_without_receivers_is_left_alone(
    app: Flask,
    okta: EventHook,
    inbox: Inbox,
    delivery: DeliveryFactory,
    make_app: AppFactory,
) -> None:
    """Of two hooks in one app only the one that has receivers is worked on."""
    okta.on("*")(Heard())
    other = EventHook("other", url_prefix="/other")
    app.register_blueprint(other)
    inbox.intake.store([delivery("a"), delivery("b", hook="other"), delivery("c", hook="unknown")])

    Worker(
        app,
        {"okta": okta, "other": other},
        inbox,
        max_attempts=20,
        retention=timedelta(days=30),
    ).drain()

    assert states(inbox) == {"a": "done", "b": "pending", "c": "pending"}


def test_a_worker_in_a_thread(system: System, finished: threading.Semaphore) -> None:
    """What was left from before is picked up without a new delivery, and what comes later by itself."""
    heard = system.on("*")(Heard())
    system.store("a")
    worker = system.make_worker()
    worker.start()
    await_(finished)

    system.store("b")
    await_(finished)
    system.store("c")
    worker.wake()
    await_(finished)

    assert heard.uuids == ["a", "b", "c"]


def test_a_receiver_that_is_connected_later(system: System, finished: threading.Semaphore) -> None:
    """A worker that runs already gives it a lane."""
    system.on("group.*")(Heard())
    system.make_worker().start()
    late = system.on("user.*")(Heard())
    system.store("a")

    await_(finished)

    assert late.uuids == ["a"]


def test_stopping_finishes_what_is_in_hand(system: System) -> None:
    """The receiver that runs is waited for; what was claimed with it is given back untried."""
    uuids = [f"uuid-{number:02}" for number in range(30)]
    held, seen = Held(), []

    @system.on("*", name="a")
    def receiver(sender: Flask, event: Any, **extra: Any) -> None:
        seen.append(event.uuid)
        if event.uuid == "uuid-10":
            held(sender)

    system.store(*uuids)
    worker = system.make_worker()
    worker.start()
    await_(held.has_begun)
    stopped: list[bool] = []
    stopper = threading.Thread(target=lambda: stopped.append(worker.stop()))
    stopper.start()
    assert worker.stopping.wait(PATIENCE)
    assert not worker.stop(0.01)
    held.may_end.set()
    stopper.join(PATIENCE)

    assert stopped == [True]
    assert seen == uuids[:11]
    (lane,) = system.inbox.overview.receivers()
    assert (lane.done, lane.pending, lane.claimed) == (11, 19, 0)
    assert system.drain() == 19
    assert seen == uuids
