"""What commands have in common: the group, kinds of options, and the app that they are about."""

from __future__ import annotations

import functools
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

import click
from flask import current_app
from flask.cli import AppGroup

from okta_hooks.exceptions import InboxUnavailable, OktaRefused, OktaUnavailable, as_sentence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from okta_hooks.blueprint import AppState
    from okta_hooks.inbox.claims import Inbox
    from okta_hooks.org.registration import Registration
    from okta_hooks.org.client import Org, RegisteredHook

    _ParamType = click.ParamType[float]
else:
    _ParamType = click.ParamType  # generic from click 8.4 on only, and Flask is content with 8.1

F = TypeVar("F", bound="Callable[..., Any]")

STATES: Final = ("pending", "claimed", "done", "dead")
_LONGEST_SPAN: Final = 7  # characters
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

#: What the token endpoint says of a service app that may not have a scope.
_NOT_GRANTED: Final = ("access_denied", "consent_required", "invalid_scope")

group = AppGroup(
    "okta-hooks", help="Receive Okta event hooks: the inbox, its worker, the registration."
)


class Moment(_ParamType):
    """A time: ISO 8601 (UTC if it names no zone), or an age such as 90m, 24h or 7d.

    :param past: Whether one that is later than now is refused.
    """

    name = "time"

    def __init__(self, *, past: bool = False) -> None:
        self._past = past

    def convert(self, value: Any, param: Any, ctx: Any) -> float:  # noqa: ARG002
        """Return it in seconds since the epoch."""
        if isinstance(value, float):
            return value
        now = datetime.now(UTC)
        moment = self._read(value, now)
        if self._past and moment > now.timestamp():
            self.fail(
                f"{value!r} is later than now, which is {now:%Y-%m-%dT%H:%M:%SZ}: "
                "a time without a zone is in UTC."
            )
        return moment

    def _read(self, value: str, now: datetime) -> float:
        try:
            if value[-1:] in _UNITS and value[:-1].isdigit():
                age = timedelta(**{_UNITS[value[-1]]: int(value[:-1])})
                return (now - age).timestamp()
            moment = datetime.fromisoformat(value)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            self.fail(
                f"{value!r} is neither a time such as 2026-11-23T10:00 nor an age such as 24h."
            )


class Span(_ParamType):
    """A span of time such as 90s, 5m, 24h or 7d."""

    name = "span"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:  # noqa: ARG002
        """Return it in seconds."""
        if isinstance(value, float):
            return value
        number = int(value[:-1]) if value[:-1].isdecimal() and len(value) <= _LONGEST_SPAN else 0
        if value[-1:] not in _UNITS or not number:
            self.fail(f"{value!r} is no span of time such as 90s or 5m.")
        return timedelta(**{_UNITS[value[-1]]: number}).total_seconds()


def check_url(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """Let only an URL of HTTP pass; it is a callback of click's."""
    if value is None:
        return None
    try:
        parts = urlsplit(value)
        is_one = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:  # such as a port that is no number
        is_one = False
    if not is_one:
        raise click.BadParameter(
            f"{value!r} is no URL such as https://app.example.com/okta/events."
        )
    return value


as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def selection(command: F) -> F:
    """Add the options that choose events."""
    for option in reversed(
        [
            click.argument("uuids", nargs=-1),
            click.option("--state", "states", multiple=True, type=click.Choice(STATES)),
            click.option("--type", "patterns", multiple=True, help="An event type, a.b.* or *."),
            click.option("--hook", help="Only of the hook of this name."),
            click.option("--since", type=Moment(), help="Received at or after this time, or age."),
            click.option("--until", type=Moment(), help="Received before this time, or age."),
            click.option(
                "--unreceived",
                is_flag=True,
                help="Only done events that no receiver was connected for.",
            ),
        ]
    ):
        command = option(command)
    return command


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
            raise click.ClickException(f"The inbox cannot be used: {error}") from error

    return wrapped  # type: ignore[return-value]


def state_of_app() -> AppState:
    """Return what the current app has of this library, or end the command."""
    state: AppState | None = current_app.extensions.get("okta_hooks")
    if state is None:
        raise click.ClickException(
            "No hook is registered in this app: app.register_blueprint(EventHook(name))."
        )
    return state


@contextmanager
def open_org(
    state: AppState,
    *permissions: str,
    tell: Callable[[str], Any] | None = None,
    wait: Callable[[float], Any] = time.sleep,
) -> Iterator[Org]:
    """Open the org that an app's settings name; what Okta or the way to it refuses ends the command in one line.

    :param permissions: What the command needs, such as ``okta.logs.read``: Okta does not say it when it refuses.
    :param tell: As for :class:`~okta_hooks.org.client.Org`, as is ``wait``; by default, prints to the standard error.
    """
    from okta_hooks.org.client import Org  # noqa: PLC0415 - marshmallow

    try:
        org = Org(state.settings, tell=tell or functools.partial(click.echo, err=True), wait=wait)
    except RuntimeError as error:
        raise click.ClickException(str(error)) from error
    with org:
        try:
            yield org
        except OktaRefused as error:
            raise click.ClickException(as_sentence(error) + _cure(error, permissions)) from error
        except OktaUnavailable as error:
            raise click.ClickException(as_sentence(error)) from error


def _cure(error: OktaRefused, permissions: tuple[str, ...]) -> str:
    if error.status == HTTPStatus.FORBIDDEN or error.code in _NOT_GRANTED:
        return f" This command needs {' and '.join(permissions)}."
    if error.code == "invalid_client":
        return " The client id or the private key is not that of a service app of this org."
    if error.status == HTTPStatus.UNAUTHORIZED:
        return (
            " The token is wrong, expired or revoked, or another org's: see OKTA_HOOKS_API_TOKEN."
        )
    if error.status == HTTPStatus.NOT_FOUND and error.code is None:
        return " Is OKTA_HOOKS_ORG_URL the URL of an Okta org?"
    return ""


def hook_at_okta(
    state: AppState, inbox: Inbox, org: Org, hook: str, name: str | None, url: str | None
) -> Registration:
    """Return what a hook of the app is known by at Okta, or end the command if that is not clear.

    :param name: Its name at Okta, if that was given, as ``url``.
    """
    from okta_hooks.org.registration import readable_hooks, registration  # noqa: PLC0415 - marshmallow

    registered = readable_hooks(org, functools.partial(click.echo, err=True))
    known = registration(state, inbox, hook, registered, name=name, url=url)
    if registered is None and not known.ids:
        raise click.ClickException(
            f"The hooks at {org.url} cannot be read, so nothing tells which of them delivers to {hook!r}. "
            "The token needs okta.eventHooks.read."
        )
    if not known.ids:
        there = _listed(registered or [])
        raise click.ClickException(
            f"No hook at {org.url} is found that delivers to {hook!r}. "
            f"Say which, by --name or --url. There are: {there}."
        )
    if not known.is_certain:
        raise click.ClickException(
            f"Several hooks at {org.url} may be the one that delivers to {hook!r}. "
            f"Say which, by --url: {_listed(known.live)}."
        )
    return known


def _listed(hooks: Iterable[RegisteredHook]) -> str:
    return ", ".join(f"{each.name!r} ({each.id}, {each.url})" for each in hooks) or "none"


def one_hook(state: AppState, hook: str | None) -> str:
    """Return the name of the hook that is meant: an app with one need not say which."""
    if hook is None and len(state.hooks) == 1:
        return next(iter(state.hooks))
    if hook not in state.hooks:
        raise click.UsageError(f"Say which --hook: {', '.join(state.hooks)}.")
    return hook
