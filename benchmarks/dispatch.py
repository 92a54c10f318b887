"""How many stored events a second go through a receiver that does nothing; how much memory that takes."""

from __future__ import annotations

import json
import time
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from okta_hooks.inbox import Inbox
from okta_hooks.inbox.intake import incoming
from okta_hooks.wire.events import Delivery
from okta_hooks.wire.reading import load_delivery

from .figures import turns
from .load import bodies
from .servers import okta_hooks, redis, running, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from .figures import Figures
    from .servers import Process

ITEM: Final = "events dispatched per second"
SQLITE: Final = "okta_hooks, SQLite: one lane"
POSTGRESQL: Final = "okta_hooks, PostgreSQL: one lane"
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
            inbox.intake.store(waiting)
            waiting = []
    inbox.intake.store(waiting)


def rate(left: Callable[[], int], events: int) -> float:
    """Return events per second, from when a part of them is done: starting does not count."""
    give_up_at = time.monotonic() + _SECONDS
    first: tuple[int, float] | None = None
    while True:
        now, number = time.monotonic(), left()
        if first is None and 0 < number < events * 0.95:
            first = number, now
        if number == 0:
            if first is None:
                raise RuntimeError(f"{events} events were done between two looks: take more.")
            return first[0] / (now - first[1])
        if now > give_up_at:
            raise TimeoutError(f"{number} of {events} events are left.")
        time.sleep(0.05)


@contextmanager
def _draining(url: str, events: int, folder: Path) -> Iterator[tuple[Process, Callable[[], int]]]:
    """Store so many events and start a worker; yields it, and what counts the events that are left."""
    inbox = Inbox(url)
    fill(inbox, events)

    def left() -> int:
        return inbox.overview.counts().open

    command = ["flask", "--app=benchmarks.apps:ours()", "okta-hooks", "worker"]
    with closing(inbox), running(command, okta_hooks(url), folder) as worker:
        yield worker, left


def _ours(new: Callable[[], str], events: int, folder: Path) -> list[float]:
    with _draining(new(), events, folder) as (_, left):
        return [rate(left, events)]


def _peak(events: int, folder: Path) -> list[float]:
    with _draining(_new(folder), events, folder) as (worker, left):
        # Counting many events takes time of the processor.
        until(lambda: left() == 0, _SECONDS, f"{events} events done", every=0.5)
        return [worker.peak()]


def _celery(pool: str, events: int, folder: Path) -> list[float]:
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
            return [rate(left, events)]


def measure(
    figures: Figures, postgresql: Callable[[], str], folder: Path, *, rounds: int, events: int
) -> None:
    """Drain as many events by each, in turn, in each round."""
    everybody: list[tuple[str, Callable[..., list[float]], object]] = [
        (SQLITE, _ours, partial(_new, folder)),
        (POSTGRESQL, _ours, postgresql),
        (CELERY, _celery, "prefork"),
        (CELERY_SOLO, _celery, "solo"),
    ]
    for name, drain, how in turns(everybody, rounds):
        figures.measure(ITEM, [name], drain, how, events, folder)


def measure_memory(figures: Figures, folder: Path, *, rounds: int, sizes: tuple[int, ...]) -> None:
    """Drain a few events, and many, each by a fresh worker, in turn in each round."""
    for events in turns(sizes, rounds):
        figures.measure(MEMORY, [f"{events:,} events"], _peak, events, folder)


def _new(folder: Path) -> str:
    for old in folder.glob("drained.sqlite3*"):
        old.unlink()
    return f"sqlite:///{folder / 'drained.sqlite3'}"
