"""The log's event after a preview of it that somebody has edited."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.support import NEEDS_SDK

from .support import CREATED, inbox_of, read, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

    from okta_hooks import EventHook
    from okta_hooks.inbox.intake import NewDelivery
    from okta_hooks.simulator import Simulator

    DeliveryFactory = Callable[..., NewDelivery]

pytestmark = NEEDS_SDK


def lost(simulator: Simulator, count: int = 1) -> list[Any]:
    """Emit events that are not delivered, and return them."""
    published = datetime.now(UTC) - timedelta(minutes=30)
    return simulator.org.emit(CREATED, count=count, faults=["lost"], published=published)


def edited(event: dict[str, Any]) -> dict[str, Any]:
    """Return a preview of an event, with somebody else in it."""
    return {**event, "target": [{"id": "00uTest", "type": "User"}]}


def test_the_log_has_the_last_word(
    app: Flask, okta: EventHook, simulator: Simulator, delivery: DeliveryFactory
) -> None:
    """What is real is missing until a backfill has brought it, then it is there, and receivers get it, once."""
    got: list[Any] = []
    okta.on(CREATED, name="got")(lambda sender, event, **extra: got.append(event.raw))
    real, as_it_was = lost(simulator, 2)
    inbox_of(app).intake.store([delivery(edited(real)), delivery(as_it_was)])

    before = run(app, "reconcile", "--since=1h", status=1).output
    assert f"missing: {real['uuid']}\n" in before
    assert before.count("missing:") == 1

    result = run(app, "backfill", "--since=1h")
    assert "1 events of the log contradict what is stored under their uuid" in result.stderr
    assert "okta: 1 new, 1 there already" in result.stdout
    assert result.stdout.endswith(
        "1 of the new ones stand beside another event that was stored under their uuid.\n"
    )
    app.extensions["okta_hooks"].runtime().worker.drain()
    assert sorted(
        each["target"][0]["id"] for each in got if each["uuid"] == real["uuid"]
    ) == sorted(["00uTest", real["target"][0]["id"]])
    assert [each["uuid"] for each in got].count(as_it_was["uuid"]) == 1

    run(app, "reconcile", "--since=1h")
    again = read(app, "--since=1h")
    assert (again["new"], again["duplicate"], again["contradicting"]) == (0, 2, 0)


def test_what_a_hook_brought_is_not_stored_again(
    app: Flask, simulator: Simulator, delivery: DeliveryFactory
) -> None:
    """The log and a delivery write an event differently, which is no contradiction."""
    events = lost(simulator, 50)
    bare = [
        {key: value for key, value in event.items() if value not in (None, [], {})}
        for event in events[:25]
    ]
    inbox_of(app).intake.store([delivery(*bare), *(delivery(event) for event in events[25:])])

    document = read(app, "--since=1h")

    assert (document["new"], document["duplicate"], document["contradicting"]) == (0, 50, 0)
