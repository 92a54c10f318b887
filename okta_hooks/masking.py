"""Payloads and errors as they are shown until somebody asks for more: without personal data.

A value stays only where it belongs to the structure of an event, and only if it has the shape, or is one of the words,
that belongs there: whatever else stands in that place is masked.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from . import catalog

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    _Path: TypeAlias = tuple[str, ...]
    _Test: TypeAlias = Callable[[Any], bool]

#: What stands for a value that is not shown.
MASK: Final = "***"
#: Nothing of Okta's is nested so deep: what is, is masked as a whole.
_DEEPEST: Final = 30
_LONGEST_KEY: Final = 64
_MOST_OF_A_NUMBER: Final = 99
_COLONS_OF_AN_ADDRESS: Final = 4
_DIGITS_OF_A_TOKEN: Final = 3

_UUID: Final = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", re.ASCII)
_TIME: Final = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?", re.ASCII
)
#: Of at most two parts: an address of version 4 has four.
_VERSION: Final = re.compile(r"\d{1,2}(?:\.\d{1,2})?", re.ASCII)
#: As the types were called before 2018.
_LEGACY: Final = re.compile(r"(?:core|app)\.[a-z0-9_]{1,30}(?:\.[a-z0-9_]{1,40}){1,6}", re.ASCII)
_LEGACY_WORDS: Final = re.compile(r"[a-z]{1,20}\d?", re.ASCII)
_CONTENT_TYPE: Final = re.compile(
    r"application/json(?:; ?charset=utf-8)?", re.ASCII | re.IGNORECASE
)

_SEVERITIES: Final = frozenset({"DEBUG", "INFO", "WARN", "ERROR"})
_RESULTS: Final = frozenset(
    {
        *("SUCCESS", "FAILURE", "SKIPPED", "ALLOW", "DENY", "CHALLENGE", "UNKNOWN", "RATE_LIMIT"),
        *("DEFERRED", "SCHEDULED", "ABANDONED", "UNANSWERED"),
    }
)
#: In lower case and without blanks, as Okta writes them in several ways.
_TYPES: Final = frozenset(
    {
        *("accesstoken", "apitoken", "appgroup", "appinstance", "appuser", "authenticator"),
        *("authenticatorenrollment", "authorizationserver", "authserver", "brand", "bundle"),
        *("behavior", "client", "clientapp", "credential", "device", "domain", "emailtemplate"),
        *("eventhook", "factor", "feature", "grant", "group", "grouprule", "hook", "idp"),
        *("identityprovider", "idtoken", "inlinehook", "logstream", "networkzone", "oauth2client"),
        *("org", "passcode", "policy", "policyentity", "policyrule", "publicclientapp", "realm"),
        *("refreshtoken", "resourceset", "role", "rule", "scope", "session", "system"),
        *("systemprincipal", "token", "trustedorigin", "user", "usergroup", "usertype", "zone"),
    }
)


def masked(raw: Any) -> Any:
    """Return a payload with what may be personal data replaced: an event of the System Log, or a whole delivery.

    Keys stay, unless one looks like an address, a number or a token; lists keep their length. It is JSON as before.
    """
    return _masked(raw, (), 0)


def _masked(value: Any, path: _Path, depth: int) -> Any:
    if value is None or isinstance(value, bool) or value == "":
        return value
    if depth < _DEEPEST:
        if isinstance(value, dict):
            return _masked_object(value, path, depth)
        if isinstance(value, list):
            return [_masked(item, path, depth + 1) for item in value]
    if path[:2] == _EVENTS:
        path = path[2:]
    test = _KEPT.get(path)
    return value if test is not None and test(value) else MASK


def _masked_object(value: Mapping[str, Any], path: _Path, depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    number = 1
    for key, item in value.items():
        name = key if len(key) <= _LONGEST_KEY and masked_text(key) == key else MASK
        while name in found:
            number += 1
            name = f"{MASK}{number}"
        found[name] = _masked(item, (*path, key), depth + 1)
    return found


def masked_text(text: str) -> str:
    """Return a text, such as a receiver's error, without addresses, long numbers and what looks like a token.

    The name of a person cannot be told from other words: it stays.
    """
    text = without_addresses(text)
    text = _WITH_COLONS.sub(_without_address, text)
    text = _IP_V4.sub(MASK, text)
    text = _TOKEN.sub(_without_token, text)
    return _NUMBER.sub(MASK, text)


def without_addresses(text: str) -> str:
    """Return a text without e-mail addresses."""
    return _EMAIL.sub(MASK, text)


def _without_address(found: re.Match[str]) -> str:
    text = found.group()
    is_address = text.count(":") >= _COLONS_OF_AN_ADDRESS or (
        "::" in text and any(map(str.isalnum, text))
    )
    return MASK if is_address else text


def _without_token(found: re.Match[str]) -> str:
    text = found.group()
    return MASK if sum(map(str.isdigit, text)) >= _DIGITS_OF_A_TOKEN else text


#: Also as it stands in URLs, with a quoted local part, or as what is left of one that was cut off.
#: The bounds are for the time that it takes with a long text; local parts have 64 characters at most.
_EMAIL: Final = re.compile(
    r"(?:\"[^\"\n]{1,64}\"|[^\s@\uff20<>()\[\],;:\"]{1,256})"
    r"(?:[@\uff20]|%40)(?:[^\s@\uff20<>()\[\],;:\"'`/?&=|{}]+|$)"
)
#: Addresses of version 6, and of network cards: hexadecimal digits between colons.
_WITH_COLONS: Final = re.compile(r"(?<![\w:.])[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*(?:%\w+)?")
_IP_V4: Final = re.compile(r"(?<!\d)\d{1,3}(?:\.\d{1,3}){3}(?!\d)")
_TOKEN: Final = re.compile(r"[A-Za-z0-9_+-]{16,}={0,2}")
#: With what people write between the digits of one.
_NUMBER: Final = re.compile(r"\+?\d(?:[ ()/.-]{0,2}\d){5,}")


def _fits(pattern: re.Pattern[str]) -> _Test:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def _is_event_type(value: Any) -> bool:
    # Not by its shape: a name with a dot would have it.
    return isinstance(value, str) and (value in catalog.entries() or value == "com.okta.event_hook")


def _is_legacy_type(value: Any) -> bool:
    if not isinstance(value, str) or _LEGACY.fullmatch(value) is None:
        return False
    return all(_LEGACY_WORDS.fullmatch(word) for word in re.split(r"[._]+", value) if word)


def _is_version(value: Any) -> bool:
    if isinstance(value, int):
        return 0 <= value <= _MOST_OF_A_NUMBER
    return isinstance(value, str) and _VERSION.fullmatch(value) is not None


def _is_small(value: Any) -> bool:
    return isinstance(value, int) and 0 <= value <= _MOST_OF_A_NUMBER


def _is_type(value: Any) -> bool:
    return isinstance(value, str) and value.lower().replace(" ", "") in _TYPES


_EVENTS: Final = ("data", "events")
#: What stays, if it is as it should be there. Lists have no place in a path.
_KEPT: Final[Mapping[_Path, _Test]] = {
    # The delivery.
    ("eventId",): _fits(_UUID),
    ("eventID",): _fits(_UUID),
    ("eventTime",): _fits(_TIME),
    ("eventTypeVersion",): _is_version,
    ("cloudEventsVersion",): _is_version,
    ("contentType",): _fits(_CONTENT_TYPE),
    # The event.
    ("eventType",): _is_event_type,
    ("legacyEventType",): _is_legacy_type,
    ("uuid",): _fits(_UUID),
    ("published",): _fits(_TIME),
    ("insertionTimestamp",): _fits(_TIME),
    ("version",): _is_version,
    ("severity",): lambda value: isinstance(value, str) and value.upper() in _SEVERITIES,
    ("outcome", "result"): lambda value: isinstance(value, str) and value.upper() in _RESULTS,
    ("actor", "type"): _is_type,
    ("target", "type"): _is_type,
    ("transaction", "type"): lambda value: value in ("WEB", "JOB"),
    ("authenticationContext", "authenticationStep"): _is_small,
}
