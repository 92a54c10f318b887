"""What a check has found out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from okta_hooks.printable import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

Level: TypeAlias = Literal["ok", "warning", "failure", "skipped"]

LEVELS: Final[tuple[Level, ...]] = ("failure", "warning", "ok", "skipped")


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at: its name, how it is, what was seen, and what to do about it.

    A ``failure`` loses events or keeps them from receivers; a ``warning`` may, or soon will.
    """

    name: str
    level: Level
    text: str
    cure: str | None = None

    def __post_init__(self) -> None:
        # Both may quote what others have said: an endpoint, Okta, whoever named a hook.
        object.__setattr__(self, "text", printable(self.text))
        object.__setattr__(self, "cure", self.cure and printable(self.cure))


def ok(name: str, text: str) -> Check:
    """Return that all is well."""
    return Check(name=name, level="ok", text=text)


def warning(name: str, text: str, cure: str) -> Check:
    """Return that something should be looked after."""
    return Check(name=name, level="warning", text=text, cure=cure)


def failure(name: str, text: str, cure: str) -> Check:
    """Return that something is wrong."""
    return Check(name=name, level="failure", text=text, cure=cure)


def skipped(name: str, text: str, cure: str | None = None) -> Check:
    """Return that something was not looked at, and how it would be."""
    return Check(name=name, level="skipped", text=text, cure=cure)


def age(seconds: float) -> str:
    """Return a span of time as people say it."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def ordinal(number: int) -> str:
    """Return in words which element of a list is meant, counted from 0."""
    names = ("first", "second", "third")
    return names[number] if number < len(names) else f"{number + 1}th"


def listed(names: Sequence[str], most: int = 5) -> str:
    """Return names as a list for people, cut when it is long."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
