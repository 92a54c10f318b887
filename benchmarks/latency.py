"""How long Okta waits for the 204 at ten times its cap, while every receiver hangs."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

from .figures import turns
from .load import at_a_pace
from .servers import gunicorn, okta_hooks, port_of, running

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .figures import Figures

ITEM: Final = "milliseconds to the 204 at 10 times Okta's cap, all receivers hanging"
#: Okta delivers at most 400,000 events a day and org.
PER_SECOND: Final = 10 * 400_000 / 86_400
QUANTILES: Final = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999, "max": 1.0}


def measure(
    figures: Figures, postgresql: Callable[[], str], folder: Path, *, rounds: int, seconds: float
) -> None:
    """Deliver single events at that pace, to each kind of database, in turn in each round."""
    numbers = itertools.count()

    def sqlite() -> str:
        return f"sqlite:///{folder / f'latency-{next(numbers)}.sqlite3'}"

    for kind, new in turns([("SQLite", sqlite), ("PostgreSQL", postgresql)], rounds):
        names = [f"{kind}, {name}" for name in QUANTILES]
        figures.measure(ITEM, names, _quantiles, new, seconds, folder)


def _quantiles(new: Callable[[], str], seconds: float, folder: Path) -> list[float]:
    environment = okta_hooks(new(), "thread") | {"BENCH_HANG": "1"}
    with running(gunicorn("ours"), environment, folder) as server:
        port = port_of(server)
        at_a_pace(port, PER_SECOND, 2)
        took = sorted(at_a_pace(port, PER_SECOND, seconds))
    places = (min(int(share * len(took)), len(took) - 1) for share in QUANTILES.values())
    return [took[place] * 1000 for place in places]
