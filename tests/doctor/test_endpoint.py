from __future__ import annotations

import itertools
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask, request

from okta_hooks import EventHook
from okta_hooks.inbox.overview import Counts
from tests.support import serving

from .served import INSIDE, URL, examine, in_front, troubles
from .support import SECRET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path


CHALLENGE = "HTTP_X_OKTA_VERIFICATION_CHALLENGE"
Environ = dict[str, Any]
Wsgi = Any


def failed(**names: str) -> dict[str, str]:
    return INSIDE | {name.replace("_", "-"): level for name, level in names.items()}


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_healthy_endpoint(make: Callable[..., Flask], slash: str) -> None:
    """Every probe is answered as it should be; nothing is stored, and no receiver runs."""
    requests: list[str] = []
    served = make()
    served.before_request(lambda: requests.append(request.method))
    with serving(served) as base:
        found = examine(make(), "--url", f"{base}{URL}{slash}")

    assert in_front(found) == INSIDE
    assert found["worker"][0]["level"] == "ok"
    assert {name for name, (check, *_) in found.items() if check["level"] == "ok"} == {
        *("secret", "header", "receivers", "host"),
        *("reachable", "redirect", "challenge", "auth-header", "delivery", "wrong-secret"),
        *("chunked", "body-size", "burst", "answer-time"),
        *("inbox", "worker", "backlog", "dead-letters", "consistency"),
    } | {name for name in found if name == "inbox-file"} - troubles(found).keys()
    assert len(requests) <= 40
    inbox = served.extensions["okta_hooks"].runtime().inbox
    assert inbox.overview.counts() == Counts()


def answer(start: Any, status: str, body: bytes = b"<html>", **headers: str) -> Iterable[bytes]:
    start(status, [("Content-Type", "text/html"), *headers.items()])
    return [body]


def drain(environ: Environ) -> None:
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))


def strip(app: Wsgi) -> Wsgi:
    """Take the header with the secret away, as mod_wsgi does."""

    def middleware(environ: Environ, start: Any) -> Any:
        environ.pop("HTTP_AUTHORIZATION", None)
        return app(environ, start)

    return middleware


def strip_from_get(app: Wsgi) -> Wsgi:
    def middleware(environ: Environ, start: Any) -> Any:
        if environ["REQUEST_METHOD"] == "GET":
            environ.pop("HTTP_AUTHORIZATION", None)
        return app(environ, start)

    return middleware


def add_secret(app: Wsgi) -> Wsgi:
    """Put the right secret into every request, as a proxy with too much good will."""

    def middleware(environ: Environ, start: Any) -> Any:
        return app(environ | {"HTTP_AUTHORIZATION": SECRET}, start)

    return middleware


def cache(app: Wsgi) -> Wsgi:
    """Keep the first answer to a GET of each path."""
    kept: dict[str, Any] = {}

    def middleware(environ: Environ, start: Any) -> Any:
        if environ["REQUEST_METHOD"] != "GET":
            return app(environ, start)
        path = environ["PATH_INFO"]
        if path not in kept:
            head: list[Any] = []
            body = b"".join(app(environ, lambda *given: head.extend(given)))
            kept[path] = head, body
        head, body = kept[path]
        start(*head[:2])
        return [body]

    return middleware


def login(app: Wsgi) -> Wsgi:
    def middleware(environ: Environ, start: Any) -> Any:
        drain(environ)
        return answer(start, "302 FOUND", Location="https://sso.example.com/login?token=t0ken")

    return middleware


def move(app: Wsgi) -> Wsgi:
    def middleware(environ: Environ, start: Any) -> Any:
        drain(environ)
        return answer(
            start, "308 PERMANENT REDIRECT", Location="https://www.example.com/okta/events"
        )

    return middleware


def one_slash(app: Wsgi) -> Wsgi:
    """Redirect from the form with a slash at the end to that without."""

    def middleware(environ: Environ, start: Any) -> Any:
        if environ["PATH_INFO"].endswith("/"):
            drain(environ)
            return answer(start, "301 MOVED PERMANENTLY", Location=URL)
        return app(environ, start)

    return middleware


def small_bodies(app: Wsgi) -> Wsgi:
    def middleware(environ: Environ, start: Any) -> Any:
        if int(environ.get("CONTENT_LENGTH") or 0) > 100_000:
            drain(environ)
            return answer(start, "413 CONTENT TOO LARGE")
        return app(environ, start)

    return middleware


def hang_up_on_large(app: Wsgi) -> Wsgi:
    """Close the connection while a large body comes, as some proxies do."""

    def middleware(environ: Environ, start: Any) -> Any:
        if int(environ.get("CONTENT_LENGTH") or 0) > 100_000:
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        return app(environ, start)

    return middleware


