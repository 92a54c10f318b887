"""What an event says happened, as far as two accounts of the same event cannot differ in it.

The System Log and a delivery write one event differently: keys that are null or left out, the addresses of a request in
another place, the hooks that it was meant for in one of them only. What is compared here is the same in both.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final, NamedTuple

from okta_hooks.exceptions import UnreadableEvent

from . import reading

#: In seconds: some write fractions of one, and some do not.
_SAME_TIME: Final = 1.0


class Content(NamedTuple):
    """What an event says happened: what, when, by whom, to whom, with which result. None is what it does not say."""

    event_type: str
    published: float | None
    actor: str | None
    targets: tuple[str, ...] | None
    result: str | None

    def contradicts(self, other: Content) -> bool:
        """Return whether one event cannot have said both. What one of them leaves out is no contradiction."""
        if self.published is not None and other.published is not None:
            is_same_time = abs(self.published - other.published) < _SAME_TIME
        else:
            is_same_time = True
        return not is_same_time or any(
            mine is not None and theirs is not None and mine != theirs
            for mine, theirs in (
                (self.event_type, other.event_type),
                (self.actor, other.actor),
                (self.targets, other.targets),
                (self.result, other.result),
            )
        )

    @property
    def digest(self) -> str:
        """A short hash of it."""
        said = self._replace(published=self.published and self.published // _SAME_TIME)
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:12]


def content_of(raw: object) -> Content | None:
    """Return what an event says happened, or None if it cannot be read.

    :param raw: As for :func:`~okta_hooks.wire.reading.load_event`.
    """
    try:
        keys = reading.event_keys(raw)
    except UnreadableEvent:
        return None
    result = _text(raw, "outcome", "result")
    return Content(
        event_type=keys.event_type,
        published=keys.published,
        actor=_text(raw, "actor", "id"),
        targets=_targets(raw),
        result=result and result.upper(),
    )


def _text(raw: Any, *path: str) -> str | None:
    for key in path:
        raw = raw.get(key) if isinstance(raw, dict) else None
    return raw if isinstance(raw, str) and raw else None


def _targets(raw: Any) -> tuple[str, ...] | None:
    """Return the ids of all targets in one order, or None if there are none, or one has no id."""
    targets = raw.get("target")
    ids = [_text(each, "id") for each in targets] if isinstance(targets, list) else []
    known = sorted(each for each in ids if each is not None)
    return tuple(known) if known and len(known) == len(ids) else None
