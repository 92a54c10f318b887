"""What an event says happened, as far as the System Log and a delivery cannot differ in it.

They write one event differently: keys that are null or left out, the addresses of a request in another place, the hooks
that it was meant for in one of them only. What is compared here is the same in both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from okta_hooks.exceptions import UnreadableEvent

from . import reading

#: What is compared, by its path in lower case: Okta's keys vary in case.
Said: TypeAlias = Mapping[tuple[str, ...], str]

#: In seconds: some write fractions of one, and some do not.
_SAME_TIME: Final = 1.0
#: What Okta writes where it has nothing to write, in lower case.
_NOTHING: Final = frozenset({"", "null", "unknown"})
#: With all that is below. Nothing tells that the log and a delivery write the rest alike: displayMessage may be
#: translated, and the addresses in client and request are known to differ.
_COMPARED: Final = (
    ("severity",),
    ("actor",),
    ("outcome", "result"),
    ("outcome", "reason"),
    ("transaction", "id"),
    ("debugContext", "debugData"),
)
#: Okta puts it in for the log.
_OF_THE_LOG: Final = ("debugcontext", "debugdata", "targeteventhookids")
#: Names that Okta spells in several ways, such as "Success" and "SUCCESS", "AppInstance" and "App Instance".
_NAMES: Final = frozenset({"severity", "result", "type"})
#: Deeper than this nothing is compared; what Okta sends has five.
_DEEPEST: Final = 10
#: What each target of an event is held against those of the other by, though none says which of them it is.
_OF_ANY_TARGET: Final = (("id",), ("alternateid",), ("type",), ("displayname",))


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What an event says happened: what, when, by whom, to whom, with which result.

    ``said`` and ``targets`` have only what it does say. So an event without targets does not say that there were none:
    null, an empty list and no list are the same.
    """

    event_type: str
    published: float | None
    said: Said
    targets: tuple[Said, ...]

    def contradicts(self, other: Content) -> bool:
        """Return whether one event cannot say both. What one of them leaves out is no contradiction."""
        return (
            self.event_type != other.event_type
            or _is_another_time(self.published, other.published)
            or _differ(self.said, other.said)
            or _targets_differ(self.targets, other.targets)
        )


def content_of(raw: object) -> Content | None:
    """Return what an event says happened, or None if it cannot be read.

    :param raw: As for :func:`~okta_hooks.wire.reading.load_event`.
    """
    try:
        keys = reading.event_keys(raw)
    except UnreadableEvent:
        return None
    said: dict[tuple[str, ...], str] = {}
    for path in _COMPARED:
        said |= _said_in(_at(raw, path), path)
    said.pop(_OF_THE_LOG, None)
    targets = _at(raw, ("target",))
    return Content(
        event_type=keys.event_type,
        published=keys.published,
        said=said,
        targets=tuple(
            _said_in(each)
            for each in (targets if isinstance(targets, list) else ())
            if isinstance(each, dict) and each
        ),
    )


def _at(raw: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        raw = raw.get(key) if isinstance(raw, dict) else None
    return raw


def _said_in(value: Any, path: tuple[str, ...] = ()) -> Said:
    """Return the texts and numbers in a value, by their paths. Lists in it are left out.

    :param path: Where the value is.
    """
    found: dict[tuple[str, ...], str | None] = {}
    waiting = [(tuple(key.lower() for key in path), value)]
    while waiting:
        place, each = waiting.pop()
        if isinstance(each, dict):
            if len(place) < _DEEPEST:
                waiting.extend(((*place, key.lower()), below) for key, below in each.items())
        elif (text := _text(place, each)) is not None:
            # Two keys that differ in case alone say nothing that could be compared.
            found[place] = None if place in found else text
    return {place: text for place, text in found.items() if text is not None}


def _text(place: tuple[str, ...], value: Any) -> str | None:
    if isinstance(value, bool):
        value = str(value).lower()
    elif isinstance(value, float):
        value = str(int(value)) if value.is_integer() else str(value)
    elif isinstance(value, int):
        # In an object of Okta's without a schema, such as changeDetails, it may as well be a text.
        value = str(value)
    if not isinstance(value, str) or value.lower() in _NOTHING:
        return None
    if place and place[-1] in _NAMES:
        return "".join(each for each in value.lower() if each not in " _-")
    return value


def _is_another_time(one: float | None, other: float | None) -> bool:
    return one is not None and other is not None and abs(one - other) > _SAME_TIME


def _differ(one: Said, other: Said) -> bool:
    return any(other.get(place, text) != text for place, text in one.items())


def _targets_differ(one: tuple[Said, ...], other: tuple[Said, ...]) -> bool:
    """Return whether two lists of targets cannot be the same ones, in whatever order."""
    if not one or not other:
        return False
    if len(one) != len(other):
        return True
    for place in _OF_ANY_TARGET:
        # So many targets it takes to have all the values; one that does not say its own may have any.
        union = _values(one, place) | _values(other, place)
        if union.total() > len(one):
            return True
    ones, others = _by_id(one), _by_id(other)
    return any(_differ(target, others[each]) for each, target in ones.items() if each in others)


def _values(targets: tuple[Said, ...], place: tuple[str, ...]) -> Counter[str]:
    return Counter(target[place] for target in targets if place in target)


def _by_id(targets: tuple[Said, ...]) -> dict[str, Said]:
    """Return the targets of which no other has the id."""
    count = _values(targets, ("id",))
    known = ((target.get(("id",)), target) for target in targets)
    return {each: target for each, target in known if each is not None and count[each] == 1}