def limit(status: str) -> Callable[[Wsgi], Wsgi]:
    """Let ten requests through, and then none."""

    def wrap(app: Wsgi) -> Wsgi:
        left = [10]
        lock = threading.Lock()

        def middleware(environ: Environ, start: Any) -> Any:
            with lock:
                left[0] -= 1
                is_over = left[0] < 0
            if is_over:
                drain(environ)
                return answer(start, status)
            return app(environ, start)

        return middleware

    return wrap


def slow(seconds: float) -> Callable[[Wsgi], Wsgi]:
    """Take a while for the first request."""

    def wrap(app: Wsgi) -> Wsgi:
        pause = threading.Event()
        first = threading.Lock()

        def middleware(environ: Environ, start: Any) -> Any:
            if first.acquire(blocking=False):
                pause.wait(seconds)
            return app(environ, start)

        return middleware

    return wrap


def only(status: str, body: bytes = b"<html>", method: str = "") -> Callable[[Wsgi], Wsgi]:
    """Answer always the same, or to one method only."""

    def wrap(app: Wsgi) -> Wsgi:
        def middleware(environ: Environ, start: Any) -> Any:
            if method not in ("", environ["REQUEST_METHOD"]):
                return app(environ, start)
            drain(environ)
            return answer(start, status, body)

        return middleware

    return wrap


def clock_page(app: Wsgi) -> Wsgi:
    """Answer a GET with a page that is never the same."""
    pages = itertools.count()

    def middleware(environ: Environ, start: Any) -> Any:
        if environ["REQUEST_METHOD"] == "GET":
            return answer(start, "200 OK", str(next(pages)).encode())
        return app(environ, start)

    return middleware


def firewall(app: Wsgi) -> Wsgi:
    """Let only the right secret through, in a way of its own."""

    def middleware(environ: Environ, start: Any) -> Any:
        if environ.get("HTTP_AUTHORIZATION") != SECRET and environ["REQUEST_METHOD"] == "GET":
            return answer(start, "403 FORBIDDEN")
        return app(environ, start)

    return middleware


@pytest.mark.parametrize(
    ("middleware", "expected", "said"),
    [
        (strip, failed(auth_header="failure", delivery="failure"), "WSGIPassAuthorization On"),
        (clock_page, failed(challenge="failure"), "but not with the challenge"),
        (firewall, failed(auth_header="warning"), "gets 403, not 401"),
        (strip_from_get, failed(auth_header="failure"), "does not arrive"),
        (add_secret, failed(wrong_secret="failure"), "anybody can post events"),
        (
            cache,
            failed(challenge="failure", auth_header="failure"),
            "Two different challenges get an old answer",
        ),
        (
            login,
            failed(redirect="failure"),
            "with 302: a redirect to https://sso.example.com/login, and Okta",
        ),
        (move, failed(redirect="failure"), "Register the URL that it leads to"),
        (one_slash, failed(redirect="warning"), "the other form is answered with 301"),
        (small_bodies, failed(body_size="failure"), "client_max_body_size"),
        (hang_up_on_large, failed(body_size="failure"), "with a broken connection"),
        (
            limit("429 TOO MANY REQUESTS"),
            failed(burst="failure"),
            "a rate limiter would lose events",
        ),
        (limit("503 SERVICE UNAVAILABLE"), failed(burst="failure"), "the last: 503"),
        (slow(1.1), failed(answer_time="warning"), "its way here is longer"),
        (slow(3.1), failed(answer_time="failure"), "Okta waits 3 s."),
        (
            only("200 OK"),
            failed(challenge="failure", delivery="failure"),
            "the same page, which is none of this library's",
        ),
        (
            only("200 OK", b'{"verification": "of yesterday"}', "GET"),
            failed(challenge="failure"),
            "an old answer",
        ),
        (
            only("401 UNAUTHORIZED"),
            failed(challenge="failure", delivery="failure"),
            "wants to authenticate the request itself",
        ),
        (only("403 FORBIDDEN", method="POST"), failed(delivery="failure"), "a firewall"),
        (
            only("405 METHOD NOT ALLOWED", method="GET"),
            failed(challenge="failure"),
            "Let GET and POST",
        ),
        (
            only("404 NOT FOUND"),
            failed(challenge="failure", delivery="failure"),
            "there is no hook at that URL",
        ),
        (
            only("502 BAD GATEWAY"),
            failed(challenge="failure", delivery="failure"),
            "the proxy gets no answer from the app",
        ),
        (
            only("500 OH", method="POST"),
            failed(delivery="failure"),
            "fails before the hook is asked",
        ),
        (
            only("418 TEAPOT", method="POST"),
            failed(delivery="failure"),
            "not an answer of this library",
        ),
        (
            only("413 TOO LARGE", method="POST"),
            failed(delivery="failure"),
            "too large for something",
        ),
    ],
)
def test_what_stands_in_front(
    make: Callable[..., Flask],
    middleware: Callable[[Wsgi], Wsgi],
    expected: dict[str, str],
    said: str,
) -> None:
    """Each kind of trouble is found under its name, with words that lead to the cure, and no other is."""
    with serving(middleware(make())) as base:
        found = examine(make(), "--url", base + URL)

    assert in_front(found, timed=True) == expected
    texts = [f"{check['text']} {check['cure']}" for checks in found.values() for check in checks]
    assert any(said in text for text in texts), texts
    assert "t0ken" not in str(texts)


