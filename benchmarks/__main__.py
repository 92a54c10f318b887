"""Measures everything in one run: ``python -m benchmarks``, or less of everything with ``--quick``."""

from __future__ import annotations

import argparse
import tempfile
import time
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from . import dispatch, endpoint, footprint, growth, latency, looking, parser, through_celery
from .figures import Figures
from .load import require_wrk
from .report import machine, tables, write
from .servers import postgresql
from .stock import stock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .stock import Stock

_RESULTS: Final = Path(__file__).with_name("results")
_ITEMS: Final = (
    "endpoint",
    "latency",
    "parser",
    "dispatch",
    "celery",
    "memory",
    "growth",
    "looking",
    "footprint",
)


class _Extent(NamedTuple):
    """How much is measured."""

    rounds: int = 5
    seconds_of_load: int = 3
    rounds_at_a_pace: int = 3
    seconds_at_a_pace: int = 30
    parsed: int = 500
    dispatched: int = 5_000
    rounds_of_draining: int = 3
    drained: tuple[int, int] = (1_000, 100_000)
    grown: tuple[int, int] = (10_000, 10_000_000)
    stored: int = 50
    looks: int = 15
    looking_starts: int = 3
    starts: int = 15


_QUICK: Final = _Extent(
    rounds=1,
    seconds_of_load=1,
    rounds_at_a_pace=1,
    seconds_at_a_pace=3,
    parsed=50,
    dispatched=2_000,
    rounds_of_draining=1,
    drained=(500, 2_000),
    grown=(10_000, 50_000),
    stored=4,
    looks=3,
    looking_starts=1,
    starts=3,
)


def main() -> None:
    """Measure, print, write."""
    options = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    options.add_argument(
        "--quick", action="store_true", help="about four minutes; judges and writes nothing"
    )
    options.add_argument("--only", choices=_ITEMS, action="append", help="writes nothing")
    options.add_argument(
        "--events", type=int, help="how many the large inbox holds; by default 10 million"
    )
    given = options.parse_args()
    extent = _QUICK if given.quick else _Extent()
    if given.events is not None:
        extent = extent._replace(grown=(extent.grown[0], given.events))
    require_wrk()
    described = machine()
    figures = Figures()
    with ExitStack() as stack:
        folder = Path(
            stack.enter_context(
                tempfile.TemporaryDirectory(prefix="okta-hooks-", ignore_cleanup_errors=True)
            )
        )
        new = stack.enter_context(postgresql(folder))

        @cache
        def filled() -> Sequence[Stock]:
            return [
                stock(kind, url, events, folder, stack)
                for events in extent.grown
                for kind, url in (
                    ("SQLite", f"sqlite:///{folder / f'{events}.sqlite3'}"),
                    ("PostgreSQL", new()),
                )
            ]

        for item in given.only or _ITEMS:
            began = time.monotonic()
            try:
                _measure(figures, item, extent, new, folder, filled)
            except Exception as error:  # noqa: BLE001 - whatever it is, the other items go on
                figures.fail(item, "all that is left of it", error)
            print(f"{item}: {time.monotonic() - began:.0f} s", flush=True)
            if not given.quick and not given.only:
                write(figures, described, _RESULTS)
    print(f"\n{tables(figures, judged=not given.quick)}")


def _measure(
    figures: Figures,
    item: str,
    extent: _Extent,
    postgresql: Callable[[], str],
    folder: Path,
    filled: Callable[[], Sequence[Stock]],
) -> None:
    rounds = extent.rounds
    if item == "endpoint":
        endpoint.measure(figures, postgresql, folder, rounds=rounds, seconds=extent.seconds_of_load)
    elif item == "latency":
        latency.measure(
            figures,
            postgresql,
            folder,
            rounds=extent.rounds_at_a_pace,
            seconds=extent.seconds_at_a_pace,
        )
    elif item == "parser":
        parser.measure(figures, rounds=rounds, times=extent.parsed)
    elif item == "dispatch":
        dispatch.measure(
            figures,
            postgresql,
            folder,
            rounds=extent.rounds_of_draining,
            events=extent.dispatched,
        )
    elif item == "celery":
        through_celery.measure(
            figures,
            postgresql,
            folder,
            rounds=extent.rounds_of_draining,
            events=extent.dispatched,
        )
    elif item == "memory":
        dispatch.measure_memory(
            figures, folder, rounds=extent.rounds_of_draining, sizes=extent.drained
        )
    elif item == "growth":
        growth.measure(figures, filled(), times=extent.stored)
    elif item == "looking":
        looking.measure(figures, filled(), times=extent.looks, starts=extent.looking_starts)
    else:
        footprint.measure(figures, folder, rounds=extent.starts)


if __name__ == "__main__":
    main()
