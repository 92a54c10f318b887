"""Which events of the System Log the hooks of an app are to have."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from okta_hooks import catalog
from okta_hooks.exceptions import UnreadableEvent
from okta_hooks.wire import reading

from .lookup import unknown
from .registration import readable_hooks, registration_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from flask import Flask

    from okta_hooks.state import AppState

    from .client import OktaClient
    from .hooks import RegisteredHook
    from .registration import NamedHook

_SECONDS_BETWEEN_LOOKS: Final = 600.0


def target_ids(raw: object) -> frozenset[str]:
    """Return the ids of the hooks that Okta meant an event for.

    :param raw: The event as it came.
    """
    value: Any = raw
    for key in ("debugContext", "debugData", "targetEventHookIds"):
        value = value.get(key) if isinstance(value, dict) else None
    listed = value.split(",") if isinstance(value, str) else value
    if not isinstance(listed, list):
        return frozenset()
    return frozenset(each.strip() for each in listed if isinstance(each, str) and each.strip())


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSelector:
    """Selects the events of the log that one hook of the app is to have.

    These are those that Okta meant for it, and those of the types that Okta delivers to event hooks
    and that it has a receiver for. Of ``restricted`` types only those that Okta meant for it count.

    ``ids`` are those of the hook at Okta.
    """

    hook: Any
    ids: frozenset[str]
    restricted: frozenset[str] = frozenset()

    def selects(self, raw: object, app: Flask) -> bool:
        """Return whether the hook is to have an event. One that cannot be read, and names no hook, is for all.

        :param raw: The event as it came.
        """
        meant_for = target_ids(raw)
        if meant_for & self.ids:
            return True
        try:
            event_type = reading.event_keys(raw).event_type
        except UnreadableEvent:
            return not meant_for  # nobody can tell whose it is
        entry = catalog.get(event_type)
        # Okta adds types that the catalogue does not know yet: one that was meant for some hook is delivered to hooks.
        is_eligible = bool(meant_for) or (entry is not None and entry.event_hook_eligible)
        return (
            is_eligible
            and event_type not in self.restricted
            and bool(self.hook.receivers.matching(event_type, app))
        )


def restricted_types(live: Iterable[RegisteredHook]) -> frozenset[str]:
    """Return the types of which Okta delivers only what a filter of the admin's lets pass."""
    return frozenset(
        str(entry["event"])
        for hook in live
        for entry in hook.filter_entries
        if entry.get("event") and entry.get("condition")
    )


class LogSelectors:
    """The selectors of all hooks of an app. The hooks at Okta are looked at again every ten minutes.

    :param named: Which hook at Okta one of them is, if a person has said it.
    :param tell: Is called with a line for a person, once with each.
    """

    def __init__(
        self,
        state: AppState,
        client: OktaClient,
        *,
        named: NamedHook | None,
        tell: Callable[[str], Any],
    ) -> None:
        self._state = state
        self._client = client
        self._named = named
        self._tell = tell
        self._told: set[str] = set()
        self._selectors: list[LogSelector] = []
        self._look_again_at = 0.0

    def current(self) -> Sequence[LogSelector]:
        """Return one selector for each hook."""
        if time.monotonic() < self._look_again_at:
            return self._selectors
        runtime = self._state.runtime()
        registered = readable_hooks(self._client, self._tell_once)
        # The log names a hook by the ids that it had before, too, even if it is gone or cannot be read now.
        before = {each.hook.name: each.ids for each in self._selectors}
        self._selectors = []
        for name, hook in runtime.worker.hooks.items():
            named = self._named if self._named and self._named.hook == name else None
            known = registration_of(
                self._state,
                runtime.inbox,
                name,
                registered,
                name=named.name if named else None,
                url=named.url if named else None,
            )
            if known.candidates:
                self._tell_once(unknown(known.candidates))
            ids = known.ids | before.get(name, frozenset())
            restricted = restricted_types(known.live)
            self._selectors.append(LogSelector(hook=hook, ids=ids, restricted=restricted))
        self._look_again_at = time.monotonic() + _SECONDS_BETWEEN_LOOKS
        return self._selectors

    def _tell_once(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            self._tell(line)
