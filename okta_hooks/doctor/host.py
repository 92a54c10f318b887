"""What the host app itself puts before the hook: seen by asking it in this process."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from flask import request_finished

from .check import failure, listed, ok, warning
from .refusals import LIMIT, unwanted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from flask import Flask

    from .check import Check
    from .probes import Outcome, OwnAnswers
    from .refusals import Expected

_NAME = "host"
_BODY_IS_READ = (
    "Something in the app reads the body before the hook does, such as a before_request that logs requests: "
    "let it pass the hook by, if request.blueprint == okta.name."
)


def name_of(url: str | None, config: Mapping[str, Any]) -> str:
    """Return the host that the app is asked for: that of the URL, else one that it expects.

    :param config: Flask's.
    """
    trusted = config.get("TRUSTED_HOSTS") or [""]
    asked = urlsplit(url).netloc.rpartition("@")[2] if url else ""
    return asked or config.get("SERVER_NAME") or trusted[0].lstrip(".") or "localhost"


@contextmanager
def rate_limits(app: Flask) -> Iterator[set[str]]:
    """Collect against which limits Flask-Limiter counts what is asked of an app in this process."""
    found: set[str] = set()

    def note(_: object, **__: object) -> None:
        limiters = app.extensions.get("limiter", ())
        with suppress(Exception):  # another version may keep something else there
            found.update(str(each.limit) for one in limiters for each in one.current_limits)

    with request_finished.connected_to(note, sender=app):
        yield found


def checks(
    answers: OwnAnswers,
    expected: Expected,
    *,
    config: Mapping[str, Any],
    has_csrf: bool,
    limits: Collection[str] = (),
) -> Iterator[Check]:
    """Say what keeps Okta's requests from the hook within the app.

    :param config: Flask's.
    :param has_csrf: Whether Flask-WTF protects the app.
    :param limits: What :func:`rate_limits` has found.
    """
    for what, outcome, wanted in (
        ("verification", answers.verified, HTTPStatus.OK),
        ("delivery", answers.delivered, HTTPStatus.NO_CONTENT),
    ):
        if outcome.status == wanted:
            continue
        text, cure = _explained(what, outcome, expected, config, has_csrf=has_csrf)
        said = "with no answer" if outcome.status is None else f"with {outcome.status}"
        yield failure(_NAME, f"In the app itself a {what} ends {said}: {text}", cure)
        return
    if answers.verified.verification != answers.challenge:
        yield failure(
            _NAME,
            "In the app itself a verification ends with 200, but not with the challenge: "
            "another view of the app answers to GET at the hook's URL, or something changes its answers.",
            "Give the hook a path of its own: EventHook(name, url_prefix=...).",
        )
        return
    large = answers.large
    if large is not None and large.status == HTTPStatus.TOO_MANY_REQUESTS:
        text, cure = unwanted(large, expected)
        yield failure(_NAME, f"In the app itself the second delivery ends with 429: {text}", cure)
        return
    if large is not None and large.status != HTTPStatus.NO_CONTENT:
        limit = config.get("MAX_CONTENT_LENGTH")
        yield failure(
            _NAME,
            f"In the app itself a large delivery ends with {large.status or 'no answer'}"
            + (f": MAX_CONTENT_LENGTH is {limit}." if limit is not None else "."),
            _BODY_IS_READ,
        )
        return
    if limits:
        yield warning(
            _NAME,
            f"Flask-Limiter counts requests to the hook ({listed(sorted(limits))}): what is above that is answered "
            "with 429, and lost.",
            LIMIT,
        )
        return
    yield ok(_NAME, "Within the app nothing stands before the hook.")


def _explained(
    what: str, outcome: Outcome, expected: Expected, config: Mapping[str, Any], *, has_csrf: bool
) -> tuple[str, str]:
    status = outcome.status
    if status == HTTPStatus.SERVICE_UNAVAILABLE and outcome.is_ours and what == "delivery":
        return "the body is gone when the hook is asked.", _BODY_IS_READ
    if status == HTTPStatus.BAD_REQUEST and has_csrf and what == "delivery":
        return "CSRFProtect wants a token, and Okta has none.", "csrf.exempt(okta)"
    host = urlsplit(expected.url).netloc
    if status == HTTPStatus.BAD_REQUEST and config.get("TRUSTED_HOSTS"):
        return f"{host} is not among TRUSTED_HOSTS.", f"Add {host!r}, or the host that Okta calls."
    if status == HTTPStatus.NOT_FOUND:
        server_name = config.get("SERVER_NAME")
        return f"there is no hook for the host {host}.", (
            f"SERVER_NAME is {server_name!r}: with subdomain_matching or host_matching "
            "the hook must be on the host that Okta calls."
            if server_name
            else "With host_matching the hook must be on the host that Okta calls."
        )
    return unwanted(outcome, expected)
