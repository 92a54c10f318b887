"""How many events a second come from where they are kept through Celery to the end of a receiver that does nothing."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

from okta_hooks.inbox import Inbox

from .dispatch import fill, rate
from .figures import turns
from .sending import SENT
from .servers import okta_hooks, redis, running

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .figures import Figures

ITEM: Final = "events through Celery per second"
_POOLS: Final = {1: "one process", 2: "two processes"}
OURS: Final = {
    number: f"okta_hooks, PostgreSQL, its relay: {words}" for number, words in _POOLS.items()
}
THEIRS: Final = {number: f".delay, acks_late: {words}" for number, words in _POOLS.items()}


def _worker(module: str, processes: int) -> list[str]:
    options = ["--without-gossip", "--without-mingle", "--loglevel=warning"]
    return ["celery", f"--app={module}", "worker", f"--concurrency={processes}", *options]


def _ours(new: Callable[[], str], processes: int, events: int, folder: Path) -> list[float]:
    url = new()
    with redis(folder) as broker, closing(Inbox(url)) as inbox:
        fill(inbox, events)

        def left() -> int:
            return inbox.overview.counts().open

        environment = okta_hooks(url, "celery") | {"BENCH_BROKER": broker}
        relay = ["flask", "--app=benchmarks.apps:engine()", "okta-hooks", "relay"]
        with (
            running(_worker("benchmarks.engine", processes), environment, folder),
            running(relay, environment, folder),
        ):
            return [rate(left, events)]


def _theirs(processes: int, events: int, folder: Path) -> list[float]:
    from redis import Redis

    with redis(folder) as broker:
        client = Redis(unix_socket_path=broker.removeprefix("redis+socket://"))

        def left() -> int:
            # In this order: what is sent meanwhile counts as left.
            sent: Any = client.get(SENT) or 0
            queued: Any = client.llen("celery")
            in_hand: Any = client.hlen("unacked")
            return events - int(sent) + int(queued) + int(in_hand)

        environment = {"BENCH_BROKER": broker}
        sender = ["python", "-m", "benchmarks.sending", str(events)]
        with (
            running(_worker("benchmarks.tasks", processes), environment, folder),
            running(sender, environment, folder),
        ):
            return [rate(left, events)]


def measure(
    figures: Figures, postgresql: Callable[[], str], folder: Path, *, rounds: int, events: int
) -> None:
    """Let as many events come through either, with one process of the pool and with two, in turn in each round."""
    everybody: list[tuple[str, Callable[..., list[float]], tuple[Any, ...]]] = []
    for processes in _POOLS:
        everybody.append((OURS[processes], _ours, (postgresql, processes)))
        everybody.append((THEIRS[processes], _theirs, (processes,)))
    for name, call, given in turns(everybody, rounds):
        figures.measure(ITEM, [name], call, *given, events, folder)
