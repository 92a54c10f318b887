"""The signal ``receiver_started``."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from okta_hooks import signals
from tests.support import SQLITE, receipts

from .support import Heard

if TYPE_CHECKING:
    from collections.abc import Callable

    from blinker import NamedSignal
    from flask import Flask

    from okta_hooks import EventHook
    from tests.support import Calls

    from .support import System


def test_it_comes_before_the_receiver(
    system: System, app: Flask, okta: EventHook, hear: Callable[[NamedSignal], Calls]
) -> None:
    """Each attempt is told of with all that the receiver gets and its name, before it is called."""
    order: list[str] = []
    started = hear(signals.receiver_started)

    @okta.on("*", name="a")
    def receiver(sender: Flask, **extra: Any) -> None:
        order.extend(["started"] * len(started.arguments))
        order.append("called")
        raise LookupError

    system.store("x")
    system.drain()

    assert order == ["started", "called"]
    assert started.senders == [app]
    [told] = started.arguments
    assert (told["hook"], told["receiver"], told["attempt"]) == (okta, "a", 1)
    assert (told["event"].uuid, told["delivery"].via) == ("x", "hook")


def test_without_an_inbox(
    make_app: Callable[..., Flask],
    okta: EventHook,
    body: Callable[..., bytes],
    hear: Callable[[NamedSignal], Calls],
) -> None:
    """It is sent in the request, then, and once for each receiver of an event."""
    okta.on("*", name="a")(Heard())
    okta.on("*", name="b")(Heard())
    started = hear(signals.receiver_started)

    answer = (
        make_app(okta)
        .test_client()
        .post("/okta/events", data=body("a.b"), headers={"Authorization": "correct horse"})
    )

    assert answer.status_code == 204
    assert [told["receiver"] for told in started.arguments] == ["a", "b"]


@SQLITE
def test_its_handler_counts_against_the_timeout(system: System) -> None:
    """A handler that hangs holds an attempt up no longer than the receiver may take."""
    may_end = threading.Event()
    system.on("*", name="a", timeout=0.05)(Heard())
    system.store("x")
    began = time.monotonic()

    with signals.receiver_started.connected_to(lambda *_, **__: may_end.wait(10)):
        assert system.drain() == 1
    took = time.monotonic() - began
    may_end.set()

    assert took < 10
    assert receipts(system.inbox, "x") == {"a": ("pending", 1)}
