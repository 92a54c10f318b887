"""How many stored events a second go through a receiver that does nothing; how much memory that takes."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from okta_hooks.events import Delivery
from okta_hooks.inbox import Inbox, incoming
from okta_hooks.schemas import load_delivery

from .load import bodies
from .servers import okta_hooks, redis, running

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .figures import Figures

ITEM: Final = "events dispatched per second"
SQLITE: Final = "okta_hooks, SQLite: one lane"
CELERY: Final = "Celery, Redis, acks_late: one process (prefork)"
CELERY_SOLO: Final = "Celery, Redis, acks_late: one process (solo)"
MEMORY: Final = "a worker's peak of memory, MB"
_SECONDS: Final = 600.0
_IN_A_DELIVERY: Final = 10


def fill(inbox: Inbox, events: int, in_each: int = _IN_A_DELIVERY) -> None:
    """Store so many events, as an endpoint does."""
    waiting = []
    for text in bodies(events, in_each):
        received = Delivery(event_id=None, source=None, via="hook", received_at=datetime.now(UTC))
        waiting.append(incoming("okta", load_delivery(text.encode()), received))
        if len(waiting) == 100:
            inbox.store(waiting)
            waiting = []
    inbox.store(waiting)


def _rate(left: Callable[[], int], events: int) -> float:
    """Return events per second, from when a part of them is done: starting does not count."""
    give_up_at = time.monotonic() + _SECONDS
    first: tuple[int, float] | None = None
    while True:
        now, number = time.monotonic(), left()
        if first is None and number < events * 0.95:
            first = number, now
        if number == 0 and first is not None:
            return first[0] / (now - first[1])
        if now > give_up_at:
            raise TimeoutError(f"{number} of {events} events are left.")
        time.sleep(0.05)


def _ours(url: str, events: int, folder: Path) -> tuple[float, float]:
    """Return events per second, and the worker's peak of memory."""
    inbox = Inbox(url)
    fill(inbox, events)
    command = ["flask", "--app=benchmarks.apps:ours()", "okta-hooks", "worker"]
    with running(command, okta_hooks(url), folder) as worker:
        rate = _rate(lambda: _open(inbox), events)
        peak = worker.peak()
    inbox.close()
    return rate, peak


def _open(inbox: Inbox) -> int:
    counted = inbox.counts()
    return int(counted["pending"] + counted["claimed"])


def _celery(pool: str, events: int, folder: Path) -> float:
    import celery
    from redis import Redis

    with redis(folder) as url:
        app = celery.Celery(broker=url)
        client = Redis(unix_socket_path=url.removeprefix("redis+socket://"))
        with app.connection_for_write() as connection:
            producer = app.amqp.Producer(connection)
            for text in bodies(events, 1):
                event = json.loads(text)["data"]["events"][0]
                app.send_task("handle", args=[event], producer=producer)

        def left() -> int:
            queued: Any = client.llen("celery")
            in_hand: Any = client.hlen("unacked")
            return int(queued + in_hand)

        # It is made by calling a function, which Celery's option does not do.
        command = ["celery", "--app=benchmarks.tasks", "worker", f"--pool={pool}"]
        options = ["--concurrency=1", "--without-gossip", "--without-mingle", "--loglevel=warning"]
        with running([*command, *options], {"BENCH_BROKER": url}, folder):
            return _rate(left, events)


def measure(
    figures: Figures, postgresql: Callable[[], str], folder: Path, *, rounds: int, events: int
) -> None:
    """Drain as many events by each, in turn, in each round."""
    for _ in range(rounds):
        rate, _ = _ours(_new(folder), events, folder)
        figures.add(ITEM, SQLITE, rate)
        rate, _ = _ours(postgresql(), events, folder)
        figures.add(ITEM, "okta_hooks, PostgreSQL: one lane", rate)
        figures.add(ITEM, CELERY, _celery("prefork", events, folder))
        figures.add(ITEM, CELERY_SOLO, _celery("solo", events, folder))


def measure_memory(figures: Figures, folder: Path, *, sizes: tuple[int, ...]) -> None:
    """Drain a few events, and many."""
    for events in sizes:
        _, peak = _ours(_new(folder), events, folder)
        figures.add(MEMORY, f"{events:,} events", peak)


def _new(folder: Path) -> str:
    for old in folder.glob("drained.sqlite3*"):
        old.unlink()
    return f"sqlite:///{folder / 'drained.sqlite3'}"
