"""What an app configures under ``OKTA_HOOKS_``: read once, checked, frozen.

Values come as Python objects or as :meth:`flask.Config.from_prefixed_env` makes them of the environment:
it reads each as JSON where it can, so a secret or a token of digits arrives as a number.
"""

from __future__ import annotations

import hashlib
import os
import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any, Final, NoReturn
from urllib.parse import urlsplit

from . import database_url
from .exceptions import ConfigurationError
from .logs import plain_logger
from .secret import Secret, frameless
from .wire.protocol import DEFAULT_AUTH_HEADER

logger = plain_logger(__name__)

PREFIX: Final = "OKTA_HOOKS_"
#: Who runs receivers: a thread of each process, other processes, or those of Celery.
THREAD: Final = "thread"
EXTERNAL: Final = "external"
CELERY: Final = "celery"
WORKERS: Final = (THREAD, EXTERNAL, CELERY)
DEFAULT_INBOX: Final = database_url.DEFAULT

#: What the prefix is likely to be mistyped as; the second kind is what `FLASK_OKTA_HOOKS__SECRET` comes to.
_NEAR_PREFIX: Final = re.compile(r"(FLASK_)?OKTA_?(EVENT_?)?HOOKS?_|OKTA_HOOKS?$", re.IGNORECASE)
#: What a value of the environment may have become that was meant as text.
_FROM_JSON: Final = frozenset({"bool", "dict", "float", "list", "NoneType"})
#: What a variable with a secret is likely to be mistyped as.
_NEAR_SECRET: Final = re.compile(r"(FLASK_)*OKTA_?(EVENT_?)?(HOOKS?_+)?SECRETS?", re.IGNORECASE)
_NOWHERE_IN_A_HEADER = frozenset("\0\r\n")
#: RFC 9110's token, without the underscore.
_HEADER_NAME = frozenset(string.ascii_letters + string.digits + "!#$%&'*+-.^`|~")
_HEADERS_WITH_A_MEANING = {
    "content-length",
    "content-type",
    "host",
    "x-okta-verification-challenge",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One app's configuration of this library. Its representation shows nothing that may be secret.

    ``secret`` is the configured value, not yet resolved for one hook: see :func:`secrets_of`.
    ``inbox`` is the URL of a database, which may hold a password.
    ``url`` is where Okta delivers to, or a mapping of that by the names of hooks.
    ``operations_token`` is every token that machines may present to :class:`okta_hooks.operations.Operations`.
    ``retention`` is a timedelta, ``max_body`` is in bytes.
    ``relay_window`` is the most tickets of a task queue that may be on their way,
    ``relay_resend`` after how many seconds one is taken for lost.
    """

    secret: Any = field(default=None, repr=False)
    allow_unauthenticated: bool = False
    auth_header: str = DEFAULT_AUTH_HEADER
    inbox: Secret | None = field(default=Secret(DEFAULT_INBOX))
    worker: str = "thread"
    max_attempts: int = 20
    retention: timedelta = timedelta(days=30)
    max_body: int = 10 * 1024 * 1024
    url: str | Mapping[str, str] | None = field(default=None, repr=False)
    org_url: str | None = field(default=None, repr=False)
    api_token: Secret | None = None
    operations_token: tuple[Secret, ...] | None = None
    relay_window: int = 1000
    relay_resend: float = 60.0


def digests(config: Mapping[str, Any]) -> dict[str, bytes]:
    """Return what tells whether a value under our prefix has changed, by its key; none can be read from it."""
    return {key: _digest(value) for key, value in config.items() if key.startswith(PREFIX)}


def _digest(value: object) -> bytes:
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - of an object of the host's, under a key that may be none of ours
        text = str(id(value))
    return hashlib.blake2b(text.encode(errors="surrogatepass")).digest()


def read(config: Mapping[str, Any]) -> Settings:
    """Return the settings in a Flask configuration.

    :raises RuntimeError: if a value cannot be what was meant. The error names the key and the cure.
    """
    keys = list(config)
    try:
        return _read(config)
    finally:
        # It holds secrets, and what is raised or logged may be reported with the variables of this frame.
        del config
        _warn_of_unread(keys)


def changed_keys(before: Mapping[str, bytes], config: Mapping[str, Any]) -> list[str]:
    """Return our keys that have other values in a configuration than before, in order.

    :param before: What :func:`digests` returned.
    """
    now = digests(config)
    return sorted(key for key in {*before, *now} if before.get(key) != now.get(key))


@frameless
def _read(config: Mapping[str, Any]) -> Settings:
    given = {name: config[key] for key, name in _known().items() if key in config}
    return Settings(**{name: _CHECKS[name](name, value) for name, value in given.items()})


def _known() -> dict[str, str]:
    return {PREFIX + item.name.upper(): item.name for item in fields(Settings)}


def _warn_of_unread(keys: Sequence[str]) -> None:
    known = _known()
    for key in keys:
        if key not in known and _NEAR_PREFIX.match(key):
            from difflib import get_close_matches  # most apps spell well

            near = get_close_matches(_NEAR_PREFIX.sub(PREFIX, key.upper(), 1), known, 1)
            if f"{key}_" in (PREFIX, "OKTA_HOOK_"):
                logger.warning(
                    "Nothing reads the configuration key %(key)s: the name goes on after one underscore, "
                    "as in OKTA_HOOKS_SECRET.",
                    {"key": key},
                )
            elif near:
                logger.warning(
                    "Nothing reads the configuration key %(key)s (is %(meant)s meant?).",
                    {"key": key, "meant": near[0]},
                )
            else:
                logger.warning("Nothing reads the configuration key %(key)s.", {"key": key})


def secrets_of(settings: Settings, hook: str) -> tuple[Secret, ...]:
    """Return the live secrets of one hook; none if it may run without.

    :param hook: The hook's name.
    :raises RuntimeError: if there is none and that was not asked for, or one cannot be right.
    """
    configured, has_others = settings.secret, ""
    where = f"{PREFIX}SECRET"
    if isinstance(configured, Mapping):
        where = f"{where}[{hook!r}]"
        has_others = _others(hook, configured)
        configured = configured.get(hook)
    if not configured:
        if settings.allow_unauthenticated:
            return ()
        # With a mapping the key was read, so it is this hook that is missing there.
        cure = (_why_unread() if settings.secret is None else None) or (
            "Set it to the authentication secret that the event hook has at Okta "
            f"(from the environment: FLASK_{PREFIX}SECRET)."
        )
        raise ConfigurationError(
            f"{where} is not set, so anybody could post events to the hook {hook!r}.{has_others} {cure}"
        )
    return tuple(_secret(where, member) for member in configured)


def _others(hook: str, configured: Mapping[str, Any]) -> str:
    """Return what a mapping has instead of a hook: only a name like the hook's is quoted, others may be secrets."""
    from difflib import get_close_matches  # most apps spell well

    by_small = {name.lower(): name for name in configured if name != hook}
    near = get_close_matches(hook.lower(), by_small, 1)
    if near:
        return f" The mapping has {by_small[near[0]]!r}: is {hook!r} meant?"
    return f" Names of other hooks that the mapping has: {len(by_small)}." if by_small else ""


def _why_unread() -> str | None:
    """Return why a secret in the environment has not become a part of the configuration; None if there is none."""
    key = f"{PREFIX}SECRET"
    names = [
        name
        for name, value in os.environ.items()
        if value != "null" and _NEAR_PREFIX.match(name.removeprefix("FLASK_"))
    ]
    if any(name == f"FLASK_{key}" or name.startswith(f"FLASK_{key}__") for name in names):
        return (
            f"FLASK_{key} stands in the environment, and was not read: "
            "call app.config.from_prefixed_env() before the hook is registered."
        )
    if key in names:
        return (
            f"{key} stands in the environment, where Flask reads what begins with FLASK_: call it FLASK_{key}, "
            "and call app.config.from_prefixed_env() before the hook is registered."
        )
    for name, value in os.environ.items():
        if value != "null" and _NEAR_SECRET.fullmatch(name):
            return f"{name} stands in the environment: is FLASK_{key} meant?"
    return None


@frameless
def _secret(where: str, member: Secret | _NoSecret) -> Secret:
    if isinstance(member, _NoSecret):
        raise ConfigurationError(
            f"{where} holds a {member.kind} where a secret should be, which is a string. {_cure_of(member.kind)}"
        )
    value = member.reveal()
    if not value:
        raise ConfigurationError(f"{where} holds an empty secret. Remove it, or set it.")
    if _NOWHERE_IN_A_HEADER & set(value):
        raise ConfigurationError(
            f"{where} holds a secret with a line break or a NUL, which no header can carry. "
            "Was it read from a file? Strip it."
        )
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ConfigurationError(
            f"{where} holds a secret with a lone surrogate, which no header can carry. "
            "Does the environment hold it in UTF-8?"
        ) from None
    if any(end.isspace() or not end.isprintable() for end in (value[0], value[-1])):
        raise ConfigurationError(
            f"{where} holds a secret that begins or ends with a blank or a control character, "
            "which servers strip from a header. Strip it here and at Okta."
        )
    return member


def _cure_of(kind: str) -> str:
    if kind in _FROM_JSON:
        return "In the environment, put double quotes inside the single ones: '\"1e5\"'."
    if kind in ("bytes", "bytearray"):
        return "Decode it: secret.decode()."
    return "Several secrets are a list, the new one first."


def _digits_as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _refuse(name: str, value: object, cure: str) -> NoReturn:
    # The value is not quoted: a secret may stand under the wrong key.
    kind = type(value).__name__
    raise ConfigurationError(f"{PREFIX}{name.upper()} is set to a wrong value ({kind}): {cure}")


@dataclass(frozen=True, slots=True)
class _NoSecret:
    """Stands for a value of a type that no secret has. It may be one all the same: `1e5`."""

    kind: str


def _unresolved(_: str, value: Any) -> Any:
    """Return what is configured as secret: a tuple, or a mapping of such by the names of hooks; None for none."""
    if isinstance(value, Mapping):
        return {str(hook): _members(one) for hook, one in value.items()}
    return None if value is None else _members(value)


def _members(value: Any) -> tuple[Secret | _NoSecret, ...]:
    if value is None or value == "":
        return ()
    listed = value if isinstance(value, list | tuple) else [value]
    plain = [_digits_as_text(each) for each in listed]
    return tuple(
        Secret(each) if isinstance(each, str) else _NoSecret(type(each).__name__) for each in plain
    )


def _bool(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        _refuse(name, value, "it must be True or False (in the environment: true or false).")
    return value


def _header(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value or set(value) - _HEADER_NAME:
        _refuse(
            name,
            value,
            "it must be the name of a header, of letters, digits and hyphens "
            "(servers drop headers with an underscore).",
        )
    if value.lower() in _HEADERS_WITH_A_MEANING:
        raise ConfigurationError(
            f"{PREFIX}{name.upper()} is {value!r}: that header has a meaning of its own. Choose another at Okta."
        )
    return value


def inbox_url(url: str | Secret | None) -> Secret | None:
    """Return the URL of an inbox so that it does not show."""
    return Secret(url) if isinstance(url, str) else url


def _inbox(name: str, value: Any) -> Secret | None:
    if value is None:
        return None
    if problem := database_url.problem(value if isinstance(value, str) else ""):
        raise ConfigurationError(f"{PREFIX}{name.upper()} {problem}")
    return Secret(value)


def _worker(name: str, value: Any) -> str:
    if value not in WORKERS:
        _refuse(name, value, 'it must be "thread", "external" or "celery".')
    return str(value)


def _count(name: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        _refuse(name, value, "it must be a whole number from 1.")
    return value


def _seconds(name: str, value: Any) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 < value < float("inf"):
        _refuse(name, value, "it must be a number of seconds above 0.")
    return float(value)


def _days(name: str, value: Any) -> timedelta:
    try:
        kept = value if isinstance(value, timedelta) else timedelta(days=value)
    except (TypeError, ValueError, OverflowError):
        kept = timedelta(0)
    if kept <= timedelta(0) or isinstance(value, bool):
        _refuse(name, value, "it must be a number of days above 0, or a timedelta.")
    return kept


def _text(name: str, value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise ConfigurationError(
            f"{PREFIX}{name.upper()} must be a string, not a {type(value).__name__}."
        )
    return value


def _url(name: str, value: Any) -> str | Mapping[str, str] | None:
    if isinstance(value, Mapping):
        return {str(hook): _one_url(name, url) for hook, url in value.items()}
    return None if value is None else _one_url(name, value)


def _one_url(name: str, value: Any) -> str:
    try:
        parts = urlsplit(value) if isinstance(value, str) else None
        is_one = bool(
            parts and parts.scheme in ("https", "http") and parts.hostname and parts.port != 0
        )
    except ValueError:  # such as a port that is no number
        is_one = False
    if not is_one:
        # The value is not quoted: it may hold a password.
        # Nor is the key of a mapping, which may be a secret under a wrong key, too.
        raise ConfigurationError(
            f"{PREFIX}{name.upper()} must be the URL that Okta delivers to, such as "
            "https://app.example.com/okta/events; in an app with several hooks, a mapping of hook names to URLs."
        )
    return str(value)


def _token(name: str, value: Any) -> Secret | None:
    text = _text(name, _digits_as_text(value))
    return None if text is None else Secret(text)


def _tokens(name: str, value: Any) -> tuple[Secret, ...]:
    if isinstance(value, Mapping):
        _refuse(
            name, value, "it must be a string, or a list of strings, of which any one is accepted."
        )
    return tuple(_secret(PREFIX + name.upper(), member) for member in _members(value))


_CHECKS: Final[Mapping[str, Any]] = {
    "secret": _unresolved,
    "allow_unauthenticated": _bool,
    "auth_header": _header,
    "inbox": _inbox,
    "worker": _worker,
    "max_attempts": _count,
    "retention": _days,
    "max_body": _count,
    "url": _url,
    "org_url": _text,
    "api_token": _token,
    "operations_token": _tokens,
    "relay_window": _count,
    "relay_resend": _seconds,
}
