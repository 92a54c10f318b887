"""The event types that Okta publishes, and which of them it delivers to event hooks.

The list is Okta's as of one release: Okta adds types in most of them, so nothing here is a reason to refuse one.
https://developer.okta.com/docs/reference/api/event-types/

``EventType`` is a ``Literal`` of all identifiers, for editors; ``RELEASE`` is the release of Okta's list.
Releases are numbered by year and month, ``2026.08.1``, and from October 2026 on by year and week, ``2026.41.0``.
"""

from __future__ import annotations

import csv
import functools
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.resources import files
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ._event_types import RELEASE, EventType

__all__ = ["RELEASE", "CatalogEntry", "EventType", "entries", "get", "suggest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogEntry:
    """One event type.

    ``stage`` is ``"ga"``, ``"beta"`` or ``"internal"``; ``since_release`` is Okta's release that added it.
    """

    event_type: str
    event_hook_eligible: bool
    stage: str
    since_release: str


@functools.cache
def entries() -> Mapping[str, CatalogEntry]:
    """Return the whole catalogue by identifier. The file is read when it is first asked for."""
    text = files(__package__).joinpath("event_types.csv").read_text(encoding="utf-8")
    return MappingProxyType(
        {
            row["event_type"]: CatalogEntry(
                event_type=row["event_type"],
                event_hook_eligible=row["event_hook_eligible"] == "yes",
                stage=row["stage"],
                since_release=row["since_release"],
            )
            for row in csv.DictReader(text.splitlines())
        }
    )


def get(event_type: str) -> CatalogEntry | None:
    """Return what is known of an event type, or None.

    :param event_type: The identifier, in Okta's case.
    """
    return entries().get(event_type)


def suggest(event_type: str, among: Iterable[str] | None = None) -> str | None:
    """Return the identifier that is nearest to a misspelt one, or None if none is near.

    :param among: The identifiers to choose from; by default those that Okta delivers to event hooks
        and, if none of these is near, all others.
    """
    if among is None:
        eligible = [name for name, entry in entries().items() if entry.event_hook_eligible]
        return suggest(event_type, eligible) or suggest(event_type, entries())
    by_lower = {name.lower(): name for name in among}
    near = get_close_matches(event_type.lower(), by_lower, 1, 0.75)
    return by_lower[near[0]] if near else None


def suggest_prefix(stem: str) -> str | None:
    """Return the pattern ``prefix.*`` nearest to a misspelt prefix, or None if none is near.

    :param stem: The prefix, without ``.*``. What comes back has as many segments,
        and has types below it that Okta delivers to event hooks.
    """
    depth = stem.count(".") + 1
    prefixes = {
        ".".join(segments[:depth])
        for name, entry in entries().items()
        if entry.event_hook_eligible and len(segments := name.split(".")) > depth
    }
    near = suggest(stem, prefixes)
    return f"{near}.*" if near else None


def __getattr__(name: str) -> Any:
    if name in ("EventType", "RELEASE"):
        from . import _event_types  # the Literal takes longer to make than the rest of the package

        return getattr(_event_types, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
