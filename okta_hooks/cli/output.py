"""How commands print rows and times."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Self

import click

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LONGEST_ERROR: Final = 160
_SECONDS_BETWEEN_LINES: Final = 10.0


def print_rows(rows: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    """Print rows, all with the same keys, as JSON or as a table."""
    if as_json:
        click.echo(json.dumps(rows))
    else:
        print_table(rows)


def print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows in columns, under the keys of the first."""
    if not rows:
        click.echo("(none)")
        return
    cells = [list(rows[0]), *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        padded = (text.ljust(width) for text, width in zip(line, widths, strict=True))
        click.echo("  ".join(padded).rstrip())


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Return a number with its noun: ``1 event``, ``2 events``."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def is_or_are(number: int) -> str:
    """Return the verb that goes with a number."""
    return "is" if number == 1 else "are"


def shortened(error: str | None) -> str:
    """Return the beginning of an error, as much as fits into a line or two of a terminal."""
    text = error or ""
    return text if len(text) <= _LONGEST_ERROR else f"{text[:_LONGEST_ERROR]}..."


def iso(seconds: float | None) -> str | None:
    """Return a time in seconds since the epoch as ISO 8601."""
    if seconds is None:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):  # no calendar has it
        return f"{seconds:g} s"


class Progress:
    """How far a reading of a log has got, on the standard error: a bar if that is a terminal, else lines.

    :param bar: Whether the reading comes to an end, so that a bar can show how much is left.
    """

    def __init__(self, *, bar: bool) -> None:
        self._has_bar = bar and sys.stderr.isatty()
        self._bar: Any = None
        self._position = 0.0
        self._began = self._told_at = time.monotonic()
        self._news = ""

    def begin(self, since: float | None, until: float, org: str) -> None:
        """Say from when on what is read.

        :param since: In seconds since the epoch, as all times here.
        :param until: What is the end for now.
        :param org: Whose log it is.
        """
        start = "" if since is None else f" from {iso(since)}"
        click.echo(f"Reading the System Log of {org}{start}.", err=True)
        if self._has_bar and since is not None:
            self._position = since
            self._bar = click.progressbar(
                length=max(int(until - since), 1),
                file=sys.stderr,
                show_eta=False,
                item_show_func=lambda text: text,
            )
            self._bar.__enter__()

    def show(self, events: int, reached: float | None, news: str) -> None:
        """Say how far it has got.

        :param events: How many have been read.
        :param news: What else there is to say.
        """
        rate = events / max(time.monotonic() - self._began, 0.001)
        upto = "" if reached is None else f", up to {iso(reached)}"
        text = f"{counted(events, 'event')}, {rate:.0f}/s{upto}, {news}"
        if self._bar is not None:
            step = max(0, int((reached or 0) - self._position))
            self._position += step
            self._bar.update(step, text)
        elif news != self._news and time.monotonic() - self._told_at > _SECONDS_BETWEEN_LINES:
            click.echo(text, err=True)
            self._told_at, self._news = time.monotonic(), news

    def tell(self, line: str) -> None:
        """Say something else in between."""
        click.echo(f"\n{line}" if self._bar is not None else line, err=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.__exit__(None, None, None)
            self._bar = None
