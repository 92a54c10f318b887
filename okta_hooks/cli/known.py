"""What a person names: refused if neither the inbox nor the app knows it, and completed in a shell."""

from __future__ import annotations

import difflib
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click
from flask.cli import ScriptInfo

from okta_hooks import catalog
from okta_hooks.inbox.selection import Selection
from okta_hooks.receivers import check_pattern, matches, suggestion
from okta_hooks.state import state_of

from .context import connected_receivers, state_of_app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

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
    if hook is not None and hook not in state.hooks and not _has(inbox, Selection(hook=hook)):
        raise click.UsageError(_unknown("hook", hook, state.hooks))


def _check_pattern(inbox: Inbox, state: AppState, pattern: str) -> None:
    try:
        check_pattern(pattern)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if any(matches(pattern, name) for name in catalog.entries()):
        return
    patterns = {one for hook in state.hooks.values() for one in hook.receivers.patterns}
    if pattern in patterns or _has(inbox, Selection(patterns=(pattern,))):
        return
    near = suggestion(pattern) or _near(pattern, patterns)
    meant = f" Is {near!r} meant?" if near else ""
    raise click.UsageError(
        f"No event type {pattern!r} is known, to Okta, a receiver or the inbox.{meant}"
    )


def check_receiver(inbox: Inbox, receiver: str) -> None:
    """Let only a receiver pass that is connected, or that the inbox remembers.

    :raises click.UsageError: if it is neither.
    """
    known = _receivers(state_of_app(), inbox)
    if receiver not in known and not inbox.receipts.is_known(receiver):
        raise click.UsageError(_unknown("receiver", receiver, known))


def _receivers(state: AppState, inbox: Inbox) -> set[str]:
    connected = {name for _, name in connected_receivers(state)}
    return connected | {row.receiver for row in inbox.overview.receivers()}


def _unknown(kind: str, name: str, known: Iterable[str]) -> str:
    there_are = f"there are: {', '.join(sorted(known))}" if known else "there are none"
    near = _near(name, known)
    meant = f" Is {near!r} meant?" if near else ""
    return f"No {kind} {name!r} is known; {there_are}.{meant}"


def _near(name: str, known: Iterable[str]) -> str | None:
    found = difflib.get_close_matches(name, list(known), 1)
    return found[0] if found else None


def _has(inbox: Inbox, chosen: Selection) -> bool:
    return bool(inbox.overview.find(chosen, limit=1))


def complete_type(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """Return the event types that begin so, and the patterns of those that have several below them."""
    found = [name for name in catalog.entries() if name.startswith(incomplete)]
    parents = {
        ".".join(segments[:depth]) + ".*"
        for segments in (name.split(".") for name in found)
        for depth in range(1, len(segments))
    }
    return sorted([*found, *(pattern for pattern in parents if pattern.startswith(incomplete))])


def complete_receiver(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Return the names of receivers that begin so."""
    return _complete(ctx, incomplete, lambda state: _receivers(state, state.runtime().inbox))


def complete_hook(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Return the names of the app's hooks that begin so."""
    return _complete(ctx, incomplete, lambda state: state.hooks)


def _complete(
    ctx: click.Context, incomplete: str, names: Callable[[AppState], Iterable[Any]]
) -> list[str]:
    # Whatever keeps the app from being made, or the inbox from being opened: a shell shows no errors here.
    with suppress(Exception):
        app = ctx.ensure_object(ScriptInfo).load_app()
        with app.app_context():
            return sorted(name for name in names(state_of(app)) if name.startswith(incomplete))
    return []
