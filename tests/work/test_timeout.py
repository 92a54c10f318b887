"""A receiver that does not return in the time it has."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from okta_hooks import signals
from okta_hooks.work import dispatch, interruption
from okta_hooks.work.lane import _MOST_GIVEN_UP
from tests.support import PATIENCE, SQLITE, receipts, states, until

from .support import Heard, Held, await_, deliver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from blinker import NamedSignal

    from okta_hooks import EventHook
    from tests.support import Calls, Clock

    from .support import System

SHORT = 0.05


@pytest.fixture
def held() -> Iterator[Held]:
    """Return a receiver that does not return before the test ends."""
    made = Held()
    yield made
    made.may_end.set()
    until(
        lambda: (
            not any(thread.name.startswith("okta-hooks-timed") for thread in threading.enumerate())
        )
    )


def hangs_on(held: Held, uuid: str, heard: Heard) -> Callable[..., None]:
    def receiver(sender: Any, event: Any, **extra: Any) -> None:
        heard(sender, event=event, **extra)
        if event.uuid == uuid:
            held(sender)

    return receiver


@SQLITE
def test_its_lane_goes_on(
    system: System,
    finished: threading.Semaphore,
    held: Held,
    hear: Callable[[NamedSignal], Calls],
) -> None:
    """The attempt has failed, says so, and is tried again later; the next event is handled now."""
    heard = Heard()
    failed = hear(signals.receiver_failed)
    system.on("*", name="a", timeout=SHORT)(hangs_on(held, "hangs", heard))
    system.store("hangs", "next")
    system.make_worker().start()

    await_(finished)

    assert heard.uuids == ["hangs", "next"]
    assert receipts(system.inbox, "hangs") == {"a": ("pending", 1)}
    assert [str(arguments["error"]) for arguments in failed.arguments] == [
        "it did not return within 0.05 s"
    ]


@SQLITE
def test_what_it_does_afterwards_does_not_count(
    system: System, finished: threading.Semaphore, held: Held
) -> None:
    """After the last attempt it is a dead letter, and stays one when the receiver returns after all."""
    done = threading.Semaphore(0)
    system.on("*", name="a", timeout=SHORT)(held)
    system.store("a")
    worker = system.make_worker(max_attempts=1)
    worker.start()
    await_(finished)

    with signals.receiver_done.connected_to(lambda *_, **__: done.release()):
        held.may_end.set()
        until(lambda: held.at_once == 0)
        assert worker.stop(PATIENCE)

    assert receipts(system.inbox, "a") == {"a": ("dead", 1)}
    assert not done.acquire(blocking=False)


@SQLITE
def test_a_time_limit_of_its_process(system: System, held: Held) -> None:
    """What a handler of a signal raises meanwhile, as Celery's at a soft time limit, ends the attempt at once.

    As at a timeout, the receiver goes on in its thread.
    """

    class Limit(Exception):
        pass

    def limit(*_: object) -> None:
        raise Limit

    @system.on("*", name="a", timeout=PATIENCE)
    def receiver(sender: Any, **extra: Any) -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        held(sender)

    system.store("a")
    before = signal.signal(signal.SIGINT, limit)
    interruption.guard(signal.SIGINT, ends=False)
    try:
        began = time.monotonic()
        with interruption.working():
            assert system.make_worker().drain() == 1
    finally:
        signal.signal(signal.SIGINT, before)

    assert time.monotonic() - began < PATIENCE
    assert receipts(system.inbox, "a") == {"a": ("pending", 1)}
    assert system.inbox.overview.show("a")[0].receipts[0].error == "Limit: "
    assert not held.may_end.is_set()


@SQLITE
def test_a_drain_goes_on(system: System, clock: Clock, held: Held) -> None:
    """So does a drain, which ends when nothing is due."""
    heard = Heard()
    system.on("*", name="a", timeout=SHORT)(hangs_on(held, "hangs", heard))
    system.store("hangs", "next")
    worker = system.make_worker(max_attempts=2)

    assert worker.drain() == 2
    clock.now += 10
    assert worker.drain() == 1

    assert heard.attempts == [1, 1, 2]
    assert states(system.inbox) == {"hangs": "dead", "next": "done"}


@SQLITE
def test_threads_that_were_given_up_are_bounded(system: System, held: Held) -> None:
    """With so many of them the receiver is not called any more; others are, and a drain ends."""
    other = system.on("*", name="b")(Heard())
    system.on("*", name="a", timeout=SHORT)(held)
    uuids = [f"uuid-{number:02}" for number in range(_MOST_GIVEN_UP + 5)]
    system.store(*uuids)
    worker = system.make_worker()

    assert worker.drain() == len(uuids) + _MOST_GIVEN_UP

    assert held.most_at_once == _MOST_GIVEN_UP
    assert other.uuids == uuids
    (a, _) = system.inbox.overview.receivers()
    assert (a.claimed, a.pending) == (0, len(uuids))
    held.may_end.set()
    until(lambda: held.at_once == 0)
    until(lambda: worker.drain() == 5)


@SQLITE
def test_a_lane_that_is_full_of_them_waits(system: System, held: Held) -> None:
    """A worker does not spin over it, and takes no receipt in hand that it cannot run."""
    system.on("*", name="a", timeout=SHORT)(held)
    system.store(*(f"uuid-{number:02}" for number in range(_MOST_GIVEN_UP + 5)))
    worker = system.make_worker(system.inbox)
    worker.start()
    await_(held.has_begun, _MOST_GIVEN_UP)
    until(lambda: system.inbox.overview.receivers()[0].claimed == 0)
    claimed: list[object] = []
    claim = system.inbox.claims.claim
    system.inbox.claims.claim = lambda *a, **k: claimed.append(a) or claim(*a, **k)  # type: ignore[method-assign, func-returns-value]

    assert not held.has_begun.acquire(timeout=1.0)

    assert claimed == []
    held.may_end.set()
    await_(held.has_begun, 5)


@SQLITE
def test_an_async_receiver(system: System) -> None:
    """A coroutine that waits for ever is given up, too."""
    loops: list[Any] = []

    @system.on("*", name="a", timeout=0.3)
    async def receiver(sender: object, **extra: Any) -> None:
        event = asyncio.Event()
        loops.append((asyncio.get_running_loop(), event))
        await event.wait()

    system.store("a")

    assert system.make_worker(max_attempts=1).drain() == 1

    assert receipts(system.inbox, "a") == {"a": ("dead", 1)}
    ((loop, event),) = loops
    loop.call_soon_threadsafe(event.set)


def test_without_an_inbox(okta: EventHook, held: Held) -> None:
    """Within a request, too: the delivery has failed, and the other receivers have run."""
    heard = Heard()
    okta.on("*", timeout=SHORT)(held)
    okta.on("*", name="b")(heard)

    (error,) = deliver(okta, {"eventType": "a.b", "uuid": "a"})

    assert isinstance(error, dispatch.ReceiverTimeout)
    assert heard.uuids == ["a"]
