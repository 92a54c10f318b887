from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask

from okta_hooks import EventHook, LogEvent, Reject
from okta_hooks.inbox.claims import Inbox, Selection
from okta_hooks.work.worker import Worker
from tests.support import CREATED

from .support import Heard

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flask import Flask

    from okta_hooks import EventHook
    from okta_hooks.inbox.claims import NewDelivery
    from okta_hooks.work.worker import Worker

    DeliveryFactory = Callable[..., NewDelivery]
    WorkerFactory = Callable[..., Worker]


@pytest.mark.parametrize("kind", ["moon.é", "x." * 149 + "yz", "a\0b"], ids=["é", "long", "NUL"])
def test_a_type_that_no_column_takes(
    okta: EventHook, inbox: Inbox, make_worker: WorkerFactory, delivery: DeliveryFactory, kind: str
) -> None:
    """It is read from the body, so a receiver of just that type gets the event."""
    with pytest.warns(UserWarning, match="no such event type"):
        heard = okta.on(kind)(Heard())
    inbox.store([delivery("a", type=kind)])

    make_worker().drain()

    assert heard.uuids == ["a"]


def test_an_unreadable_event_that_is_replayed(
    okta: EventHook, inbox: Inbox, make_worker: WorkerFactory, delivery: DeliveryFactory
) -> None:
    """It is read again, and dead again for the same reason."""
    heard = okta.on("*")(Heard())
    inbox.store([delivery(None)])
    (before,) = inbox.find(Selection())
    inbox.replay(Selection(states=("dead",)))

    make_worker().drain()

    assert inbox.find(Selection()) == [before]
    assert heard.uuids == []


def test_long_bodies_are_not_all_kept(
    okta: EventHook, inbox: Inbox, make_worker: WorkerFactory, delivery: DeliveryFactory
) -> None:
    """Of the deliveries read last some megabytes are kept, not more, and every event is read right."""
    heard = []

    @okta.on("*")
    def receiver(sender: Flask, event: Any, **extra: Any) -> None:
        heard.append((event.uuid, len(event.raw["x"])))

    megabytes = 6 * 1024 * 1024
    for uuid in "abcd":
        event = {"uuid": uuid, "eventType": CREATED, "x": "x" * megabytes}
        inbox.store([delivery(event, {"uuid": uuid * 2, "eventType": CREATED, "x": ""})])
    worker = make_worker()

    worker.drain()

    assert heard == [pair for uuid in "abcd" for pair in ((uuid, megabytes), (uuid * 2, 0))]


def test_ids_never_come_back(
    make_worker: WorkerFactory, inbox: Inbox, okta: EventHook, delivery: DeliveryFactory
) -> None:
    """A delivery that takes the place of a deleted one is read anew, not from what a worker remembers."""
    seen: list[str | None] = []

    @okta.on("*")
    def receiver(sender: object, event: LogEvent, **extra: Any) -> None:
        seen.append(event.uuid)
        if event.uuid == "old":
            raise Reject("no")

    worker = make_worker(inbox, max_attempts=3)
    inbox.store([delivery("old")])
    worker.drain()
    inbox.prune_dead(before=inbox.clock() + 1)
    inbox.store([delivery("new")])
    worker.drain()

    assert seen == ["old", "new"]


@pytest.mark.parametrize("inbox_url", ["SQLite"], indirect=True)
def test_a_file_that_was_replaced_begins_anew(
    tmp_path: Path,
    inbox: Inbox,
    make_worker: WorkerFactory,
    okta: EventHook,
    delivery: DeliveryFactory,
) -> None:
    """Nothing that a worker remembers of a file is taken for what is in the next one."""
    seen: list[str | None] = []

    @okta.on("*")
    def receiver(sender: object, event: LogEvent, **extra: Any) -> None:
        seen.append(event.uuid)

    worker = make_worker(inbox, max_attempts=3)
    inbox.store([delivery("old")])
    worker.drain()
    for path in tmp_path.glob("inbox.sqlite3*"):
        path.rename(path.with_name(f"gone-{path.name}"))
    inbox.store([delivery("new")])
    worker.drain()

    assert seen == ["old", "new"]


def test_dead_again_after_a_replay(
    make_worker: WorkerFactory,
    inbox: Inbox,
    okta: EventHook,
    delivery: DeliveryFactory,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An event that still cannot be read when it is replayed is told of again."""
    okta.on("*")(lambda sender, **extra: None)
    inbox.store([delivery({"uuid": "a"})])
    inbox.replay(Selection(states=("dead",)))

    make_worker(inbox, max_attempts=3).drain()

    assert "Dead letter" in caplog.text
    assert inbox.counts()["dead"] == 1
