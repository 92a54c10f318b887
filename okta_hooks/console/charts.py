"""Charts as SVG: their geometry. Colours are the style sheet's, numbers stand in a table beside them, too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .shown import iso

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH: Final = 480.0
HEIGHT: Final = 96.0
_GAP: Final = 1.5
#: What is not nothing can be seen.
_LOWEST: Final = 1.5
HOUR: Final = 3600
DAY: Final = 24 * HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A bar of a chart, with the time in whose hour or day it is, and what it says."""

    x: str
    y: str
    width: str
    height: str
    label: str
    value: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Numbers over time. ``kind`` chooses its colour; ``ticks`` are places and texts along the time."""

    title: str
    kind: str
    total: int
    highest: int
    bars: Sequence[Bar]
    ticks: Sequence[tuple[str, str]]


def chart(title: str, kind: str, starts: Sequence[int], values: Sequence[int], step: int) -> Chart:
    """Return a chart.

    :param starts: When each hour or day begins, in seconds since the epoch.
    :param step: How long each is, in seconds.
    """
    highest = max(values, default=0)
    slot = WIDTH / max(len(values), 1)
    bars = []
    for number, (start, value) in enumerate(zip(starts, values, strict=True)):
        height = max(HEIGHT * value / highest, _LOWEST) if value else 0.0
        bars.append(
            Bar(
                x=f"{number * slot + _GAP / 2:.2f}",
                y=f"{HEIGHT - height:.2f}",
                width=f"{max(slot - _GAP, 0.5):.2f}",
                height=f"{height:.2f}",
                label=label(start, step),
                value=value,
            )
        )
    return Chart(
        title=title,
        kind=kind,
        total=sum(values),
        highest=highest,
        bars=bars,
        ticks=_ticks(starts, slot, step),
    )


def label(start: int, step: int) -> str:
    """Return an hour or a day in words."""
    text = iso(start) or ""
    return text[5:10] if step == DAY else f"{text[5:10]} {text[11:16]}"


def _ticks(starts: Sequence[int], slot: float, step: int) -> list[tuple[str, str]]:
    """Return where the days begin, or every seventh of them."""
    found = []
    for number, start in enumerate(starts):
        text = iso(start) or ""
        is_tick = number % 7 == 0 if step == DAY else (start // HOUR) % 12 == 0
        if is_tick:
            found.append(
                (
                    f"{number * slot:.2f}",
                    text[5:10] if step == DAY or start % DAY == 0 else text[11:16],
                )
            )
    return found
