"""Whose an event of the System Log is: what an org knows a hook of the app by, and what that hook is to have."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from okta_hooks import catalog
from okta_hooks.exceptions import OktaRefused, UnreadableEvent
from okta_hooks.wire import reading

from . import subscription
from .client import RegisteredHook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from flask import Flask

    from okta_hooks.blueprint import AppState
    from okta_hooks.inbox.claims import Inbox

    from .client import Org

_HOOK_IN_SOURCE: Final = "/eventHooks/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """What an org knows a hook of the app by.

    ``ids`` are those that its events are meant for; ``live`` the hooks at Okta that are there now.
    ``is_certain`` is whether they cannot be another app's.
    """

    ids: frozenset[str]
    live: tuple[RegisteredHook, ...] = ()
    is_certain: bool = True


def readable_hooks(org: Org, tell: Callable[[str], Any]) -> list[RegisteredHook] | None:
    """Return all hooks of an org, or None, and say so, if the token may not read them."""
    try:
        return org.hooks()
    except OktaRefused as refused:
        if refused.status != HTTPStatus.FORBIDDEN:
            raise
    tell(
        "The token may not read the hooks at Okta (okta.eventHooks.read): "
        "this goes by what has been delivered lately."
    )
    return None


def registration(
    state: AppState,
    inbox: Inbox,
    hook: str,
    registered: Sequence[RegisteredHook] | None,
    *,
    name: str | None = None,
    url: str | None = None,
) -> Registration:
    """Find out what an org knows a hook of the app by.

    :param hook: The hook's name in the app.
    :param registered: All hooks of the org, or None if they cannot be read.
    :param name: Its name at Okta.
    :param url: Its URL at Okta.
    """
    seen = {
        source.rpartition(_HOOK_IN_SOURCE)[2]
        for source in inbox.sources(hook)
        if _HOOK_IN_SOURCE in source
    }
    if registered is None:
        is_named = name is not None or url is not None  # and cannot be looked up
        return Registration(ids=frozenset() if is_named else frozenset(seen))
    found = subscription.find(registered, name=name, url=url, ids=seen, path=state.path_of(hook))
    urls = {each.url for each in found}
    if name is not None or url is not None:
        return Registration(
            ids=frozenset(each.id for each in found), live=tuple(found), is_certain=len(urls) <= 1
        )
    # Who needs more types than one hook takes has several hooks with one URL.
    live = tuple(each for each in registered if each in found or each.url in urls)
    return Registration(
        ids=frozenset(seen | {each.id for each in live}),
        live=live,
        is_certain=len(urls) <= 1 or any(each.id in seen for each in live),
    )


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


def seconds_of(raw: object) -> float | None:
    """Return when an event was published, in seconds since the epoch, or None if it cannot be read."""
    try:
        return reading.event_keys(raw).published
    except UnreadableEvent:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What of the log one hook of the app is to have.

    That is what Okta meant for it, and what its receivers want of the types that Okta delivers to event hooks.
    ``restricted`` are types of which only the former counts.
    """

    hook: Any
    ids: frozenset[str]
    restricted: frozenset[str] = frozenset()

    def has(self, raw: object, app: Flask) -> bool:
        """Return whether an event belongs to it. One that cannot be read, and names no hook, belongs to all."""
        meant_for = target_ids(raw)
        if meant_for & self.ids:
            return True
        try:
            event_type = reading.event_keys(raw).event_type
        except UnreadableEvent:
            return not meant_for  # nobody can tell whose it is
        entry = catalog.get(event_type)
        # What Okta meant for any hook it delivers to hooks, whatever the catalogue knows.
        is_eligible = bool(meant_for) or (entry is not None and entry.event_hook_eligible)
        return (
            is_eligible
            and event_type not in self.restricted
            and bool(self.hook.receivers.matching(event_type, app))
        )


def restricted_types(live: Iterable[RegisteredHook]) -> frozenset[str]:
    """Return the types of which Okta delivers only what a filter of the admin's lets pass."""
    found = set()
    for hook in live:
        entries = ((hook.events.filter if hook.events else None) or {}).get("eventFilterMap")
        for entry in entries if isinstance(entries, list) else []:
            if isinstance(entry, dict) and entry.get("condition"):
                found.add(entry.get("event"))
    return frozenset(filter(None, found))
