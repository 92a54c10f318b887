"""An event as a pytest fixture, with invented data of the same shape: nothing of the real one is in it."""

from __future__ import annotations

import pprint
from typing import TYPE_CHECKING, Any, Final

from okta_hooks import catalog
from okta_hooks.masking import MASK, masked
from okta_hooks.testing import sample_event
from okta_hooks.testing.entities import PERSONAL, entity

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What differs from event to event: the builder makes it anew.
_IDENTITY: Final = frozenset({"uuid", "published", "insertionTimestamp", "eventType"})
_TEXT: Final = "sample"
_NAMES: Final = {"UserGroup": "Group", "AppInstance": "App"}
_WIDTH: Final = 84
_OF_ENTITY: Final = ("id", "type", "alternateId", "displayName")
_MOST_ENTITIES: Final = 200


def fixture(raw: Any) -> str | None:
    """Return a pytest fixture that makes an event of the same shape, or None if its type is none of Okta's.

    :param raw: The event as it came.
    """
    event_type = raw.get("eventType") if isinstance(raw, dict) else None
    if not isinstance(event_type, str) or catalog.get(event_type) is None:
        return None
    overrides, others = _Neutral(event_type).overrides(raw)
    arguments = "".join(
        f"        {key}={_literal(value, 8 + len(key) + 1)},\n"
        for key, value in sorted(overrides.items())
    )
    name = "".join(letter if letter.isalnum() else "_" for letter in event_type)
    call = f"okta_event(\n        {event_type!r},\n{arguments}    )".replace("'", '"', 2)
    if others:
        call = f"{call} | {_literal(others, 8)}"
    return (
        "import pytest\n\n\n@pytest.fixture\n"
        f"def {name}(okta_event):\n"
        '    """Return an event of the shape of one that was delivered; all of its data is invented."""\n'
        f"    return {call}\n"
    )


def _literal(value: Any, indent: int) -> str:
    text = pprint.pformat(value, width=_WIDTH - indent, sort_dicts=False)
    return text.replace("\n", "\n" + " " * indent)


class _Neutral:
    """Makes neutral values for one event: what was one person or thing is one invented person or thing."""

    def __init__(self, event_type: str) -> None:
        self._sample = sample_event(event_type, seed=0)
        self._known: dict[tuple[str, str], str] = {}

    def overrides(self, raw: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what of an event is shaped otherwise than in a sample, and what a sample has no key for."""
        shown = masked(raw)
        found: dict[str, Any] = {}
        others: dict[str, Any] = {}
        for key, value in shown.items():
            if key in _IDENTITY or key not in raw:
                continue
            if key not in self._sample or not _is_usual(key, raw[key]):
                others[key] = self._value(raw[key], value, None)
            elif key in ("actor", "target"):
                made = self._said(raw[key], value)
                if made != self._sample[key]:
                    found[key] = made
            else:
                made = self._value(raw[key], value, self._sample[key])
                if made != self._sample[key]:
                    found[key] = made
        missing = set(self._sample) - set(raw) - _IDENTITY
        found.update(dict.fromkeys(missing))
        return found, others

    def _said(self, raw: Any, shown: Any) -> Any:
        """Return an actor, or targets, in short where that is the same."""
        if isinstance(raw, list):
            return [
                self._said(one, each)
                for one, each in zip(raw[:_MOST_ENTITIES], shown, strict=False)
            ]
        made = None if raw is None else self._entity(raw, shown)
        if isinstance(made, dict) and isinstance(made.get("type"), str):
            short = self._short(raw, made["type"])
            whole = entity(short)
            if made in (whole, whole | {"changeDetails": None}):
                return short
        return made

    def _short(self, raw: Mapping[str, Any], kind: str) -> str:
        real = str(raw.get("id"))
        if (kind, real) not in self._known:
            number = sum(each == kind for each, _ in self._known)
            self._known[kind, real] = (
                f"person{number + 1}@example.org"
                if kind in PERSONAL
                else f"{_NAMES.get(kind, kind)} {number + 1}"
            )
        return f"{kind}:{self._known[kind, real]}"

    def _entity(self, raw: dict[str, Any], shown: Any) -> Any:
        kind = shown.get("type")
        if not isinstance(kind, str) or kind == MASK or not kind:
            kind = "Thing"
        whole = entity(self._short(raw, kind))
        found: dict[str, Any] = {}
        for key, value in shown.items():
            if key in raw:
                is_text = isinstance(raw[key], str) and raw[key]
                found[key] = (
                    whole[key]
                    if key in _OF_ENTITY and is_text
                    else self._value(raw[key], value, None)
                )
        return found

    def _value(self, raw: Any, shown: Any, sample: Any) -> Any:
        """Return a value of the same shape.

        :param shown: The value as it is shown to those who may not see it all.
        :param sample: What stands in the same place in a sample, or None.
        """
        if raw is None or isinstance(raw, bool) or raw == "":
            return raw
        if isinstance(raw, dict):
            others = sample if isinstance(sample, dict) else {}
            return {
                key: self._value(raw[key], value, others.get(key))
                for key, value in (shown.items() if isinstance(shown, dict) else ())
                if key in raw
            }
        if isinstance(raw, list):
            first = sample[0] if isinstance(sample, list) and sample else None
            each = shown if isinstance(shown, list) else ()
            return [self._value(*pair, first) for pair in zip(raw, each, strict=False)]
        return _leaf(raw, shown, sample)


def _is_usual(key: str, value: Any) -> bool:
    """Return whether the builder of events takes a value of that shape."""
    if key == "target":
        return value is None or (
            isinstance(value, list) and all(isinstance(each, dict) for each in value)
        )
    return key != "actor" or value is None or isinstance(value, dict)


def _leaf(raw: str | float, shown: Any, sample: Any) -> Any:
    if shown != MASK:
        return shown
    is_alike = isinstance(sample, str if isinstance(raw, str) else int | float)
    if is_alike and sample and not isinstance(sample, bool):
        return sample
    return _TEXT if isinstance(raw, str) else type(raw)(1)
