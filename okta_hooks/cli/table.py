"""Rows for people: in columns where these fit the terminal, else one below the other."""

from __future__ import annotations

import os
import shutil
import sys
import unicodedata
from typing import TYPE_CHECKING, Any, Final

from okta_hooks.printable import printable

from .output import echo

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_GAP: Final = "  "


def print_table(rows: Sequence[Mapping[str, Any]], *, head: str | None = None) -> None:
    """Print rows, all with the same keys.

    They are in columns under these keys, unless that is wider than the terminal. Where the output is no terminal
    it may be as wide as it is, for what reads it, unless ``COLUMNS`` says how wide.

    :param head: The key whose value stands above the others of a row; by default the first.
    """
    if not rows:
        echo("(none)")
        return
    cells = [list(rows[0]), *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
    available = _available()
    if available is None or sum(widths) + len(_GAP) * (len(widths) - 1) <= available:
        for line in cells:
            padded = map(_padded, line, widths)
            echo(_GAP.join(padded).rstrip())
    else:
        for row in rows:
            first = next(iter(row)) if head is None else head
            _print_below({first: row[first], **row}, available)


def _print_below(row: Mapping[str, Any], available: int) -> None:
    """Print the first value of a row, and below it the others that are there, each with its key."""
    (_, first), *rest = row.items()
    echo(_cell(first))
    line = ""
    for key, value in rest:
        if value is None:
            continue
        text = f"{key}: {_cell(value)}" if key else _cell(value)
        if line and _width(line + _GAP + text) > available:
            echo(line)
            line = ""
        line += _GAP + text
    if line:
        echo(line)


def _available() -> int | None:
    """Return how many columns there are, or None if there may be any number."""
    if os.environ.get("COLUMNS", "").isdecimal() or sys.stdout.isatty():
        return shutil.get_terminal_size().columns
    return None


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return printable(str(value))


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _width(text))


def _width(text: str) -> int:
    """Return how many columns a text takes: a terminal gives two to a wide character, and none to a combining one."""
    return (
        len(text)
        + sum(unicodedata.east_asian_width(character) in "WF" for character in text)
        - sum(unicodedata.combining(character) > 0 for character in text)
    )
