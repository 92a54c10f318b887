"""The app that a command is about, and what it has of this library."""

from __future__ import annotations

import difflib
import functools
from typing import TYPE_CHECKING, Any, TypeVar

import click

from okta_hooks.exceptions import ConfigurationError, InboxUnavailable
from okta_hooks.printable import printable
from okta_hooks.state import app_object, state_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flask import Flask

    from okta_hooks.receivers import Receiver
    from okta_hooks.state import AppState

F = TypeVar("F", bound="Callable[..., Any]")


def app_of_command() -> Flask:
    """Return the app that the command is about."""
    return app_object()


def state_of_app() -> AppState:
    """Return what the current app has of this library, or end the command."""
    app = app_of_command()
    try:
        state = state_of(app)
    except ConfigurationError as error:
        raise click.ClickException(str(error)) from error
    state.tell_of_changes(app)
    return state


def one_hook(state: AppState, hook: str | None) -> str:
    """Return the name of the hook that is meant: an app with one need not say which."""
    if hook is None and len(state.hooks) == 1:
        return next(iter(state.hooks))
    if hook is not None and hook not in state.hooks:
        raise click.UsageError(unknown("hook", hook, state.hooks))
    if hook is None:
        raise click.UsageError(f"Say which --hook: {', '.join(state.hooks)}.")
    return hook


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Return what is said of a name that nobody knows."""
    there = sorted(known)
    there_are = f"there are: {', '.join(there)}" if there else "there are none"
    near = nearest(name, there)
    meant = f" Is {near!r} meant?" if near else ""
    return f"No {kind} {name!r} is known; {there_are}.{meant}"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the name that may be meant by another, or None if none is near."""
    found = difflib.get_close_matches(name, list(known), 1)
    return found[0] if found else None


def connected_receivers(state: AppState) -> dict[tuple[str, str], Receiver]:
    """Return the receivers that are connected in the current app, by hook and name."""
    app = app_of_command()
    return {
        (name, receiver.name): receiver
        for name, hook in state.hooks.items()
        for receiver in hook.receivers.connected(app)
    }


def with_inbox(command: F) -> F:
    """Pass the runtime of the current app, and tell of the inbox's troubles in one line."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        state = state_of_app()
        if state.settings.inbox is None:
            raise click.ClickException("This app has no inbox: OKTA_HOOKS_INBOX is None.")
        try:
            return command(state.runtime(), *args, **kwargs)
        except InboxUnavailable as error:
            raise click.ClickException(
                f"The inbox cannot be used: {printable(str(error))}"
            ) from error

    return wrapped  # type: ignore[return-value]
