"""What is registered at Okta, held against what the app needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from okta_hooks.subscription import find

from .check import failure, listed, ok, shown, skipped, warning

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from okta_hooks.okta_api import RegisteredHook

    from .check import Check

_NAME = "registration"
_APPLY = "flask okta-hooks apply brings it in step."


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the app needs of the hook at Okta. ``url`` is None if nobody has said it."""

    url: str | None
    path: str | None
    header: str
    types: tuple[str, ...]


def choose(
    registered: Sequence[RegisteredHook], wanted: Wanted
) -> tuple[RegisteredHook | None, list[Check]]:
    """Return the one hook of an org that delivers to this app, or why it cannot be told."""
    found = find(registered, url=wanted.url, path=wanted.path)
    where = shown(wanted.url) if wanted.url else wanted.path
    if len(found) == 1:
        return found[0], []
    if found:
        urls = listed([shown(hook.url or "") for hook in found])
        return None, [
            skipped(
                _NAME, f"Several hooks at Okta deliver to {where}: {urls}.", "Say which: --url."
            )
        ]
    others = [shown(hook.url) for hook in registered if hook.url]
    text = f"None of the {len(registered)} hooks of the org delivers to {where}"
    return None, [
        failure(
            _NAME,
            f"{text}{': ' + listed(others) if others else ''}.",
            "flask okta-hooks apply --url https://... registers it.",
        )
    ]


def judge(hook: RegisteredHook, wanted: Wanted) -> Iterator[Check]:
    """Say in what the hook at Okta differs from what the app needs."""
    called = f"The hook {hook.name!r} at Okta"
    found = list(_differences(hook, wanted, called))
    yield from found
    if not found:
        yield ok(
            _NAME,
            f"{called} is active, verified, and has the {len(wanted.types)} types that are needed.",
        )


def _differences(hook: RegisteredHook, wanted: Wanted, called: str) -> Iterator[Check]:
    if not hook.is_active:
        yield failure(_NAME, f"{called} is {hook.status}: it gets no events.", _APPLY)
    if not hook.is_verified:
        yield failure(
            _NAME,
            f"{called} is {hook.verification_status}: it gets no events.",
            "flask okta-hooks verify, once the endpoint answers.",
        )
    missing = sorted(set(wanted.types) - set(hook.event_types))
    if missing:
        yield failure(
            _NAME,
            f"{called} lacks {len(missing)} types that receivers want: {listed(missing)}.",
            _APPLY,
        )
    extra = sorted(set(hook.event_types) - set(wanted.types))
    if extra:
        yield warning(
            _NAME,
            f"{called} has {len(extra)} types that no receiver wants: {listed(extra)}.",
            _APPLY,
        )
    if hook.auth_header is not None and hook.auth_header.lower() != wanted.header.lower():
        yield failure(
            _NAME,
            f"{called} sends the secret in {hook.auth_header}, and the app expects it in {wanted.header}.",
            f"{_APPLY} Or set OKTA_HOOKS_AUTH_HEADER.",
        )
    if urlsplit(hook.url or "").path.rstrip("/") != (wanted.path or "").rstrip("/") and wanted.path:
        yield warning(
            _NAME,
            f"{called} delivers to {shown(hook.url or '')}, and the app has the hook at {wanted.path}.",
            "Correct the URL at Okta, unless a proxy maps one to the other.",
        )
