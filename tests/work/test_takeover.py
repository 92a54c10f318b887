from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask

from okta_hooks import EventHook, signals
from okta_hooks.work.worker import Worker
from tests.support import PATIENCE, receipts, states

from .support import Heard, await_

if TYPE_CHECKING:
    from collections.abc import Callable

    from blinker import NamedSignal
    from flask import Flask

    from okta_hooks.inbox.claims import Inbox, NewDelivery
    from okta_hooks.work.worker import Worker
    from tests.support import Clock

    DeliveryFactory = Callable[..., NewDelivery]
    WorkerFactory = Callable[..., Worker]


def test_what_killed_five_processes_is_a_dead_letter(
    okta: EventHook,
    inbox: Inbox,
    make_worker: WorkerFactory,
    delivery: DeliveryFactory,
    *,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is announced with its reason by whoever finds it, and never run again."""
    heard = okta.on("*", name="a")(Heard())
    inbox.store([delivery("a")])
    inbox.fan_out(["okta"], lambda _: ["a"])
    for number in range(5):
        assert inbox.claim(f"killed-{number}", "okta", "a", 1)
        if number < 4:
            inbox.free(all_workers=True)

    make_worker().drain()

    assert heard.uuids == []
    assert states(inbox) == {"a": "dead"}
    (record,) = (record for record in caplog.records if record.levelno == logging.ERROR)
    assert "the process died here" in record.getMessage()


def test_two_workers_share_the_work(
    okta: EventHook,
    inbox: Inbox,
    inbox_url: str,
    make_worker: WorkerFactory,
    *,
    delivery: DeliveryFactory,
    finished: threading.Semaphore,
) -> None:
    """On PostgreSQL both work, on SQLite one of them; either way each event is handled once."""
    ran: list[tuple[str, str]] = []
    both = threading.Barrier(2)

    @okta.on("*")
    def receiver(sender: Flask, event: Any, **extra: Any) -> None:
        ran.append((event.uuid, threading.current_thread().name))
        if inbox_url.startswith("postgresql") and event.uuid in ("a", "b"):
            both.wait(PATIENCE)

    workers = [make_worker(), make_worker()]
    for worker in workers:
        worker.start()
    inbox.store([delivery("a")])
    inbox.store([delivery("b")])
    inbox.store([delivery(*(f"uuid-{number}" for number in range(30)))])
    await_(finished, 32)

    assert len(ran) == 32
    assert len({uuid for uuid, _ in ran}) == 32


def test_a_standby_takes_over(
    okta: EventHook,
    inbox: Inbox,
    make_worker: WorkerFactory,
    delivery: DeliveryFactory,
    finished: threading.Semaphore,
) -> None:
    """When one worker stops, the other goes on by itself."""
    heard = okta.on("*")(Heard())
    first, second = make_worker(), make_worker()
    first.start()
    inbox.store([delivery("a")])
    await_(finished)
    second.start()
    assert first.stop(PATIENCE)

    inbox.store([delivery("b")])
    await_(finished)

    assert heard.uuids == ["a", "b"]


def test_a_worker_whose_receipts_were_taken_over(
    okta: EventHook,
    inbox: Inbox,
    make_worker: WorkerFactory,
    delivery: DeliveryFactory,
    *,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    hear: Callable[[NamedSignal], list[dict[str, Any]]],
) -> None:
    """What it did after its lease ran out does not count, and is not announced; it says so."""
    done = hear(signals.event_done)
    seen = []

    @okta.on("*", name="a")
    def receiver(sender: Flask, event: Any, **extra: Any) -> None:
        seen.append(event.uuid)
        if len(seen) == 1:
            inbox.free(all_workers=True)

    inbox.store([delivery("a")])

    assert make_worker().drain() == 2

    assert seen == ["a", "a"]
    assert len(done) == 1
    assert "taken over by another worker" in caplog.text
    assert receipts(inbox, "a") == {"a": ("done", 1)}


@pytest.mark.parametrize("inbox_url", ["PostgreSQL"], indirect=True)
def test_a_stopping_worker_keeps_its_lease(
    inbox: Inbox,
    make_worker: WorkerFactory,
    okta: EventHook,
    delivery: DeliveryFactory,
    clock: Clock,
) -> None:
    """What is in hand at a stop may take longer than a lease: nobody else runs it meanwhile."""
    begun, may_end = threading.Event(), threading.Event()

    @okta.on("*")
    def receiver(sender: object, **extra: Any) -> None:
        begun.set()
        assert may_end.wait(60)

    inbox.store([delivery("a")])
    worker = make_worker(inbox, max_attempts=3)
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

    assert inbox.free() == []
    assert inbox.counts()["claimed"] == 1
    assert inbox.claim("other", "okta", "r", 20) == []
    may_end.set()
    assert worker.stop(60)
    assert inbox.counts()["done"] == 1
