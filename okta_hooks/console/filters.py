"""What somebody looks for in the list of events, as it stands in a URL."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from okta_hooks.inbox.selection import Selection
from okta_hooks.inbox.tables import STATES
from okta_hooks.receivers import check_pattern

if TYPE_CHECKING:
    from collections.abc import Mapping

    from werkzeug.datastructures import MultiDict

_UNITS: Final = {"s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_AGE: Final = re.compile(r"(\d{1,6})\s*(s|min|m|h|d)")
_FIELDS: Final = ("type", "receiver", "since", "until", "uuid")
#: Of what somebody types into a field.
_LONGEST: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What is looked for. ``given`` is what stands in the fields, ``wrong`` what is wrong with it, by field."""

    given: Mapping[str, str]
    states: tuple[str, ...] = ()
    wrong: Mapping[str, str] = field(default_factory=dict)
    selection: Selection = field(default_factory=Selection)

    @property
    def arguments(self) -> dict[str, object]:
        """The arguments of a URL with the same filters."""
        return {**self.given, "state": list(self.states)}

    @property
    def is_any(self) -> bool:
        """Whether anything is looked for."""
        return bool(self.given or self.states)


def filters_of(arguments: MultiDict[str, str], *, hook: str | None, now: float) -> Filters:
    """Return what the arguments of a URL look for.

    :param hook: The hook that is looked at alone.
    :param now: From when ages such as ``24h`` are counted, in seconds since the epoch.
    """
    given = {
        name: value for name in _FIELDS if (value := arguments.get(name, "").strip()[:_LONGEST])
    }
    states = tuple(state for state in STATES if state in arguments.getlist("state"))
    wrong: dict[str, str] = {}
    times: dict[str, float] = {}
    for name in ("since", "until"):
        if name in given:
            try:
                times[name] = _moment(given[name], now)
            except (ValueError, OverflowError):
                wrong[name] = "Write a time such as 2026-11-27T10:00 (UTC), or an age such as 24h."
    patterns = tuple(given.get("type", "").split())
    for pattern in patterns:
        try:
            check_pattern(pattern)
        except ValueError:
            wrong["type"] = (
                "Write event types, or prefixes of whole segments such as user.lifecycle.*."
            )
            patterns = ()
            break
    uuid = given.get("uuid")
    return Filters(
        given=given,
        states=states,
        wrong=wrong,
        selection=Selection(
            uuids=(uuid,) if uuid else (),
            states=states,
            patterns=patterns,
            hook=hook,
            receiver=given.get("receiver"),
            since=times.get("since"),
            until=times.get("until"),
        ),
    )


def _moment(text: str, now: float) -> float:
    age = _AGE.fullmatch(text)
    if age is not None:
        return now - float(age[1]) * _UNITS[age[2]]
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
