"""What was measured: for each item and contender one value per round."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_One = TypeVar("_One")


class Ratio(NamedTuple):
    """A ratio of medians, and the least and the greatest ratio within one round."""

    median: float
    least: float
    greatest: float


class Figures:
    """Values by item and contender, in the order in which they were added, and what failed."""

    def __init__(self) -> None:
        self.values: dict[str, dict[str, list[float]]] = {}
        self.failed: dict[str, dict[str, str]] = {}

    def measure(
        self,
        item: str,
        contenders: Sequence[str],
        call: Callable[..., Sequence[float]],
        *arguments: object,
    ) -> None:
        """Add what a call returns, one value for each contender; if it raises, they have failed, and are left out.

        A round without a contender would not be the same for the others: who fails once has failed.
        """
        if any(name in self.failed.get(item, {}) for name in contenders):
            return
        try:
            values = call(*arguments)
        except Exception as error:  # noqa: BLE001 - whatever it is, the others go on
            for name in contenders:
                self.fail(item, name, error)
        else:
            for name, value in zip(contenders, values, strict=True):
                self.add(item, name, value)

    def fail(self, item: str, contender: str, error: Exception) -> None:
        """Take a contender out of an item, and show why."""
        self.values.get(item, {}).pop(contender, None)
        self.failed.setdefault(item, {})[contender] = type(error).__name__
        print(f"  {item}: {contender}: failed: {error}", flush=True)

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
        each = [a / b for a, b in zip(mine, theirs, strict=False)]  # an item may have broken off
        return Ratio(median(mine) / median(theirs), min(each), max(each))


def turns(contenders: Sequence[_One], rounds: int) -> Iterator[_One]:
    """Yield all of them in each round, each time beginning with the next one."""
    for number in range(rounds):
        first = number % len(contenders)
        yield from [*contenders[first:], *contenders[:first]]
