"""How commands print lines, times and progress."""

from __future__ import annotations

import os
import sys
import time
from datetime import UTC, datetime
from typing import Any, Final, Self

import click

from okta_hooks.printable import printable

_LONGEST_ERROR: Final = 160
_SECONDS_BETWEEN_LINES: Final = 10.0

_NEXT_UNIT: Final = 1000


def colours() -> bool | None:
    """Return whether to write in colours, or None if that depends on whether the output is a terminal.

    https://no-color.org/, https://force-color.org/; the first that is set decides, as for Python itself.
    """
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return False if os.environ.get("TERM") == "dumb" else None


def has_bars() -> bool:
    """Return whether the standard error can show a progress bar, which goes back to the beginning of its line."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def echo(text: str, *, err: bool = False) -> None:
    """Print a line; what the encoding of the output does not have is escaped."""
    encoding = getattr(sys.stderr if err else sys.stdout, "encoding", None) or "utf-8"
    click.echo(text.encode(encoding, "backslashreplace").decode(encoding), err=err)


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
        self._has_bar = bar and has_bars()
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
        shown = printable(line)
        click.echo(f"\n{shown}" if self._bar is not None else shown, err=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.__exit__(None, None, None)
            self._bar = None


def in_bytes(number: int) -> str:
    """Return a number of bytes as people read it: ``1.2 GB``."""
    size = float(number)
    for unit in ("B", "kB", "MB", "GB"):
        if size < _NEXT_UNIT:
            return f"{size:.0f} B" if unit == "B" else f"{size:.3g} {unit}"
        size /= _NEXT_UNIT
    return f"{size:.3g} TB"
