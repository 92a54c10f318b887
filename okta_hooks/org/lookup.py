"""Which of the hooks at an org is meant: the one that is named, or the app's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from okta_hooks.exceptions import SubscriptionImpossible

from .urls import same_path, same_url, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .hooks import RegisteredHook
    from .ownership import Ownership


def find(
    registered: Sequence[RegisteredHook],
    *,
    name: str | None = None,
    url: str | None = None,
    path: str | None = None,
) -> list[RegisteredHook]:
    """Return those of an org's hooks that have a name, else a URL, else a path.

    :param name: The name at Okta.
    :param url: The whole URL, however it is spelt.
    :param path: The path alone. That proves nothing: other apps of the same org may have the same.
    """
    if name is not None:
        return [hook for hook in registered if hook.name == name]
    if url is not None:
        return [hook for hook in registered if hook.url and same_url(hook.url, url)]
    if path is None:
        return []
    return [hook for hook in registered if hook.url and same_path(hook.url, path)]


def choose(
    registered: Sequence[RegisteredHook],
    *,
    hook: str,
    own: Ownership,
    name: str | None = None,
    url: str | None = None,
    path: str | None = None,
    creates: bool = True,
) -> RegisteredHook | None:
    """Return the one hook that is meant: by its name; else by its URL; if neither is said, the app's own.

    :param hook: What it would be called if it is created and has no other name: its name in the app.
    :param own: What proves that a hook is the app's own.
    :param path: Where the app has the hook, or None if that is not known.
    :param creates: Whether it is to be created if there is none.
    :return: None if there is none, and it can be created at the URL, or is not to be.
    :raises SubscriptionImpossible: if there are several, or it is not known whose they are,
        or there is none and it cannot be created.
    """
    if name is None and url is None:
        return _own(registered, hook=hook, own=own, path=path, creates=creates)
    found = find(registered, name=name, url=url)
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
            f"{none_found(name=name)}: say with --url where Okta is to deliver to."
        )
    if name is None:
        _check_name(registered, hook)
    return None


def _own(
    registered: Sequence[RegisteredHook],
    *,
    hook: str,
    own: Ownership,
    path: str | None,
    creates: bool,
) -> RegisteredHook | None:
    only = the_one(own.of(registered), name=None)
    if only is not None:
        return only
    moved = own.elsewhere(registered)
    if moved:
        raise SubscriptionImpossible(
            f"OKTA_HOOKS_URL is {shown(own.url or '')}, and what has delivered to this inbox has another URL: "
            f"{listed(moved)}. To move it, say both --name and --url; to register another beside it, "
            "say --url and another --name."
        )
    if own.url is None:
        _refuse_to_guess(find(registered, path=path))
        if creates:
            raise SubscriptionImpossible(
                f"{none_found(path=path)}: say with --url where Okta is to deliver to."
            )
    elif creates:
        _check_name(registered, hook)
    return None


def _refuse_to_guess(candidates: Sequence[RegisteredHook]) -> None:
    # They have the path that the app's hook has, and nothing proves that they are its own.
    if candidates:
        raise SubscriptionImpossible(unknown(candidates))


def unknown(candidates: Sequence[RegisteredHook]) -> str:
    """Return in words that nobody knows whose these hooks are, and what to say."""
    return (
        "Which hook of the org is this app's is not known: none of those that are there has delivered to its inbox, "
        "and OKTA_HOOKS_URL is not set. The path is the same as that of "
        f"{listed(candidates)}. If that is this app's, say so with --name or --url; if it is another app's, "
        "say with --url where Okta is to deliver to this one. OKTA_HOOKS_URL says it for good."
    )


def listed(hooks: Sequence[RegisteredHook]) -> str:
    """Return hooks as a list for people, with what tells them apart."""
    return ", ".join(f"{hook.name!r} ({hook.id}) at {shown(hook.url or '')}" for hook in hooks)


def _check_name(registered: Sequence[RegisteredHook], hook: str) -> None:
    if find(registered, name=hook):
        raise SubscriptionImpossible(
            f"The org has a hook named {hook!r}, at another URL: "
            f"--name {hook} moves that one, and another --name creates one beside it."
        )


def the_one(found: Sequence[RegisteredHook], *, name: str | None) -> RegisteredHook | None:
    """Return what was found if it is one hook, or None if it is none.

    :param name: The name at Okta by which it was sought, or None.
    :raises SubscriptionImpossible: if there are several.
    """
    if len(found) > 1:
        cure = "say which with --name"
        if name is not None:
            has_one_name = len({hook.name for hook in found}) == 1
            cure = (
                "give one another name at Okta"
                if has_one_name
                else "--name and --url name two of them: say one"
            )
        raise SubscriptionImpossible(
            f"Several hooks of the org may be meant, {listed(found)}: {cure}."
        )
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
