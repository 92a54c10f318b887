from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask

from okta_hooks import signals
from okta_hooks.work.lease import HEARTBEAT_SECONDS
from tests.support import PATIENCE, SQLITE_FIRST, claim, fan_out, receipts, states, take_over

from .support import Heard, await_

if TYPE_CHECKING:
    from collections.abc import Callable

    from blinker import NamedSignal
    from flask import Flask

    from tests.support import Calls, Clock

    from .support import System


def test_what_killed_five_processes_is_a_dead_letter(
    system: System, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever finds it sends ``event_dead`` with the reason, and it never runs again."""
    heard = system.on("*", name="a")(Heard())
    system.store("a")
    fan_out(system.inbox, "a")
    for number in range(5):
        (found,) = claim(system.inbox, "a", worker=f"killed-{number}", limit=1)
        system.inbox.workers.mark_alone(f"killed-{number}", found)
        if number < 4:
            take_over(system.inbox)
    worker = system.make_worker()
    if system.inbox.path is None:
        # It is gone when it has been watched for as long as a lease.
        for _ in range(6):
            worker.lease.renew()
            clock.now += HEARTBEAT_SECONDS

    worker.drain()

    assert heard.uuids == []
    assert states(system.inbox) == {"a": "dead"}
    (record,) = (record for record in caplog.records if record.levelno == logging.ERROR)
    assert "the process died here" in record.getMessage()


def test_two_workers_share_the_work(
    system: System, inbox_url: str, finished: threading.Semaphore
) -> None:
    """On PostgreSQL both work, on SQLite one of them; either way each event is handled once."""
    ran: list[tuple[str, str]] = []
    both = threading.Barrier(2)

    @system.on("*")
    def receiver(sender: Flask, event: Any, **extra: Any) -> None:
        ran.append((event.uuid, threading.current_thread().name))
        if inbox_url.startswith("postgresql") and event.uuid in ("a", "b"):
            both.wait(PATIENCE)

    workers = [system.make_worker(), system.make_worker()]
    for worker in workers:
        worker.start()
    system.store("a")
    system.store("b")
    system.store(*(f"uuid-{number}" for number in range(30)))
    await_(finished, 32)

    assert len(ran) == 32
    assert len({uuid for uuid, _ in ran}) == 32


def test_a_standby_takes_over(system: System, finished: threading.Semaphore) -> None:
    """When one worker stops, the other goes on by itself."""
    heard = system.on("*")(Heard())
    first, second = system.make_worker(), system.make_worker()
    first.start()
    system.store("a")
    await_(finished)
    second.start()
    assert first.stop(PATIENCE)

    system.store("b")
    await_(finished)

    assert heard.uuids == ["a", "b"]


@SQLITE_FIRST
def test_a_worker_whose_receipts_were_taken_over(
    system: System,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    hear: Callable[[NamedSignal], Calls],
) -> None:
    """What it did after its lease ran out does not count, and no signal is sent of it; the log says so."""
    done = hear(signals.event_done)
    seen = []

    @system.on("*", name="a")
    def receiver(sender: Flask, event: Any, **extra: Any) -> None:
        seen.append(event.uuid)
        if len(seen) == 1:
            take_over(system.inbox)

    system.store("a")

    assert system.drain() == 2

    assert seen == ["a", "a"]
    assert len(done.arguments) == 1
    assert "taken over by another worker" in caplog.text
    assert receipts(system.inbox, "a") == {"a": ("done", 1)}


@pytest.mark.parametrize("inbox_url", ["PostgreSQL"], indirect=True)
def test_a_stopping_worker_keeps_its_lease(system: System, clock: Clock) -> None:
    """What is in hand at a stop may take longer than a lease: nobody else runs it meanwhile."""
    begun, may_end = threading.Event(), threading.Event()

    @system.on("*")
    def receiver(sender: object, **extra: Any) -> None:
        begun.set()
        assert may_end.wait(60)

    system.store("a")
    worker = system.make_worker(system.inbox, max_attempts=3)
    worker.start()
    assert begun.wait(60)
    assert not worker.stop(0)
    clock.now += 3600
    beaten = threading.Event()
    renew = worker.lease.renew

    def renew_and_tell() -> Any:
        died = renew()
        beaten.set()
        return died

    worker.lease.renew = renew_and_tell  # type: ignore[method-assign]
    assert beaten.wait(60)

    assert system.inbox.workers.free({}) == []
    assert system.inbox.overview.counts().claimed == 1
    assert claim(system.inbox, "r", worker="other", limit=20) == []
    may_end.set()
    assert worker.stop(60)
    assert system.inbox.overview.counts().done == 1
