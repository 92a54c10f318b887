"""Which of an org's hooks are an app's own: proved by a delivery or by configuration, never by a path alone.

An org has the hooks of several apps, and of several stages of one app. They often have the same path, so who goes by
the path replaces the secret of another app's hook, or sends it one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from okta_hooks.exceptions import InboxUnavailable

from .urls import same_path, same_url

if TYPE_CHECKING:
    from collections.abc import Sequence

    from okta_hooks.inbox import Inbox
    from okta_hooks.state import AppState

    from .hooks import RegisteredHook

_HOOK_IN_SOURCE: Final = "/eventHooks/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ownership:
    """What proves that a hook at an org delivers to one hook of an app.

    ``url`` is where Okta delivers to, by the app's configuration; ``delivered`` are the ids of the hooks at Okta whose
    deliveries are in the inbox. If the URL is configured, it alone counts: an inbox may be a copy of another app's.
    For the same reason a delivery is enough to read what a hook at Okta has, and not to send its URL the secret.
    """

    url: str | None = None
    delivered: frozenset[str] = frozenset()

    def owns(self, hook: RegisteredHook) -> bool:
        """Return whether a hook at an org is the app's own."""
        if self.url is not None:
            return self.is_configured(hook)
        return hook.id in self.delivered

    def is_configured(self, hook: RegisteredHook) -> bool:
        """Return whether a hook at an org has the URL that is configured."""
        return self.url is not None and hook.url is not None and same_url(hook.url, self.url)

    def of(self, registered: Sequence[RegisteredHook]) -> list[RegisteredHook]:
        """Return those of an org's hooks that are the app's own."""
        return [hook for hook in registered if self.owns(hook)]

    def elsewhere(self, registered: Sequence[RegisteredHook]) -> list[RegisteredHook]:
        """Return the hooks that have delivered to the inbox, though they have another URL than is configured."""
        return [hook for hook in registered if hook.id in self.delivered and not self.owns(hook)]


def delivered_ids(inbox: Inbox, hook: str) -> frozenset[str]:
    """Return the ids of the hooks at Okta that have lately delivered to a hook of the app."""
    return frozenset(
        source.rpartition(_HOOK_IN_SOURCE)[2]
        for source in inbox.hours.sources(hook)
        if _HOOK_IN_SOURCE in source
    )


def configured_url(state: AppState, hook: str) -> str | None:
    """Return where Okta delivers to a hook, as ``OKTA_HOOKS_URL`` says it, or None if it does not.

    One URL in an app with several hooks is that of the hook that has its path.
    """
    configured = state.settings.url
    if isinstance(configured, Mapping):
        url: str | None = configured.get(hook)
        return url
    if configured is None or len(state.hooks) == 1:
        return configured
    path = state.path_of(hook)
    return configured if path is not None and same_path(configured, path) else None


def ownership_of(state: AppState, hook: str, inbox: Inbox | None = None) -> Ownership:
    """Return what proves that a hook at an org is this app's.

    :param inbox: The inbox if it is open already; otherwise it is looked at if it exists and can be used.
    """
    url = configured_url(state, hook)
    if inbox is not None:
        return Ownership(url=url, delivered=delivered_ids(inbox, hook))
    if state.settings.inbox is None:
        return Ownership(url=url)
    try:
        inbox = state.runtime().inbox
        if inbox.path is not None and not inbox.path.exists():
            return Ownership(url=url)
        return Ownership(url=url, delivered=delivered_ids(inbox, hook))
    except InboxUnavailable:
        # It may be on another host than the command, and is not what the command is about.
        return Ownership(url=url)
