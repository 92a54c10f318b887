"""What an answer means that Okta should not get, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from okta_hooks.org.urls import same_path, shown

from .unanswered import diagnosis

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .probes import Outcome

HEADER_CURE: Final = (
    "Let it pass: `WSGIPassAuthorization On` for Apache's mod_wsgi; in a proxy, no authentication of its own "
    "on this path, and no line that sets or clears the header. "
    "Or give Okta another header: OKTA_HOOKS_AUTH_HEADER, such as X-Okta-Secret."
)
ANOTHER_SECRET: Final = (
    "the header arrives, and does not hold the secret of the served app.",
    (
        "Give the app that is served the OKTA_HOOKS_SECRET that is in force here, and restart it. "
        "If it has that: something in front puts a value of its own into the header. The app's log has a hint."
    ),
)
CACHE: Final = (
    "Exclude the path from the cache of the proxy or CDN: it ignores `Cache-Control: no-store`."
)
LIMIT: Final = (
    "Exempt the hook from the rate limiter, in the app or in front: an import of a thousand users is a thousand events "
    "within minutes. The default limits of Flask-Limiter hold for the hook, too: limiter.exempt(okta)."
)
CHUNKS: Final = (
    "the server does not pass the body on.",
    (
        "Let the proxy send the length: nginx does, unless proxy_request_buffering is off. "
        "Or serve the app by a server that passes chunks on, such as gunicorn or waitress; uWSGI does not, "
        "nor do adapters from WSGI to ASGI."
    ),
)
FORCE_HTTPS: Final = (
    "That is a wall that wants https, such as force_https of Flask-Talisman, and TLS ends in front of it: "
    "let the proxy send X-Forwarded-Proto, and the app believe it (ProxyFix with x_proto=1). "
    "Where an http URL was asked, around the proxy, only the https URL tells more."
)
NO_204: Final = (
    "every other answer of the hook comes through, and its 204, which has no body, does not.",
    (
        "Hypercorn's WSGI mode makes a 500 of each answer without a body: serve the app by a WSGI server, or give "
        "Hypercorn an ASGI app (a2wsgi.WSGIMiddleware). If it is another server: look for an after_request of the app."
    ),
)
LOOK_IN_FRONT: Final = (
    "Look into the logs of the app and of what is in front of it: "
    "which of them has seen the request?"
)

_OF_THIS_LIBRARY: Final[Mapping[int, tuple[str, str]]] = {
    401: ("the secret does not arrive as it was sent.", HEADER_CURE),
    503: ("the inbox does not take it.", "Ask on the machine that serves: see inbox."),
}
_REFUSED: Final = (
    "by this library, so the request arrives changed.",
    "What reads or changes bodies and headers before the hook must let it pass. The app's log has more.",
)
_NO_BACKEND: Final = (
    "the proxy gets no answer from the app.",
    "Is the app up, and where the proxy looks for it?",
)
_OF_OTHERS: Final[Mapping[int, tuple[str, str]]] = {
    400: (
        "not by this library: a CSRF protection, a list of trusted hosts, or a firewall.",
        "csrf.exempt(okta) for Flask-WTF; the URL's host in TRUSTED_HOSTS; an exception in the firewall.",
    ),
    401: (
        "not by this library: something in front wants to authenticate the request itself.",
        (
            "Let the path pass there. If it cannot be: give Okta a header that this does not use, "
            "OKTA_HOOKS_AUTH_HEADER, and what it wants as a custom header field."
        ),
    ),
    403: (
        "not by this library: a firewall, a list of addresses, or a CSRF protection.",
        "Let the path pass there, and csrf.exempt(okta). Okta's addresses change: it publishes them.",
    ),
    405: (
        "something is there that does not take this method.",
        "Let GET and POST through, to the path of the hook.",
    ),
    413: ("the body is too large for something in front.", "Raise its limit."),
    429: ("a rate limiter.", LIMIT),
    502: _NO_BACKEND,
    503: _NO_BACKEND,
    504: _NO_BACKEND,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What the app thinks of itself: where it is, and which header has the secret.

    ``path`` is None if a part of it is a variable.
    """

    url: str
    header: str
    path: str | None


def unwanted(outcome: Outcome, expected: Expected) -> tuple[str, str]:
    """Return what an answer means, and what to do."""
    status = outcome.status
    if status is None:
        return diagnosis(outcome)
    if outcome.is_redirect:
        return redirect(outcome, expected)
    if outcome.is_ours:
        return _OF_THIS_LIBRARY.get(status, _REFUSED)
    return _OF_OTHERS.get(status) or _by_class(status, expected)


def _by_class(status: int, expected: Expected) -> tuple[str, str]:
    if status == HTTPStatus.NOT_FOUND:
        return "there is no hook at that URL.", other_path(expected)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return (
            "not by this library: something fails before the hook is asked.",
            "The app's log has the traceback: look for a before_request or a middleware.",
        )
    return "not an answer of this library.", other_path(expected)


def other_path(expected: Expected) -> str:
    """Return what to do if something else is at the URL."""
    if expected.path and not same_path(expected.url, expected.path):
        path = urlsplit(expected.url).path or "/"
        return (
            f"The app has the hook at {expected.path}, and {path} was asked: "
            "correct the URL, unless a proxy maps one to the other."
        )
    return LOOK_IN_FRONT


def redirect(outcome: Outcome, expected: Expected) -> tuple[str, str]:
    """Return what a redirect means, and what to do."""
    where = f" to {shown(outcome.location)}" if outcome.location else ""
    text = f"a redirect{where}, and Okta follows none."
    if _forces_https(outcome, expected):
        return text, FORCE_HTTPS
    if _is_login(outcome):
        return text, (
            "That is a login wall: let the hook pass it, with `if request.blueprint == okta.name` "
            "in a before_request of the app, or by its path in the proxy."
        )
    return text, "Register the URL that it leads to, or stop redirecting this one."


def _forces_https(outcome: Outcome, expected: Expected) -> bool:
    """Return whether it leads to what was asked, by https."""
    try:
        asked, to = urlsplit(expected.url), urlsplit(outcome.location or "")
    except ValueError:
        return False
    return (to.scheme, to.hostname, to.path) == ("https", asked.hostname, asked.path)


def _is_login(outcome: Outcome) -> bool:
    words = ("login", "log-in", "signin", "sign-in", "sso", "auth", "saml")
    where = (outcome.location or "").lower().partition("?")[0]
    return outcome.status in (302, 303) and any(word in where for word in words)
