from __future__ import annotations

import asyncio
import functools
import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest

from okta_hooks import Reject
from okta_hooks.work.lane import MOST_IN_HAND
from tests.support import receipts, states, until

from .support import Heard, Held, await_

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

    from okta_hooks.inbox import Inbox
    from tests.support import Clock

    from .support import System

    InboxFactory = Callable[..., Inbox]


def is_handed_out(inbox: Inbox, uuid: str) -> bool:
    return states(inbox)[uuid] != "pending"


@pytest.mark.parametrize(
    "error",
    [
        Reject(LookupError("an error, not a text")),  # type: ignore[arg-type]
        Reject("NUL \0 and \ud800"),
        SystemExit(3),
        asyncio.CancelledError(),
    ],
    ids=repr,
)
def test_whatever_a_receiver_raises_is_settled(
    system: System, finished: threading.Semaphore, error: BaseException
) -> None:
    """No exception leaves a receipt in hand, kills its lane, or keeps the next event from it."""
    system.on("*", name="a")(Heard(error))
    system.store("a", "b")
    worker = system.make_worker(max_attempts=1)
    worker.start()

    await_(finished, 2)

    assert states(system.inbox) == {"a": "dead", "b": "done"}


def test_a_hanging_receiver_stops_no_other(system: System) -> None:
    """Nor does it stop deliveries from being stored."""
    hanging, working = Held(), Heard()
    system.on("*", name="hangs")(hanging)
    system.on("*", name="works")(working)
    system.store("a")
    system.make_worker().start()
    await_(hanging.has_begun)

    system.store("b", "c")
    until(lambda: receipts(system.inbox, "c").get("works") == ("done", 1))

    assert working.uuids == ["a", "b", "c"]
    assert hanging.most_at_once == 1
    hanging.may_end.set()


def test_one_at_a_time(system: System, finished: threading.Semaphore) -> None:
    """A receiver has one event in hand at a time unless it asks for more, oldest first."""
    uuids = [f"uuid-{number:02}" for number in range(40)]
    order = []
    running = threading.Lock()

    @system.on("*")
    def receiver(sender: Flask, event: Any, **extra: Any) -> None:
        assert running.acquire(blocking=False)
        order.append(event.uuid)
        running.release()

    system.store(*uuids)
    system.make_worker().start()
    await_(finished, 40)

    assert order == uuids


def test_concurrency(system: System, finished: threading.Semaphore) -> None:
    """A receiver that asks for three at once gets three, and not four."""
    held = Held()
    system.on("*", concurrency=3)(held)
    system.store(*"abcdefgh")
    system.make_worker().start()

    await_(held.has_begun, 3)
    held.may_end.set()
    await_(finished, 8)

    assert held.most_at_once == 3


def test_no_more_than_twenty_are_in_hand(system: System, finished: threading.Semaphore) -> None:
    """However quick a lane is, a crash repeats at most what is claimed and not settled."""
    claimed = []

    @system.on("*")
    def receiver(sender: Flask, **extra: Any) -> None:
        claimed.append(sum(row.claimed for row in system.inbox.overview.receivers()))

    system.store(*(f"uuid-{number}" for number in range(100)))
    system.make_worker().start()
    await_(finished, 100)

    assert 1 < max(claimed) <= MOST_IN_HAND


def test_a_slow_receiver_is_warned_of(
    system: System, clock: Clock, caplog: pytest.LogCaptureFixture, open_inbox: InboxFactory
) -> None:
    """A receiver that runs longer than a minute is named once in the log, with its event."""
    held = Held()
    system.on("*", name="slow")(held)
    system.store("a")
    worker = system.make_worker()
    worker.start()
    await_(held.has_begun)

    def warnings() -> list[str]:
        found = [record for record in caplog.records if record.levelno == logging.WARNING]
        return [record.getMessage() for record in found]

    def pass_by(uuid: str) -> None:
        """Wait for a pass to hand out an event, and for the end of that pass: the next begins."""
        for name in (uuid, uuid * 2):
            system.store(name)
            worker.wake()
            until(functools.partial(is_handed_out, system.inbox, name))

    clock.now += 60
    pass_by("b")
    assert warnings() == []
    clock.now += 1
    pass_by("c")
    pass_by("d")

    (message,) = warnings()
    assert "slow" in message
    assert "61 s" in message
    assert "'a'" in message
    held.may_end.set()
