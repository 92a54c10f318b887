from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from flask import Flask

from okta_hooks import signals

from .receivers.support import APP

if TYPE_CHECKING:
    import pytest


def test_notify_reaches_every_receiver(caplog: pytest.LogCaptureFixture) -> None:
    """A receiver of a service signal that fails is logged, and disturbs neither the others nor us."""
    seen: list[object] = []

    def fails(sender: object, **extra: Any) -> None:
        seen.append("fails")
        raise ZeroDivisionError

    def works(sender: object, **extra: Any) -> None:
        seen.append((sender, extra))

    with (
        signals.hook_verified.connected_to(fails),
        signals.hook_verified.connected_to(works),
        caplog.at_level(logging.ERROR, "okta_hooks"),
    ):
        signals.notify(signals.hook_verified, APP, hook="h")

    assert "fails" in seen
    assert (APP, {"hook": "h"}) in seen
    assert caplog.messages == ["A receiver of the signal hook-verified failed."]
    assert caplog.records[0].exc_info is not None
    assert caplog.records[0].exc_info[0] is ZeroDivisionError


def test_notify_by_sender_and_muted() -> None:
    """Service signals honour ``connect_via`` and ``muted`` like any other."""
    seen: list[object] = []
    mine = Flask("mine")

    def note(sender: object, **extra: Any) -> None:
        seen.append(sender)

    with signals.event_done.connected_to(note, sender=mine):
        signals.notify(signals.event_done, APP)
        with signals.event_done.muted():
            signals.notify(signals.event_done, mine)
        assert seen == []
        signals.notify(signals.event_done, mine)

    assert seen == [mine]


def test_service_signals_are_documented() -> None:
    """Each service signal is told apart by its name and says what it is sent with."""
    documented = {
        signals.hook_verified: "hook-verified",
        signals.delivery_stored: "delivery-stored",
        signals.delivery_refused: "delivery-refused",
        signals.receiver_started: "receiver-started",
        signals.receiver_failed: "receiver-failed",
        signals.event_done: "event-done",
        signals.event_dead: "event-dead",
    }

    for signal, name in documented.items():
        assert signal.name == name
        assert "Arguments: ``hook``" in (signal.__doc__ or "")


def test_async_receivers_of_service_signals() -> None:
    """A coroutine function may listen to the service's signals, too: it is waited for."""
    seen: list[str] = []

    async def listen(sender: object, *, reason: str, **extra: Any) -> None:
        seen.append(reason)

    with signals.delivery_refused.connected_to(listen):
        signals.notify(signals.delivery_refused, Flask("host"), hook=None, status=400, reason="a")

    assert seen == ["a"]
