"""What the app's configuration and its receivers tell by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from okta_hooks.receivers import doubt, why_uncallable

from .check import failure, listed, ok, ordinal, warning

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from okta_hooks.receivers import Receiver
    from okta_hooks.state.platform import Unfit

    from .check import Check

_SHORTEST_SECRET: Final = 16
_LARGEST_EXPECTED: Final = 1024 * 1024
_MAKE_ANOTHER: Final = (
    'Make one, python -c "import secrets; print(secrets.token_urlsafe(32))", '
    "and change it here and at Okta: the how-to on rotation loses no event."
)
#: Secrets that stand in documentation, examples and templates, in lower case.
_WELL_KNOWN: Final = frozenset(
    {
        "authentication secret",
        "change me",
        "change-me",
        "change_me",
        "changeme",
        "correct horse",
        "correct horse battery staple",
        "correcthorsebatterystaple",
        "okta",
        "okta_hooks_secret",
        "password",
        "replace me",
        "replace-me",
        "s3cr3t",
        "secret",
        "test",
        "the new secret",
        "the old secret",
        "topsecret",
        "your secret",
        "your-secret",
        "your-secret-here",
        "your_secret_here",
    }
)
#: Headers that proxies and servers use themselves, and may not pass on.
_NOT_PASSED_ON: Final = frozenset(
    {"connection", "cookie", "forwarded", "keep-alive", "proxy-authorization", "te", "upgrade"}
)


def secrets(values: Sequence[str], *, allow_unauthenticated: bool) -> Iterator[Check]:
    """Look at the live secrets, of which nothing is told but their order."""
    name = "secret"
    if allow_unauthenticated:
        text = "Anybody who knows the URL can post events." if not values else "It is not needed."
        yield warning(
            name,
            f"OKTA_HOOKS_ALLOW_UNAUTHENTICATED is on. {text}",
            "Set OKTA_HOOKS_SECRET, and drop OKTA_HOOKS_ALLOW_UNAUTHENTICATED.",
        )
    complaints = [
        (number, complaint)
        for number, value in enumerate(values)
        if (complaint := _complaint(value)) is not None
    ]
    for number, (text, cure) in complaints:
        which = "The secret" if len(values) == 1 else f"The secret in {ordinal(number)} position"
        yield warning(name, f"{which} {text}", cure)
    if len(set(values)) < len(values):
        yield warning(
            name,
            "The same secret stands in the list twice.",
            "Put the new one first and the old one behind it.",
        )
    if values and not complaints:
        how_many = "There is one" if len(values) == 1 else f"There are {len(values)}"
        yield ok(name, f"{how_many}, long enough and nothing that others would guess first.")


def _complaint(value: str) -> tuple[str, str] | None:
    plain = value.lower()
    if plain in _WELL_KNOWN or (value[0], value[-1]) == ("<", ">") or len(set(value)) == 1:
        return "is one that anybody would guess: it stands in examples.", _MAKE_ANOTHER
    if value[0] == value[-1] and value[0] in "\"'":
        return (
            "stands in quotes, which are part of it.",
            "If Okta's has none: leave them away here. A file for `docker --env-file` takes no quotes.",
        )
    if len(value) < _SHORTEST_SECRET:
        return f"has fewer than {_SHORTEST_SECRET} characters.", _MAKE_ANOTHER
    return None


def auth_header(header: str) -> Iterator[Check]:
    """Look at the name of the header that carries the secret."""
    name = "header"
    if header.lower() in _NOT_PASSED_ON:
        yield warning(
            name,
            f"The secret is expected in {header}, which proxies and servers take for themselves.",
            "Choose another name, such as X-Okta-Secret, for OKTA_HOOKS_AUTH_HEADER and at Okta.",
        )
        return
    yield ok(name, f"The secret is expected in {header}: Okta's authentication field must say so.")


def mode(*, has_inbox: bool) -> Iterator[Check]:
    """Look at whether anything is stored at all."""
    if not has_inbox:
        yield warning(
            "inbox",
            "OKTA_HOOKS_INBOX is None: receivers run while Okta waits, for 3 s at most, "
            "and what fails is not tried again.",
            "Leave the key away, or give it the URL of a database.",
        )


def platform(found: Iterable[Unfit]) -> Iterator[Check]:
    """Look at what does not work on the platform that this runs on."""
    for each in found:
        yield warning("platform", each.text, each.cure)


def limits(max_body: int) -> Iterator[Check]:
    """Look at how large a delivery may be, in bytes."""
    if max_body < _LARGEST_EXPECTED:
        yield warning(
            "body-size",
            f"OKTA_HOOKS_MAX_BODY is {max_body} bytes, and Okta names no maximum.",
            "Leave the key away: its default is 10 MiB.",
        )


def receivers(patterns: Mapping[str, Sequence[str]], *, is_external: bool) -> Iterator[Check]:
    """Look at who is connected to what.

    :param patterns: The patterns of each connected receiver, by its name.
    :param is_external: Whether workers run apart from this app.
    """
    name = "receivers"
    if not patterns:
        make = warning if is_external else failure
        yield make(
            name,
            "No receiver is connected in this app: what arrives is stored and waits.",
            "Import the module with the receivers where the app is made. "
            "Mind that okta.signal(...).connect holds a function weakly.",
        )
        return
    doubts = {
        pattern: text
        for each in patterns.values()
        for pattern in each
        if (text := doubt(pattern)) is not None
    }
    for pattern, text in sorted(doubts.items()):
        having = sorted(receiver for receiver, each in patterns.items() if pattern in each)
        yield warning(
            name,
            f"{text} For that, {listed(having)} will not be called.",
            "Correct the pattern, or name the types. If the type is new at Okta, this warning can stay.",
        )
    if not doubts:
        yield ok(name, f"{len(patterns)} connected, each to types that Okta delivers.")


def signatures(receivers: Sequence[Receiver]) -> Iterator[Check]:
    """Look for receivers that blinker has connected, and that cannot be called: each attempt would fail."""
    for receiver in receivers:
        if (reason := why_uncallable(receiver.call)) is not None:
            yield failure(
                "receivers",
                f"{receiver.name} cannot be called: {reason}.",
                "Receivers are called as receiver(app, event=..., delivery=..., hook=..., attempt=...): "
                "write def receiver(app, event, **extra).",
            )
