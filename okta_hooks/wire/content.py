"""What an event says happened, as far as the System Log and a delivery cannot differ in it.

They write one event differently: keys that are null or left out, the addresses of a request in another place, the hooks
that it was meant for in one of them only. What is compared here is the same in both.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from okta_hooks.exceptions import UnreadableEvent

from . import reading

#: In seconds: some write fractions of one, and some do not.
_SAME_TIME: Final = 1.0
#: What Okta writes where it has nothing to write, in lower case.
_NOTHING: Final = frozenset({"", "null", "unknown"})


class Content(NamedTuple):
    """What an event says happened: what, when, by whom, to whom, with which result. None is what it does not say.

    The ids of targets, and their alternate ids, are in one order; they are None unless each target has one. So an event
    without targets does not say that there were none: null, an empty list and no list are the same.
    """

    event_type: str
    published: float | None
    actor_id: str | None
    actor_alternate_id: str | None
    target_ids: tuple[str, ...] | None
    target_alternate_ids: tuple[str, ...] | None
    result: str | None
    reason: str | None
    transaction_id: str | None

    def contradicts(self, other: Content) -> bool:
        """Return whether one event cannot say both. What one of them leaves out is no contradiction."""
        if self.published is not None and other.published is not None:
            if abs(self.published - other.published) > _SAME_TIME:
                return True
            other = other._replace(published=self.published)
        pairs = zip(self, other, strict=True)
        return any(None not in pair and pair[0] != pair[1] for pair in pairs)


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
        actor_id=_text(raw, "actor", "id"),
        actor_alternate_id=_text(raw, "actor", "alternateId"),
        target_ids=_of_targets(raw, "id"),
        target_alternate_ids=_of_targets(raw, "alternateId"),
        # Okta writes "Success" and "SUCCESS".
        result=result and result.upper(),
        reason=_text(raw, "outcome", "reason"),
        transaction_id=_text(raw, "transaction", "id"),
    )


def _text(raw: Any, *path: str) -> str | None:
    for key in path:
        raw = raw.get(key) if isinstance(raw, dict) else None
    return raw if isinstance(raw, str) and raw.lower() not in _NOTHING else None


def _of_targets(raw: Any, key: str) -> tuple[str, ...] | None:
    """Return what all targets have under a key, in one order, or None if there are none, or one has nothing there."""
    targets = raw.get("target")
    values = [_text(each, key) for each in targets] if isinstance(targets, list) else []
    known = sorted(each for each in values if each is not None)
    return tuple(known) if known and len(known) == len(values) else None