@pytest.mark.parametrize(
    ("served", "expected", "level", "said"),
    [
        (
            {"SECRET": "of the served app"},
            ("challenge", "delivery"),
            "failure",
            "the secret of the served app",
        ),
        (
            {"SECRET": None, "ALLOW_UNAUTHENTICATED": True},
            ("wrong-secret",),
            "failure",
            "anybody can post",
        ),
        (
            {"AUTH_HEADER": "X-Okta-Secret"},
            ("auth-header", "delivery"),
            "failure",
            "expects another header",
        ),
        ({"MAX_BODY": 1000}, ("body-size",), "warning", "OKTA_HOOKS_MAX_BODY is less than 1 MiB"),
    ],
)
def test_the_served_app_is_configured_otherwise(
    make: Callable[..., Flask],
    served: dict[str, Any],
    expected: tuple[str, ...],
    level: str,
    said: str,
) -> None:
    """What differs between the app here and that which is served is told apart."""
    with serving(make(**served)) as base:
        found = examine(make(), "--url", base + URL)

    assert in_front(found) == failed(**dict.fromkeys(expected, level))
    texts = [f"{check['text']} {check['cure']}" for name in expected for check in found[name]]
    assert any(said in text for text in texts), texts


def test_the_inbox_of_the_served_app_does_not_open(
    make: Callable[..., Flask], tmp_path: Path
) -> None:
    """It refuses the verification and the delivery, and the cause is in its log."""
    app = make(INBOX=f"sqlite:///{tmp_path}/inbox.sqlite3")
    (tmp_path / "inbox.sqlite3").mkdir()
    with serving(app) as base:
        found = examine(
            make(INBOX=f"sqlite:///{tmp_path / 'another.sqlite3'}"), "--url", base + URL
        )

    texts = [check["text"] for name in ("challenge", "delivery") for check in found[name]]
    assert texts == [
        "The verification is answered with 503: the inbox does not take it.",
        "One without events is answered with 503: the inbox does not take it.",
    ]


def test_a_secret_that_the_served_app_does_not_know(make: Callable[..., Flask]) -> None:
    """During a rotation every live secret is tried: an app that was not restarted is found out."""
    with serving(make()) as base:
        found = examine(
            make(SECRET=[SECRET, "the second one, of good length"]), "--url", base + URL
        )

    assert "does not know the secret in second position" in found["delivery"][1]["text"]
    assert in_front(found) == INSIDE | {"delivery": "failure"}


def test_no_secret_is_needed(make: Callable[..., Flask]) -> None:
    """Of an app that takes everybody, no wrong secret is tried."""
    config = {"SECRET": None, "ALLOW_UNAUTHENTICATED": True}
    with serving(make(**config)) as base:
        found = examine(make(**config), "--url", base + URL)

    assert in_front(found) == INSIDE | {"secret": "warning"}
    assert "auth-header" not in found


def test_another_path(make: Callable[..., Flask]) -> None:
    """If the URL is not where the app has the hook, the cure says so."""
    with serving(make()) as base:
        found = examine(make(), "--url", f"{base}/okta/hooks")

    assert "The app has the hook at /okta/events, and /okta/hooks" in found["challenge"][0]["cure"]


def test_at_the_root(make: Callable[..., Flask], tmp_path: Path) -> None:
    """A URL without a path has no other form."""
    served = Flask("root")
    served.config.update(OKTA_HOOKS_SECRET=SECRET, OKTA_HOOKS_INBOX=None)
    served.register_blueprint(EventHook("okta", url_prefix="/"))
    with serving(served) as base:
        found = examine(served, "--url", base)

    assert in_front(found) == INSIDE | {"receivers": "failure"}
