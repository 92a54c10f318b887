from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from okta_hooks.inbox.claims import Inbox, Selection
from tests.support import CREATED

from .support import Heard

if TYPE_CHECKING:
    from collections.abc import Callable

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
