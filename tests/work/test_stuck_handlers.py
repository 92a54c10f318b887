"""Handlers of service signals that do not return: no event waits for them."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest

from okta_hooks import Reject, signals
from okta_hooks.inbox.tables import receipt
from okta_hooks.work.lane import _MOST_STUCK
from tests.support import PATIENCE, SQLITE, counts, receipts, states, until

from .support import Heard, Held, await_

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from okta_hooks.work.worker import Worker
    from tests.support import Clock

    from .support import System

#: Longer than a thread waits for a handler, in seconds.
LONG = 11.0


@pytest.fixture
def held() -> Iterator[Held]:
    """Return a handler that does not return before the test ends."""
    made = Held()
    yield made
    made.may_end.set()
    until(lambda: made.at_once == 0)


def hangs_on(held: Held, *uuids: str) -> Callable[..., None]:
    def handler(sender: Any, event: Any, **extra: Any) -> None:
        if event.uuid in uuids:
            held(sender)

    return handler


@pytest.mark.parametrize(
    ("signal", "error"),
    [
        (signals.receiver_done, None),
        (signals.event_done, None),
        (signals.receiver_failed, Reject("no")),
        (signals.event_dead, Reject("no")),
    ],
    ids=lambda given: getattr(given, "name", None),
)
@SQLITE
def test_the_lane_goes_on(
    system: System,
    clock: Clock,
    held: Held,
    signal: Any,
    error: BaseException | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """After ten seconds another thread takes the receiver's events, and the log says why; none runs twice."""
    heard = system.on("*", name="a")(Heard(*([error] if error else [])))
    system.store("stuck", "b", "c")
    worker = system.make_worker(system.inbox)
    with signal.connected_to(hangs_on(held, "stuck")):
        worker.start()
        await_(held.has_begun)
        clock.now += LONG
        until(lambda: heard.uuids == ["stuck", "b", "c"])
        system.store("later")
        until(lambda: states(system.inbox)["later"] == "done")
        held.may_end.set()
        until(lambda: held.at_once == 0)
        assert worker.stop(PATIENCE)

    assert heard.uuids == ["stuck", "b", "c", "later"]
    assert set(heard.attempts) == {1}
    assert "claimed" not in {state for state, _ in receipts(system.inbox, "b").values()}
    assert "has not returned for 11 s" in caplog.text


@SQLITE
def test_what_its_thread_has_claimed_is_given_back(
    system: System, clock: Clock, held: Held
) -> None:
    """Of a batch the rest is run by the other thread, once; the first one does nothing when it may go on."""
    first = threading.Event()

    @system.on("*", name="a")
    def slow(sender: Any, event: Any, **extra: Any) -> None:
        heard(sender, event=event, **extra)
        if event.uuid == "e-07":  # settled at once, with the rest of the batch claimed
            first.wait(0.6)

    heard = Heard()
    uuids = [f"e-{number:02}" for number in range(20)]
    system.store(*uuids)
    worker = system.make_worker(system.inbox)
    with signals.receiver_done.connected_to(hangs_on(held, "e-07")):
        worker.start()
        await_(held.has_begun)
        assert 0 < len(heard.uuids) < len(uuids)
        clock.now += LONG
        until(lambda: set(states(system.inbox).values()) == {"done"})
        held.may_end.set()
        until(lambda: held.at_once == 0)
        assert worker.stop(PATIENCE)

    assert heard.uuids == uuids


def _stick(system: System, worker: Worker, clock: Clock, held: Held) -> None:
    """Let as many threads wait for a handler as may."""
    worker.start()
    for number in range(_MOST_STUCK):
        await_(held.has_begun)
        assert held.at_once == number + 1
        clock.now += LONG


@SQLITE
def test_signals_stop_before_events_do(
    system: System, clock: Clock, held: Held, caplog: pytest.LogCaptureFixture
) -> None:
    """Three threads may wait for handlers: then nothing is notified until one returns, and the log says so once."""
    heard = system.on("*", name="a")(Heard())
    uuids = [f"e-{number}" for number in range(_MOST_STUCK)]
    system.store(*uuids)
    worker = system.make_worker(system.inbox)
    notified: list[str] = []

    def remember(sender: Any, event: Any, **extra: Any) -> None:
        notified.append(event.uuid)
        if not held.may_end.is_set():
            held(sender)

    caplog.set_level(logging.WARNING)
    with signals.receiver_done.connected_to(remember):
        _stick(system, worker, clock, held)
        until(lambda: set(states(system.inbox).values()) == {"done"})
        for uuid in ("silent", "silent, too"):
            system.store(uuid)
            until(lambda uuid=uuid: states(system.inbox)[uuid] == "done")  # type: ignore[misc]
        assert notified == uuids
        held.may_end.set()
        until(lambda: held.at_once == 0)
        until(
            lambda: (
                not any(
                    thread.name.startswith("okta-hooks-lane") for thread in threading.enumerate()
                )
            )
        )
        system.store("heard again")
        until(lambda: "heard again" in notified)
        assert worker.stop(PATIENCE)

    assert heard.uuids == [*uuids, "silent", "silent, too", "heard again"]
    assert caplog.text.count("The signals about a receiver's attempts are not sent: ") == 1
    assert caplog.text.count("The signals about a receiver's attempts are sent again") == 1


@SQLITE
def test_a_worker_stops_all_the_same(system: System, clock: Clock, held: Held) -> None:
    """It does not wait for threads that have been replaced."""
    system.on("*", name="a")(Heard())
    system.store("stuck")
    worker = system.make_worker(system.inbox)
    with signals.receiver_done.connected_to(hangs_on(held, "stuck")):
        worker.start()
        await_(held.has_begun)
        clock.now += LONG
        system.store("b")
        until(lambda: states(system.inbox)["b"] == "done")

        assert worker.stop(PATIENCE)
        assert held.at_once == 1

    assert "claimed" not in counts(system.inbox)


@SQLITE
def test_a_handler_that_hangs_where_no_lane_calls_it(system: System, held: Held) -> None:
    """The signals about what no lane has found are sent by a thread of their own: everything else goes on."""
    heard = system.on("*", name="a")(Heard(LookupError("later")))
    system.store("a")
    system.drain()
    with system.inbox.database.transaction() as connection:
        connection.execute(receipt.update().values(due=1e15))
    worker = system.make_worker(system.inbox)

    def hang(sender: Any, **extra: Any) -> None:
        held(sender)

    with signals.inconsistency_found.connected_to(hang):
        worker.start()
        await_(held.has_begun)
        system.store("b", "c")
        until(lambda: heard.uuids == ["a", "b", "c"])
        assert worker.stop(PATIENCE)
