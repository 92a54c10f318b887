"""What was measured: for each item and contender one value per round."""

from __future__ import annotations

from statistics import median
from typing import NamedTuple


class Ratio(NamedTuple):
    """A ratio of medians, and the least and the greatest ratio within one round."""

    median: float
    least: float
    greatest: float


class Figures:
    """Values by item and contender, in the order in which they were added."""

    def __init__(self) -> None:
        self.values: dict[str, dict[str, list[float]]] = {}

    def add(self, item: str, contender: str, value: float) -> None:
        """Add one round's value, and show it."""
        self.note(item, contender, value)
        print(f"  {item}: {contender}: {value:,.4g}", flush=True)

    def note(self, item: str, contender: str, value: float) -> None:
        """Add one value of very many."""
        self.values.setdefault(item, {}).setdefault(contender, []).append(value)

    def median(self, item: str, contender: str) -> float:
        """Return the median over the rounds."""
        return median(self.values[item][contender])

    def ratio(self, item: str, contender: str, to: str) -> Ratio:
        """Return how many times another contender's value this one's is."""
        mine, theirs = self.values[item][contender], self.values[item][to]
        each = [a / b for a, b in zip(mine, theirs, strict=True)]
        return Ratio(median(mine) / median(theirs), min(each), max(each))
