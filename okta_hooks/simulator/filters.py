"""The filter of an event hook: which events of its types it gets.

https://developer.okta.com/docs/guides/event-hook-filtering/main/
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from okta_hooks.logs import plain_logger

from .expressions import UnsupportedExpressionError, read_condition

if TYPE_CHECKING:
    from .expressions import Condition

logger = plain_logger(__name__)

_LANGUAGE: Final = "EXPRESSION_LANGUAGE"


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeFilter:
    """What has to be true of events of one type."""

    event_type: str
    version: str | None
    expression: str
    condition: Condition = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class HookFilter:
    """The filter of a hook. A type that has no entry is not filtered."""

    entries: tuple[TypeFilter, ...]

    def lets_through(self, event: dict[str, Any]) -> bool:
        """Return whether the hook gets an event, of which it has the type."""
        return all(
            entry.condition(event)
            for entry in self.entries
            if entry.event_type == event.get("eventType")
        )

    def as_json(self) -> dict[str, Any]:
        """Return it as the API shows it: a version that was not given is null."""
        return {
            "type": _LANGUAGE,
            "eventFilterMap": [
                {
                    "event": entry.event_type,
                    "condition": {"version": entry.version, "expression": entry.expression},
                }
                for entry in self.entries
            ],
        }


def read_hook_filter(given: object, causes: list[str]) -> HookFilter | None:
    """Read ``events.filter`` of a body; there may be none.

    :param causes: Gets what is wrong with it.
    """
    if given is None:
        return None
    path = "events.filter"
    if not isinstance(given, dict):
        causes.append(f"{path}: An object is needed")
        return None
    if given.get("type", _LANGUAGE) != _LANGUAGE:
        causes.append(f"{path}.type: The value must be {_LANGUAGE}")
    listed = given.get("eventFilterMap") or []
    if not isinstance(listed, list):
        causes.append(f"{path}.eventFilterMap: A list is needed")
        return None
    return HookFilter(tuple(filter(None, (_entry(each, causes) for each in listed))))


def _entry(given: object, causes: list[str]) -> TypeFilter | None:
    path = "events.filter.eventFilterMap"
    entry = given if isinstance(given, dict) else {}
    condition = entry.get("condition")
    condition = condition if isinstance(condition, dict) else {}
    event_type, expression = entry.get("event"), condition.get("expression")
    version = condition.get("version")
    if not isinstance(event_type, str) or not isinstance(expression, str):
        causes.append(f"{path}: Each needs an event and a condition with an expression")
        return None
    if not isinstance(version, str | None):
        causes.append(f"{path}: The version of a condition must be a text or null")
        return None
    try:
        reads = read_condition(expression)
    except UnsupportedExpressionError as unsupported:
        logger.warning(
            "A hook was refused: the simulator does not support the expression of its filter for %(event_type)s: "
            "%(error)s.",
            {"event_type": event_type, "error": unsupported},
        )
        # Not Okta's words, which may take the expression.
        causes.append(
            f"{path}: The simulator does not support the expression for {event_type}: {unsupported}"
        )
        return None
    return TypeFilter(
        event_type=event_type, version=version, expression=expression, condition=reads
    )
