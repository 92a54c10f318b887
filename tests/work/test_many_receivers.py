"""Hundreds of receivers: connections, threads and queries do not grow with them."""

from __future__ import annotations

import statistics
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from okta_hooks.inbox.writer import Writer
from tests.support import PATIENCE, SQLITE, counts, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from okta_hooks.inbox import Inbox

    from .support import System

_EVENTS = 3
_ANSWER_SECONDS = 3.0
_STATEMENTS_A_SECOND = 6.0


class Tally:
    """What each of many receivers was called with."""

    def __init__(self, system: System, number: int) -> None:
        self._lock = threading.Lock()
        self.calls: dict[str, list[str]] = {}
        for index in range(number):
            system.on("*", name=f"r{index:04}")(self._receiver(f"r{index:04}"))

    def _receiver(self, name: str) -> Callable[..., None]:
        def receiver(sender: object, event: Any, **extra: Any) -> None:
            with self._lock:
                self.calls.setdefault(name, []).append(event.uuid)

        return receiver


@pytest.fixture
def writer(inbox: Inbox) -> Iterator[Writer]:
    """Return what stores deliveries, as in a web process."""
    made = Writer(inbox, lambda: None)
    yield made
    made.stop(10.0)


def lanes() -> int:
    return sum(thread.name.startswith("okta-hooks-lane") for thread in threading.enumerate())


@pytest.mark.parametrize(
    ("inbox_url", "number"),
    [("PostgreSQL", 200), ("SQLite", 300)],
    indirect=["inbox_url"],
)
def test_every_receiver_gets_every_event(
    system: System,
    writer: Writer,
    inbox_url: str,
    number: int,
    postgresql: sa.Engine,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Over few connections, while answers stay in time; when all is done no thread and few queries are left."""
    monkeypatch.setattr("okta_hooks.work.lane._IDLE_SECONDS", 0.5)
    tally = Tally(system, number)
    worker = system.make_worker(system.inbox)
    worker.start()
    until(worker.lease.holds)
    answers: list[float] = []
    connections = [0]
    is_over = threading.Event()

    def count() -> None:
        query = sa.text("SELECT count(*) FROM pg_stat_activity WHERE datname = :name")
        with postgresql.connect() as connection:
            while not is_over.wait(0.05):
                name = sa.make_url(inbox_url).database
                connections.append(connection.scalar(query, {"name": name}) or 0)

    counter = threading.Thread(target=count)
    counter.start()
    for index in range(_EVENTS):
        began = time.monotonic()
        writer.store(system.delivery(f"uuid-{index}"), 10.0)
        answers.append(time.monotonic() - began)
        worker.wake()
    until(lambda: counts(system.inbox) == {"done": _EVENTS})
    is_over.set()
    counter.join()

    assert len(tally.calls) == number
    assert all(sorted(calls) == ["uuid-0", "uuid-1", "uuid-2"] for calls in tally.calls.values())
    assert max(answers) < _ANSWER_SECONDS
    assert max(connections) <= 6
    assert "cannot use the inbox" not in caplog.text
    until(lambda: lanes() == 0)
    print(  # noqa: T201 - for the note
        f"{number} receivers: {max(connections)} connections, answers up to {max(answers):.2f} s, "
        f"median {statistics.median(answers):.3f} s"
    )


@SQLITE
def test_answers_while_a_thousand_receivers_have_something_to_do(
    system: System, writer: Writer
) -> None:
    """What is stored goes before what the lanes write, however many they are."""
    tally = Tally(system, 1000)
    worker = system.make_worker(system.inbox)
    worker.start()
    until(worker.lease.holds)
    writer.store(system.delivery("first"), 10.0)
    worker.wake()
    until(lambda: tally.calls)
    answers: list[float] = []
    for index in range(20):
        began = time.monotonic()
        writer.store(system.delivery(f"uuid-{index}"), 10.0)
        answers.append(time.monotonic() - began)
        worker.wake()
        time.sleep(0.1)

    assert lanes() > 100
    assert max(answers) < _ANSWER_SECONDS
    assert worker.stop(PATIENCE)


@pytest.mark.parametrize("number", [1, 1000])
def test_an_idle_worker_asks_little(system: System, number: int) -> None:
    """However many receivers there are, a handful of statements a second look for something to do."""
    Tally(system, number)
    worker = system.make_worker(system.inbox)
    worker.start()
    until(worker.lease.holds)
    # The first pass does more: it says who is connected, and looks whether all is well.
    seen = [0]
    engine: Any = system.inbox.database._system.engine  # noqa: SLF001 - no other way to count
    threads = threading.active_count()
    time.sleep(1.0)

    def count(*_: Any) -> None:
        seen[0] += 1

    sa.event.listen(engine, "before_cursor_execute", count)
    try:
        time.sleep(3.0)
    finally:
        sa.event.remove(engine, "before_cursor_execute", count)

    assert seen[0] / 3.0 <= _STATEMENTS_A_SECOND
    assert seen[0] > 0
    assert threading.active_count() <= threads
    assert lanes() == 0
