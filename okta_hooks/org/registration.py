"""What an org knows a hook of the app by: the ids of its event hooks there."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from okta_hooks.exceptions import OktaRefused

from .lookup import find

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from okta_hooks.inbox import Inbox
    from okta_hooks.state import AppState

    from .client import OktaClient
    from .hooks import RegisteredHook

_HOOK_IN_SOURCE: Final = "/eventHooks/"


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
    ``is_certain`` is whether they cannot be another app's.
    """

    ids: frozenset[str]
    live: tuple[RegisteredHook, ...] = ()
    is_certain: bool = True


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
    seen = {
        source.rpartition(_HOOK_IN_SOURCE)[2]
        for source in inbox.overview.sources(hook)
        if _HOOK_IN_SOURCE in source
    }
    if registered is None:
        is_named = name is not None or url is not None  # and cannot be looked up
        return Registration(ids=frozenset() if is_named else frozenset(seen))
    found = find(registered, name=name, url=url, ids=seen, path=state.path_of(hook))
    urls = {each.url for each in found}
    if name is not None or url is not None:
        return Registration(
            ids=frozenset(each.id for each in found), live=tuple(found), is_certain=len(urls) <= 1
        )
    # An app that needs more types than one hook takes has several hooks with one URL.
    live = tuple(each for each in registered if each in found or each.url in urls)
    return Registration(
        ids=frozenset(seen | {each.id for each in live}),
        live=live,
        is_certain=len(urls) <= 1 or any(each.id in seen for each in live),
    )
