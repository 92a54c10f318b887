"""Which of the hooks at an org is meant: by its name, its URL, its id or its path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from okta_hooks.exceptions import SubscriptionImpossible

from .urls import same_path, same_url, shown

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from .hooks import RegisteredHook


def find(
    registered: Sequence[RegisteredHook],
    *,
    name: str | None = None,
    url: str | None = None,
    ids: Collection[str] = (),
    path: str | None = None,
) -> list[RegisteredHook]:
    """Return those of an org's hooks that deliver to one hook of an app: the first way that finds any.

    :param name: The name at Okta.
    :param url: The whole URL, with or without a slash at its end.
    :param ids: The ids of hooks at Okta whose deliveries have arrived.
    :param path: The path alone: other apps of the same org may have the same.
    """
    if name is not None:
        return [hook for hook in registered if hook.name == name]
    if url is not None:
        return [hook for hook in registered if hook.url and same_url(hook.url, url)]
    known = [hook for hook in registered if hook.id in ids]
    if known or path is None:
        return known
    return [hook for hook in registered if hook.url and same_path(hook.url, path)]


def choose(
    registered: Sequence[RegisteredHook],
    *,
    hook: str,
    name: str | None = None,
    url: str | None = None,
    path: str | None = None,
    creates: bool = True,
) -> RegisteredHook | None:
    """Return the one hook that is meant: by its name; else by its URL; if neither is said, by its path.

    :param hook: What it would be called if it is created and has no other name: its name in the app.
    :param creates: Whether it is to be created if there is none.
    :return: None if there is none, and it can be created at the URL, or is not to be.
    :raises SubscriptionImpossible: if there are several, or there is none and it cannot.
    """
    found = find(registered, name=name, url=url, path=path)
    if name is not None:
        # With both, the hook of that name may have to move to the URL, or the hook at the URL may have to get the name.
        at_url = find(registered, url=url) if url else []
        both = [hook for hook in found if hook in at_url]
        found = both or [*found, *at_url]
    only = the_one(found, name=name)
    if only is not None or not creates:
        return only
    if url is None:
        raise SubscriptionImpossible(
            f"{none_found(name=name, path=path)}: say with --url where Okta is to deliver to."
        )
    if name is None and find(registered, name=hook):
        raise SubscriptionImpossible(
            f"The org has a hook named {hook!r}, at another URL: "
            f"--name {hook} moves that one, and another --name creates one beside it."
        )
    return None


def the_one(found: Sequence[RegisteredHook], *, name: str | None) -> RegisteredHook | None:
    """Return what was found if it is one hook, or None if it is none.

    :param name: The name at Okta by which it was sought, or None.
    :raises SubscriptionImpossible: if there are several.
    """
    if len(found) > 1:
        listed = ", ".join(
            f"{hook.name!r} ({hook.id}) at {shown(hook.url or '')}" for hook in found
        )
        cure = "say which with --name" if name is None else "give one another name at Okta"
        raise SubscriptionImpossible(f"Several hooks of the org may be meant, {listed}: {cure}.")
    return found[0] if found else None


def none_found(*, name: str | None = None, url: str | None = None, path: str | None = None) -> str:
    """Return in words, without a full stop, that there is no hook of this name, else of this URL, else of this path."""
    if name is not None:
        return f"No event hook of the org is named {name!r}"
    if url is not None:
        return f"No event hook of the org delivers to {shown(url)}"
    if path is not None:
        return f"No event hook of the org delivers to the path {path}"
    return "The path of the hook is not known, so none of the org's is found by it"
