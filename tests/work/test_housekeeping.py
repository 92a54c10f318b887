from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from okta_hooks import signals
from okta_hooks.inbox.claims import Selection
from tests.support import DAY, HOUR, receipts, states, until

from .support import Heard, await_

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    import pytest
    from blinker import NamedSignal

    from tests.support import Clock

    from .support import System


def test_a_disconnected_receiver_is_given_up_after_a_day(
    system: System,
    clock: Clock,
    finished: threading.Semaphore,
    caplog: pytest.LogCaptureFixture,
    hear: Callable[[NamedSignal], list[dict[str, Any]]],
) -> None:
    """Its receipts wait for it to come back; after 24 h they are dead letters that say why."""
    gone = Heard(LookupError())
    system.on("*", name="gone")(gone)
    system.on("*", name="stays")(Heard())
    dead = hear(signals.event_dead)
    system.store("a")
    system.drain()
    system.okta.signal("*").disconnect(gone)
    worker = system.make_worker()
    worker.start()
    until(worker.lease.holds)
    clock.now += DAY - 1
    worker.wake()
    system.store("b")
    await_(finished)
    assert receipts(system.inbox, "a")["gone"] == ("pending", 1)

    clock.now += HOUR
    worker.wake()
    await_(finished)

    assert receipts(system.inbox, "a") == {"gone": ("dead", 1), "stays": ("done", 1)}
    assert states(system.inbox)["a"] == "dead"
    assert [(row["receiver"], row["event"].uuid) for row in dead] == [("gone", "a")]
    assert caplog.text.count("its receiver has not been connected for a day") == 1


def test_the_worker_prunes(system: System, clock: Clock) -> None:
    """Retention is kept by the worker itself, with nobody calling."""
    system.on("*")(Heard())
    system.store("a")
    system.drain()
    clock.now += 5 * DAY + 1

    system.make_worker(retention=timedelta(days=5)).start()

    until(lambda: not system.inbox.find(Selection())[0]["has_body"])
    assert states(system.inbox) == {"a": "done"}


def test_keys_are_kept_as_long_as_bodies(system: System, clock: Clock) -> None:
    """A retention of more than 100 days holds for the keys, too."""
    system.on("*")(Heard())
    system.store("a")
    worker = system.make_worker(retention=timedelta(days=200))
    worker.drain()

    clock.now += 200 * DAY
    assert worker.prune_batch() == 0
    clock.now += 1
    assert worker.prune_batch() == 1
    assert states(system.inbox) == {}
