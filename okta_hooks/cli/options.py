"""Kinds of options that several commands have."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

import click

from .completion import complete_hook

if TYPE_CHECKING:
    from collections.abc import Callable

    _ParamType = click.ParamType[float]
else:
    _ParamType = click.ParamType  # generic from click 8.4 on only, and Flask is content with 8.1

F = TypeVar("F", bound="Callable[..., Any]")

_LONGEST_SPAN: Final = 7  # characters
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Moment(_ParamType):
    """A time: ISO 8601 (UTC if it names no zone), or an age such as 90m, 24h or 7d.

    :param past: Whether one that is later than now is refused.
    """

    name = "time"

    def __init__(self, *, past: bool = False) -> None:
        self._past = past

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return it in seconds since the epoch."""
        if isinstance(value, float):
            return value
        now = datetime.now(UTC)
        try:
            moment = _moment(value, now)
        except (ValueError, OverflowError):
            self.fail(
                f"{value!r} is neither a time such as 2026-11-23T10:00 nor an age such as 24h.",
                param,
                ctx,
            )
        if self._past and moment > now.timestamp():
            self.fail(
                f"{value!r} is later than now, which is {now:%Y-%m-%dT%H:%M:%SZ}: "
                "a time without a zone is in UTC.",
                param,
                ctx,
            )
        return moment


def _moment(value: str, now: datetime) -> float:
    if value[-1:] in _UNITS and value[:-1].isdigit():
        age = timedelta(**{_UNITS[value[-1]]: int(value[:-1])})
        return (now - age).timestamp()
    moment = datetime.fromisoformat(value)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


class Span(_ParamType):
    """A span of time such as 90s, 5m, 24h or 7d."""

    name = "span"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return it in seconds."""
        if isinstance(value, float):
            return value
        number = int(value[:-1]) if value[:-1].isdecimal() and len(value) <= _LONGEST_SPAN else 0
        if value[-1:] not in _UNITS or not number:
            self.fail(f"{value!r} is no span of time such as 90s or 5m.", param, ctx)
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


def hook_options(command: F) -> F:
    """Add the options that say which hook at Okta is meant."""
    for option in reversed(
        [
            click.option("--url", callback=check_url, help="Where Okta delivers to, as a whole."),
            click.option("--name", help="What the hook is called at Okta."),
            click.option(
                "--hook",
                shell_complete=complete_hook,
                help="Which hook of this app, if it has several.",
            ),
        ]
    ):
        command = option(command)
    return command
