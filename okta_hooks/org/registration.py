"""What an org knows a hook of the app by: the ids of its event hooks there."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from okta_hooks.exceptions import OktaRefused

from .lookup import find
from .ownership import ownership_of
from .urls import same_url

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from okta_hooks.inbox import Inbox
    from okta_hooks.state import AppState

    from .client import OktaClient
    from .hooks import RegisteredHook


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedHook:
    """Which hook at Okta a hook of the app is, as a person has said it: by its name or its URL at Okta.

    ``hook`` is the hook's name in the app.
    """

    hook: str
    name: str | None = None
    url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """What an org knows a hook of the app by.

    ``ids`` are those that its events are meant for; ``live`` the hooks at Okta that are there now.
    ``is_certain`` is whether they deliver to one URL. ``candidates`` are hooks at Okta with the same path, if nothing
    proves of any hook there that it is the app's.
    """

    ids: frozenset[str]
    live: tuple[RegisteredHook, ...] = ()
    is_certain: bool = True
    candidates: tuple[RegisteredHook, ...] = ()


def readable_hooks(client: OktaClient, tell: Callable[[str], Any]) -> list[RegisteredHook] | None:
    """Return all hooks of an org, or None, and say so, if the token may not read them."""
    try:
        return client.hooks()
    except OktaRefused as refused:
        if refused.status != HTTPStatus.FORBIDDEN:
            raise
    tell(
        "The token may not read the hooks at Okta (okta.eventHooks.read): "
        "this goes by what has been delivered lately."
    )
    return None


def registration_of(
    state: AppState,
    inbox: Inbox,
    hook: str,
    registered: Sequence[RegisteredHook] | None,
    *,
    name: str | None = None,
    url: str | None = None,
) -> Registration:
    """Return what an org knows a hook of the app by.

    :param hook: The hook's name in the app.
    :param registered: All hooks of the org, or None if they cannot be read.
    :param name: Its name at Okta.
    :param url: Its URL at Okta.
    """
    own = ownership_of(state, hook, inbox)
    is_named = name is not None or url is not None
    if registered is None:
        # One that is named cannot be looked up.
        return Registration(ids=frozenset() if is_named else own.delivered)
    if is_named:
        found = find(registered, name=name, url=url)
        ids = frozenset(each.id for each in found)
        is_certain = len(found) <= 1 or all(_same_place(each, found[0]) for each in found)
        return Registration(ids=ids, live=tuple(found), is_certain=is_certain)
    owned = own.of(registered)
    # An app that needs more types than one hook takes has several hooks with one URL.
    live = tuple(
        each
        for each in registered
        if any(each is mine or _same_place(each, mine) for mine in owned)
    )
    # What has delivered and is gone at Okta is still meant by older events.
    others = frozenset(each.id for each in own.elsewhere(registered))
    return Registration(
        ids=(own.delivered - others) | {each.id for each in live},
        live=live,
        candidates=() if live else tuple(find(registered, path=state.path_of(hook))),
    )


def _same_place(one: RegisteredHook, other: RegisteredHook) -> bool:
    return bool(one.url and other.url and same_url(one.url, other.url))
