"""What a person names, refused if neither the inbox nor the app knows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from okta_hooks import catalog
from okta_hooks.inbox.selection import Selection
from okta_hooks.receivers import check_pattern, matches, suggestion

from .completion import known_receivers
from .context import connected_receivers, nearest, state_of_app, unknown

if TYPE_CHECKING:
    from okta_hooks.inbox import Inbox
    from okta_hooks.state import AppState


def check_selection(inbox: Inbox, chosen: Selection) -> None:
    """Let only hooks and patterns pass that somebody knows.

    :raises click.UsageError: if a pattern is none, or fits no type of Okta's, of a receiver or in the inbox;
        or if no hook has that name.
    """
    state = state_of_app()
    for pattern in chosen.patterns:
        _check_pattern(inbox, state, pattern)
    hook = chosen.hook
    if hook is not None and hook not in {*state.hooks, *inbox.overview.hooks()}:
        raise click.UsageError(unknown("hook", hook, state.hooks))


def _check_pattern(inbox: Inbox, state: AppState, pattern: str) -> None:
    try:
        check_pattern(pattern)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if any(matches(pattern, name) for name in catalog.entries()):
        return
    patterns = {one for hook in state.hooks.values() for one in hook.receivers.patterns}
    if pattern in patterns or inbox.overview.find(Selection(patterns=(pattern,)), limit=1):
        return
    near = suggestion(pattern) or nearest(pattern, patterns)
    meant = f" Is {near!r} meant?" if near else ""
    raise click.UsageError(
        f"No event type {pattern!r} is known, to Okta, a receiver or the inbox.{meant}"
    )


def check_receiver(inbox: Inbox, receiver: str) -> None:
    """Let only a receiver pass that is connected, or that the inbox remembers.

    :raises click.UsageError: if it is neither.
    """
    known = known_receivers(state_of_app(), inbox)
    if receiver not in known and not inbox.receipts.is_known(receiver):
        raise click.UsageError(unknown("receiver", receiver, known))


def hook_of_receiver(inbox: Inbox, receiver: str, hook: str | None) -> str:
    """Return the hook of a receiver that is connected, or that the inbox remembers: one of several has to be said.

    :raises click.UsageError: if there is no such receiver, or it is not clear which is meant.
    """
    check_receiver(inbox, receiver)
    connected = {of for of, name in connected_receivers(state_of_app()) if name == receiver}
    hooks = connected | inbox.receipts.hooks_of(receiver)
    if hook is None and len(hooks) > 1:
        raise click.UsageError(f"Say which --hook: {', '.join(sorted(hooks))}.")
    if hook is not None and hook not in hooks:
        raise click.UsageError(unknown("hook of this receiver", hook, hooks))
    return hook or next(iter(hooks))
