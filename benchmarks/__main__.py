"""Measures everything in one run: ``python -m benchmarks``, or less of everything with ``--quick``."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from . import dispatch, endpoint, footprint, growth, latency, parser
from .figures import Figures
from .load import require_wrk
from .report import machine, report
from .servers import postgresql

if TYPE_CHECKING:
    from collections.abc import Sequence

_RESULTS: Final = Path(__file__).with_name("results")
_ITEMS: Final = ("endpoint", "latency", "parser", "dispatch", "memory", "growth", "footprint")


class _Extent(NamedTuple):
    """How much is measured."""

    rounds: int = 5
    seconds_of_load: int = 4
    seconds_at_a_pace: int = 90
    parsed: int = 500
    dispatched: int = 5_000
    drained: tuple[int, int] = (1_000, 100_000)
    grown: tuple[int, int] = (10_000, 1_000_000)
    stored: int = 200
    starts: int = 15


_QUICK: Final = _Extent(
    rounds=1,
    seconds_of_load=1,
    seconds_at_a_pace=3,
    parsed=50,
    dispatched=500,
    drained=(500, 2_000),
    grown=(10_000, 50_000),
    stored=20,
    starts=3,
)


def main() -> None:
    """Measure, print, write."""
    options = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    options.add_argument("--quick", action="store_true", help="about a minute; writes nothing")
    options.add_argument("--only", choices=_ITEMS, action="append", help="writes nothing")
    given = options.parse_args()
    require_wrk()
    described = machine()
    figures = Figures()
    with tempfile.TemporaryDirectory(prefix="okta-hooks-", ignore_cleanup_errors=True) as name:
        extent = _QUICK if given.quick else _Extent()
        _measure(figures, given.only or _ITEMS, extent, Path(name))
    report(figures, described, None if given.quick or given.only else _RESULTS)


def _measure(figures: Figures, items: Sequence[str], extent: _Extent, folder: Path) -> None:
    rounds = extent.rounds
    with postgresql(folder) as new:
        if "endpoint" in items:
            endpoint.measure(figures, new, folder, rounds=rounds, seconds=extent.seconds_of_load)
        if "latency" in items:
            latency.measure(figures, new, folder, seconds=extent.seconds_at_a_pace)
        if "parser" in items:
            parser.measure(figures, rounds=rounds, times=extent.parsed)
        if "dispatch" in items:
            dispatch.measure(figures, new, folder, rounds=rounds, events=extent.dispatched)
        if "memory" in items:
            dispatch.measure_memory(figures, folder, sizes=extent.drained)
        if "growth" in items:
            growth.measure(figures, new, folder, sizes=extent.grown, times=extent.stored)
        if "footprint" in items:
            footprint.measure(figures, folder, rounds=extent.starts)


if __name__ == "__main__":
    main()
