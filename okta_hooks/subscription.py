"""What the connected receivers need, held against what is registered at an Okta org."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from . import catalog, signals

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from flask import Flask

    from .okta_api import RegisteredHook
    from .signals import Receivers


def needed_types(receivers: Receivers, app: Flask) -> tuple[str, ...]:
    """Return the event types that Okta must deliver so that every connected receiver gets its events.

    A pattern stands for what is generally available below it; a type in beta must be named exactly.

    :param app: The application: a receiver may be connected for one only.
    """
    patterns = {
        pattern
        for receiver in receivers.connected(app)
        for pattern in receivers.patterns_of(receiver, app)
    }
    return tuple(
        sorted(
            name
            for name, entry in catalog.entries().items()
            if entry.event_hook_eligible
            and (
                name in patterns
                or (
                    entry.stage == "ga"
                    and any(signals.matches(pattern, name) for pattern in patterns)
                )
            )
        )
    )


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
        return [hook for hook in registered if hook.url and _same(hook.url, url)]
    known = [hook for hook in registered if hook.id in ids]
    if known or path is None:
        return known
    return [hook for hook in registered if hook.url and _same(urlsplit(hook.url).path, path)]


def _same(one: str, other: str) -> bool:
    return one.rstrip("/") == other.rstrip("/")
