"""What is registered at Okta, held against what the app needs."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from okta_hooks.org import lookup
from okta_hooks.org.lookup import none_found
from okta_hooks.org.subscription import shown_change
from okta_hooks.org.urls import same_path, same_url, shown

from .answers import is_private
from .check import failure, listed, ok, skipped, warning

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from okta_hooks.org.hooks import RegisteredHook
    from okta_hooks.org.subscription import Plan

    from .check import Check

NAME = "registration"
_APPLY = "flask okta-hooks apply brings it in step."


def missing(*, name: str | None, url: str | None, path: str | None) -> Iterator[Check]:
    """Say that the hook is not at Okta."""
    by_url = None if url is None or is_private(urlsplit(url).hostname or "") else url
    yield failure(
        NAME,
        f"{none_found(name=name, url=by_url, path=path)}.",
        "flask okta-hooks apply --url https://... registers it. One of another path is found by --name.",
    )


def unknown(candidates: Sequence[RegisteredHook]) -> Check:
    """Return that nobody knows which hook at Okta is the app's. None of these is asked with its secret."""
    return failure(
        NAME,
        lookup.unknown(candidates),
        "--name or --url says it here, OKTA_HOOKS_URL for good.",
    )


def not_asked(live: RegisteredHook) -> Check:
    """Return that the URL of a hook is not asked: the secret is not sent where only a delivery has shown the way."""
    return skipped(
        "url",
        f"Nothing was asked over the network: that the hook {live.name!r} has delivered to this inbox, which may be "
        "a copy of another app's, does not prove that this app's secret may be sent to "
        f"{shown(live.url or '')}.",
        f"If that is this app's, say --name {shlex.quote(live.name or '')}, or set OKTA_HOOKS_URL to its URL.",
    )


def checks(
    plan: Plan, live: RegisteredHook, path: str | None, asked: str | None = None
) -> Iterator[Check]:
    """Say in what the hook at Okta differs from what the app needs.

    :param live: The hook at Okta.
    :param path: Where the app has the hook, or None if that cannot be told.
    :param asked: The URL that doctor was told to ask, or None.
    """
    called = f"The hook {live.name!r} at Okta"
    found = [
        *_differences(plan, live, called),
        *_other_path(plan, path, called),
        *_other_url(plan, asked, called),
    ]
    yield from found
    if not found:
        yield ok(
            NAME,
            f"{called} is active, verified, and has the {len(plan.types)} types that are needed.",
        )


def _differences(plan: Plan, live: RegisteredHook, called: str) -> Iterator[Check]:
    if not live.is_active:
        yield failure(NAME, f"{called} is {live.status}: it gets no events.", _APPLY)
    if not live.is_verified:
        which = f" --name {shlex.quote(live.name)}" if live.name else ""
        yield failure(
            NAME,
            f"{called} is {live.verification_status}: it gets no events.",
            f"flask okta-hooks verify{which}, once the endpoint answers.",
        )
    if plan.add:
        yield failure(
            NAME,
            f"{called} lacks what receivers want: {listed(plan.add)}.",
            _APPLY,
        )
    if plan.remove:
        yield warning(
            NAME,
            f"{called} has what no receiver wants: {listed(plan.remove)}.",
            _APPLY,
        )
    for change in map(shown_change, plan.changes):
        if not change.is_lifecycle:
            yield failure(
                NAME,
                f"{called} has another {change.what} than the app: "
                f"{change.before or 'none'} instead of {change.after or 'none'}.",
                _APPLY,
            )


def _other_path(plan: Plan, path: str | None, called: str) -> Iterator[Check]:
    if path is not None and not same_path(plan.url, path):
        yield warning(
            NAME,
            f"{called} delivers to {shown(plan.url)}, and the app has the hook at {path}.",
            "Correct the URL at Okta, unless a proxy maps one to the other.",
        )


def _other_url(plan: Plan, asked: str | None, called: str) -> Iterator[Check]:
    """Compare the URLs, unless it is the app itself that was asked, behind whatever Okta calls."""
    if asked is None or is_private(urlsplit(asked).hostname or ""):
        return
    if not same_url(plan.url, asked):
        yield warning(
            NAME,
            f"{called} delivers to {shown(plan.url)}, which is not what is asked here.",
            "If another hook is meant, say which with --name; "
            "flask okta-hooks apply, with --name and --url, moves this one.",
        )
