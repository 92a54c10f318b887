"""The body of a call that creates or replaces an event hook: what is read of it, and what is wrong with it.

https://developer.okta.com/docs/api/openapi/okta-management/management/tag/EventHook/
"""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from okta_hooks import catalog
from okta_hooks.wire.limits import MOST_EVENT_TYPES

from . import errors
from .event_hooks import HookSettings
from .filters import read_hook_filter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_LONGEST_NAME: Final = 255
#: RFC 9110's token.
_HEADER_NAME: Final = frozenset(string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~")
#: What only the sender knows. Okta names no such list.
_OF_THE_SENDER: Final = ("host", "content-length", "transfer-encoding")


def read_settings(
    body: object, *, http_hooks: bool, replaced: HookSettings | None = None
) -> HookSettings:
    """Read the body of a call that creates or replaces a hook. What an admin has no say in may stand in it.

    :param http_hooks: Whether ``http:`` URLs are taken as well.
    :param replaced: What the hook is now: its secret stays if the body has none,
        as one that was read has none.
    :raises RequestRefused: with every reason there is.
    """
    if not isinstance(body, dict):
        raise errors.malformed()
    reading = _BodyReader(body)
    name = reading.text("name", longest=_LONGEST_NAME)
    description = reading.text_or_none("description")
    reading.one_of("events.type", "EVENT_TYPE")
    event_types = _event_types(reading)
    reading.one_of("channel.type", "HTTP")
    reading.one_of("channel.version", "1.0.0")
    uri = reading.text("channel.config.uri", longest=1024)
    schemes = ("https", "http") if http_hooks else ("https",)
    if uri and not _is_url(uri, schemes):
        cause = "channel.config.uri: The URL must begin with https:// and have a host"
        if _is_url(uri, ("http",)):
            # Not Okta's words: it knows no such option.
            cause += "; the simulator takes http:// as well if it is started with --http-hooks"
        reading.causes.append(cause)
    headers = _headers(reading)
    auth_header, secret = _auth_scheme(reading, None if replaced is None else replaced.secret)
    event_filter = read_hook_filter(reading.at("events.filter"), reading.causes)
    if reading.causes:
        raise errors.invalid("eventHook", *reading.causes)
    return HookSettings(
        name=name,
        description=description,
        event_types=event_types,
        event_filter=event_filter,
        uri=uri,
        headers=headers,
        auth_header=auth_header,
        secret=secret,
    )


def read_status(body: object) -> bool | None:
    """Return whether a replacement makes a hook active or not, or None if it does not say.

    :raises RequestRefused: if it says something else.
    """
    reading = _BodyReader(body if isinstance(body, dict) else {})
    status = reading.at("status")
    if status is None:
        return None
    reading.one_of("status", "ACTIVE", "INACTIVE")
    if reading.causes:
        raise errors.invalid("eventHook", *reading.causes)
    return bool(status == "ACTIVE")


def make_bodies(
    name: str,
    url: str,
    event_types: Iterable[str],
    headers: Mapping[str, str],
    auth_header: str,
    secret: str | None,
) -> Iterator[dict[str, Any]]:
    """Yield bodies that create hooks for one URL: as many as it takes for the event types."""
    config: dict[str, Any] = {
        "uri": url,
        "headers": [{"key": key, "value": value} for key, value in headers.items()],
    }
    if secret is not None:
        config["authScheme"] = {"type": "HEADER", "key": auth_header, "value": secret}
    wanted = list(dict.fromkeys(event_types))
    for number, start in enumerate(range(0, len(wanted), MOST_EVENT_TYPES), 1):
        items = wanted[start : start + MOST_EVENT_TYPES]
        yield {
            "name": f"{name} {number}",
            "events": {"type": "EVENT_TYPE", "items": items},
            "channel": {"type": "HTTP", "version": "1.0.0", "config": config},
        }


class _BodyReader:
    """A body, and what is wrong with it."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self.body = body
        self.causes: list[str] = []

    def at(self, path: str) -> Any:
        """Return what stands at a dotted path, or None."""
        value: Any = self.body
        for key in path.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        return value

    def text(self, path: str, *, longest: int) -> str:
        value = self.at(path)
        if not isinstance(value, str) or not value.strip():
            self.causes.append(f"{path}: The field cannot be left blank")
            return ""
        if len(value) > longest:
            self.causes.append(f"{path}: The field cannot be longer than {longest} characters")
        return value

    def text_or_none(self, path: str) -> str | None:
        value = self.at(path)
        if isinstance(value, str | None):
            return value
        self.causes.append(f"{path}: The value must be a text or null")
        return None

    def one_of(self, path: str, *values: str) -> None:
        if self.at(path) not in values:
            self.causes.append(f"{path}: The value must be {' or '.join(values)}")

    def not_of_the_sender(self, path: str, header: str) -> None:
        if header.lower() in _OF_THE_SENDER:
            self.causes.append(f"{path}: {header} cannot be chosen")


def _event_types(reading: _BodyReader) -> tuple[str, ...]:
    items = reading.at("events.items")
    if not isinstance(items, list) or not items or not all(isinstance(item, str) for item in items):
        reading.causes.append("events.items: At least one event type is needed")
        return ()
    event_types = tuple(dict.fromkeys(items))
    if len(event_types) > MOST_EVENT_TYPES:
        reading.causes.append(f"events.items: A hook has at most {MOST_EVENT_TYPES} event types")
    for event_type in event_types:
        entry = catalog.get(event_type)
        if entry is None or not entry.event_hook_eligible:
            near = catalog.suggest(event_type) if entry is None else None
            reading.causes.append(
                f"events.items: {event_type} is not eligible for event hooks"
                + (f"; is {near} meant?" if near else "")
            )
    return event_types


def _headers(reading: _BodyReader) -> tuple[tuple[str, str], ...]:
    listed = reading.at("channel.config.headers") or []
    pairs: list[tuple[Any, Any]] = [
        (item.get("key"), item.get("value")) if isinstance(item, dict) else (None, None)
        for item in (listed if isinstance(listed, list) else [None])
    ]
    if not all(_is_header(key, value) for key, value in pairs):
        reading.causes.append("channel.config.headers: Each needs a key and a value")
        return ()
    for key, _ in pairs:
        reading.not_of_the_sender("channel.config.headers", key)
    return tuple(pairs)


def _auth_scheme(reading: _BodyReader, old_secret: str | None) -> tuple[str | None, str | None]:
    path = "channel.config.authScheme"
    scheme = reading.at(path)
    if scheme is None:
        return None, None
    reading.one_of(f"{path}.type", "HEADER")
    key, value = reading.at(f"{path}.key"), reading.at(f"{path}.value")
    if value is None:
        value = old_secret
    if not _is_header(key, value) or not value:
        reading.causes.append(f"{path}: The key and the value of the header are needed")
        return None, None
    reading.not_of_the_sender(path, key)
    return key, value


def _is_header(key: object, value: object) -> bool:
    return (
        isinstance(key, str)
        and key != ""
        and set(key) <= _HEADER_NAME
        and isinstance(value, str)
        and not set(value) & set("\0\r\n")
    )


def _is_url(uri: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:
        return False
    is_plain = uri.isascii() and uri.isprintable() and " " not in uri
    return is_plain and parts.scheme in schemes and bool(parts.hostname) and port != 0
