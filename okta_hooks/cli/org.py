"""The org that a command asks, and which of its hooks the command is about."""

from __future__ import annotations

import functools
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from okta_hooks.exceptions import ConfigurationError, OktaRefused, OktaUnavailable, as_sentence
from okta_hooks.org.client import OktaClient
from okta_hooks.org.lookup import listed, unknown
from okta_hooks.org.refusals import cure
from okta_hooks.org.registration import readable_hooks, registration_of
from okta_hooks.org.urls import shown
from okta_hooks.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from okta_hooks.inbox import Inbox
    from okta_hooks.org.registration import Registration
    from okta_hooks.state import AppState


@contextmanager
def open_org(
    state: AppState,
    *permissions: str,
    tell: Callable[[str], Any] | None = None,
    wait: Callable[[float], Any] = time.sleep,
) -> Iterator[OktaClient]:
    """Open the org that an app's settings name; what Okta or the way to it refuses ends the command in one line.

    :param permissions: What the command needs, such as ``okta.logs.read``: Okta does not say it when it refuses.
    :param tell: As for :class:`~okta_hooks.org.client.OktaClient`; by default, prints to the standard error.
    :param wait: As for :class:`~okta_hooks.org.client.OktaClient`.
    """
    say = tell or functools.partial(click.echo, err=True)
    try:
        client = OktaClient(state.settings, tell=say, wait=wait)
    except ConfigurationError as error:
        raise click.ClickException(str(error)) from error
    with client:
        try:
            yield client
        except OktaRefused as error:
            advice = cure(error, permissions, client.credentials)
            raise click.ClickException(printable(as_sentence(error) + advice)) from error
        except OktaUnavailable as error:
            raise click.ClickException(printable(as_sentence(error))) from error


def hook_at_okta(
    state: AppState, inbox: Inbox, client: OktaClient, hook: str, name: str | None, url: str | None
) -> Registration:
    """Return what a hook of the app is known by at Okta, or end the command if that is not clear.

    :param name: Its name at Okta, if that was given, as ``url``.
    """
    registered = readable_hooks(client, functools.partial(click.echo, err=True))
    known = registration_of(state, inbox, hook, registered, name=name, url=url)
    if registered is None and not known.ids:
        raise click.ClickException(
            f"The hooks at {client.url} cannot be read, so nothing tells which of them delivers to {hook!r}. "
            "The token needs okta.eventHooks.read."
        )
    if known.candidates:
        raise click.ClickException(unknown(known.candidates))
    if not known.ids:
        sought = f"No hook at {client.url} is found that delivers to {hook!r}."
        if not registered:
            raise click.ClickException(
                f"{sought} The org has no event hook: flask okta-hooks apply --url https://... registers it."
            )
        if name is not None or url is not None:
            which = f"is named {name!r}" if name is not None else f"has the URL {shown(url or '')}"
            raise click.ClickException(
                f"No hook at {client.url} {which}. There are: {listed(registered)}."
            )
        raise click.ClickException(
            f"{sought} Say which, by --name or --url. There are: {listed(registered)}."
        )
    if not known.is_certain:
        raise click.ClickException(
            f"Several hooks at {client.url} may be the one that delivers to {hook!r}. "
            f"Say which, by --url: {listed(known.live)}."
        )
    return known


def refuse_to_guess(
    state: AppState, inbox: Inbox, client: OktaClient, *, except_for: str | None
) -> None:
    """End the command if hooks at Okta have the path of one of the app's, and nothing proves that they are its own.

    :param except_for: The hook that a person has said more of.
    """
    registered = readable_hooks(client, lambda _: None)
    for hook in state.hooks:
        if hook != except_for:
            known = registration_of(state, inbox, hook, registered)
            if known.candidates:
                raise click.ClickException(unknown(known.candidates))
