"""The plan for a hook of an app: the hook at Okta that it is, compared with what its receivers need."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import lookup, subscription
from .ownership import ownership_of
from .urls import same_path, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flask import Flask

    from okta_hooks.state import AppState

    from .hooks import RegisteredHook
    from .subscription import Plan


def plan_for(
    app: Flask,
    state: AppState,
    hook: str,
    registered: Sequence[RegisteredHook],
    *,
    url: str | None = None,
    name: str | None = None,
    rotates: bool = False,
    keeps_types: bool = False,
) -> tuple[Plan, list[str]]:
    """Return the plan for a hook of an app, and what else a person should know.

    :param registered: All hooks of the org.
    :param url: Where it is to deliver to, and ``name`` its name at Okta, as a person has said it.
    :param rotates: As for :func:`.subscription.plan`, as is ``keeps_types``.
    :raises SubscriptionImpossible: if no hook can be like that.
    """
    path = state.path_of(hook)
    own = ownership_of(state, hook)
    live = lookup.choose(registered, hook=hook, own=own, name=name, url=url, path=path)
    if live is None and name is None:
        url = url or own.url
    made = subscription.plan(
        subscription.demand(state.hooks[hook].receivers, app),
        live,
        name=name or (live and live.name) or hook,
        url=url,
        auth_header=state.settings.auth_header if state.secrets[hook] else None,
        rotates=rotates,
        keeps_types=keeps_types,
    )
    warnings = [
        f"{each.receiver} will never get {each.pattern}: {each.reason}."
        for each in made.undeliverable
    ]
    if made.auth_header is None:
        warnings.append(
            "The app has no secret (OKTA_HOOKS_ALLOW_UNAUTHENTICATED): anybody can post events to it."
        )
    if path is not None and not same_path(made.url, path):
        warnings.append(
            f"The app has this hook at {path}: "
            f"does something in front of it change the path of {shown(made.url)}?"
        )
    if live is None:
        warnings.extend(
            f"The hook {other.name!r} delivers to the same path, "
            f"at {shown(other.url or '')}: --name moves it."
            for other in lookup.find(registered, path=path)
        )
    return made, warnings
