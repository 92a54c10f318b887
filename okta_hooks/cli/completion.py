"""What a shell completes: event types, receivers, queues, hooks."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from flask.cli import ScriptInfo

from okta_hooks import catalog
from okta_hooks.state import state_of

from .context import connected_receivers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import click

    from okta_hooks.inbox import Inbox
    from okta_hooks.state import AppState


def known_receivers(state: AppState, inbox: Inbox) -> set[str]:
    """Return the names of the receivers that are connected in the current app, or were somewhere."""
    connected = {name for _, name in connected_receivers(state)}
    return connected | {row.receiver for row in inbox.overview.receivers()}


def known_queues(state: AppState) -> set[str]:
    """Return the queues of the receivers that are connected in the current app."""
    found = {receiver.queue for receiver in connected_receivers(state).values()}
    return {queue for queue in found if queue is not None}


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
    return _complete(ctx, incomplete, lambda state: known_receivers(state, state.runtime().inbox))


def complete_hook(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Return the names of the app's hooks that begin so."""
    return _complete(ctx, incomplete, lambda state: state.hooks)


def complete_queue(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Return the names of queues that begin so."""
    return _complete(ctx, incomplete, known_queues)


def _complete(
    ctx: click.Context, incomplete: str, names: Callable[[AppState], Iterable[Any]]
) -> list[str]:
    # Whatever keeps the app from being made, or the inbox from being opened: a shell shows no errors here.
    with suppress(Exception):
        app = ctx.ensure_object(ScriptInfo).load_app()
        with app.app_context():
            return sorted(name for name in names(state_of(app)) if name.startswith(incomplete))
    return []
