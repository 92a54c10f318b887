"""``doctor`` against real servers over real HTTP, with what goes wrong in front of them."""

from __future__ import annotations

import itertools
import json
import socket
import ssl
import subprocess
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask, Response, redirect, request
from flask_wtf import CSRFProtect
from werkzeug.serving import WSGIRequestHandler, make_server

from okta_hooks import EventHook
from okta_hooks.cli import group
from okta_hooks.doctor import probes
from okta_hooks.doctor.probes import Outcome
from okta_hooks.doctor.silence import reason
from okta_hooks.simulator import Answer, Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

SECRET = "a secret of the tests and of nothing else"
URL = "/okta/events"
CHALLENGE = "HTTP_X_OKTA_VERIFICATION_CHALLENGE"

Found = dict[str, list[dict[str, str]]]
Environ = dict[str, Any]
Wsgi = Any


class Quiet(WSGIRequestHandler):
    """Writes nothing to the standard error."""

    def log(self, *_: Any, **__: Any) -> None:
        """Forget it."""


@contextmanager
def serving(app: Any, **options: Any) -> Iterator[str]:
    """Run an app in a server on a free port of the loopback."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet, **options)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    scheme = "https" if options.get("ssl_context") else "http"
    try:
        yield f"{scheme}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def make_hook_app(tmp_path: Path, **config: Any) -> Flask:
    okta = EventHook("okta")
    okta.on("user.lifecycle.deactivate", name="offboard")(lambda *_, **__: None)
    app = Flask("host")
    defaults = {"SECRET": SECRET, "INBOX": f"sqlite:///{tmp_path / 'inbox.sqlite3'}"}
    for key, value in (defaults | config).items():
        app.config[f"OKTA_HOOKS_{key}"] = value
    app.register_blueprint(okta)
    return app


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Flask]]:
    """Return a function that makes an app with a hook; each stands for a process of its own."""
    with ExitStack() as stack:

        def make(**config: Any) -> Flask:
            app = make_hook_app(tmp_path, **config)
            stack.callback(app.extensions["okta_hooks"].close)
            return app

        yield make


def examine(app: Flask, *arguments: str) -> Found:
    """Run the command, and return what it found, by the names of the checks."""
    result = app.test_cli_runner().invoke(group, ["doctor", "--json", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert SECRET not in result.output
    found: Found = {}
    for check in json.loads(result.stdout):
        found.setdefault(check["name"], []).append(check)
    levels = {check["level"] for checks in found.values() for check in checks}
    assert result.exit_code == ("failure" in levels)
    return found


def troubles(found: Found) -> dict[str, str]:
    """Return the names and levels of what is not as it should be."""
    return {
        name: check["level"]
        for name, checks in found.items()
        for check in checks
        if check["level"] in ("warning", "failure")
    }


def in_front(found: Found) -> dict[str, str]:
    """Return the same, but for what the served app does first when it is first asked."""
    behind = {"inbox", "inbox-file", "worker"}
    return {name: level for name, level in troubles(found).items() if name not in behind}


#: The servers here are on the loopback, which is said.
INSIDE = {"url": "warning"}


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
        *("body-size", "burst", "answer-time"),
        *("inbox", "worker", "backlog", "dead-letters"),
    } | {name for name in found if name == "inbox-file"} - troubles(found).keys()
    assert len(requests) <= 40
    inbox = served.extensions["okta_hooks"].runtime().inbox
    assert inbox.counts()["oldest_pending_seconds"] is None
    assert sum(inbox.counts()[state] for state in ("pending", "claimed", "done", "dead")) == 0


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

    assert in_front(found) == expected
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
        (
            {"INBOX": "sqlite:////dev/null/nowhere"},
            ("delivery",),
            "failure",
            "the inbox does not take it",
        ),
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


def test_a_secret_that_the_served_app_does_not_know(make: Callable[..., Flask]) -> None:
    """During a rotation every live secret is tried: an app that was not restarted is found out."""
    with serving(make()) as base:
        found = examine(
            make(SECRET=[SECRET, "the second one, of good length"]), "--url", base + URL
        )

    assert "does not know the secret in second place" in found["delivery"][1]["text"]
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


# No answer at all


def test_nothing_listens(make: Callable[..., Flask]) -> None:
    """The reason is said in words, and nothing else is asked."""
    with socket.socket() as taken:
        # Bound, and not listening: nobody else gets the port.
        taken.bind(("127.0.0.1", 0))
        found = examine(make(), "--url", f"http://127.0.0.1:{taken.getsockname()[1]}{URL}")

    assert "the connection is refused" in found["reachable"][0]["text"]
    assert found["delivery"][0]["level"] == "skipped"


def test_no_such_host(make: Callable[..., Flask]) -> None:
    """A name that is nowhere known is told from a server that is down."""
    found = examine(make(), "--url", "https://nowhere.invalid/okta/events")

    assert found["url"][0]["level"] == "ok"
    assert "the name of the host is not known" in found["reachable"][0]["text"]


def test_the_secret_is_not_sent_in_the_clear(make: Callable[..., Flask]) -> None:
    """An http URL outside is not asked: what goes there can be read on the way."""
    found = examine(make(), "--url", "http://user:pass@app.example.com/okta/events?key=k3y")

    assert found["url"][0]["level"] == "failure"
    assert "http://app.example.com/okta/events is not https" in found["url"][0]["text"]
    assert "reachable" not in found


def test_http_where_tls_is_expected(make: Callable[..., Flask]) -> None:
    """That the two are mixed up is said."""
    with serving(make()) as base:
        found = examine(make(), "--url", f"https{base.removeprefix('http')}{URL}")

    assert "TLS fails" in found["reachable"][0]["text"]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Return a certificate for 127.0.0.1 that is signed by itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    made = str(folder / "cert.pem"), str(folder / "key.pem")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    options = ["-subj", "/CN=here", "-addext", "subjectAltName=IP:127.0.0.1"]
    try:
        subprocess.run(
            [*command, *options, "-out", made[0], "-keyout", made[1]],
            check=True,
            capture_output=True,
        )
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    return made


def test_a_certificate_that_nobody_trusts(
    make: Callable[..., Flask], certificate: tuple[str, str]
) -> None:
    """A certificate that is signed by itself is named as such: Okta would not call."""
    with serving(make(), ssl_context=certificate) as base:
        found = examine(make(), "--url", base + URL)

    assert "the certificate is signed by itself" in found["reachable"][0]["text"]
    assert "a public authority" in found["reachable"][0]["cure"]


def test_tls(
    make: Callable[..., Flask], certificate: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over TLS that is trusted all is well; a certificate for another name is named as such."""
    monkeypatch.setenv("SSL_CERT_FILE", certificate[0])
    with serving(make(), ssl_context=certificate) as base:
        good = examine(make(), "--url", base + URL)
        bad = examine(make(), "--url", f"{base.replace('127.0.0.1', 'localhost')}{URL}")

    assert in_front(good) == INSIDE
    assert "the certificate is for another host" in bad["reachable"][0]["text"]


def verification_error(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError("no")
    error.verify_code = code
    error.verify_message = "what OpenSSL says"
    return error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (verification_error(10), "the certificate has expired."),
        (verification_error(20), "an authority that is not known here."),
        (verification_error(77), "the certificate is not valid (what OpenSSL says)."),
        (TimeoutError(), "nothing came within 2 s."),
        (ConnectionResetError(), "the connection breaks off (ConnectionResetError)."),
        (OSError(113, "No route to host"), "the host cannot be reached (OSError)."),
        (LookupError("s3cret"), "LookupError was raised."),
    ],
)
def test_why_there_was_no_answer(error: Exception, said: str) -> None:
    """Each reason has its words, which quote nothing."""
    assert said in reason(Outcome(seconds=2, error=error))[0]


def test_who_does_not_answer_is_not_asked_for_ever() -> None:
    """After two time-outs nothing more is sent."""
    asked = []

    def send(request: Request) -> Answer:
        asked.append(request)
        if len(asked) == 1:
            return Answer(status=200)
        raise TimeoutError

    answers = probes.ask(send, "https://app.example.com/hook", header="Authorization", live=["s"])

    assert len(asked) == 3
    assert isinstance(answers.delivered_wrongly, Outcome)
    assert isinstance(answers.delivered_wrongly.error, TimeoutError)


# What the app itself puts before the hook


def host_check(app: Flask, *arguments: str) -> dict[str, str]:
    (check,) = examine(app, "--offline", *arguments)["host"]
    return check


def test_csrf_protection(make: Callable[..., Flask]) -> None:
    """Flask-WTF's protection is recognised, and is fine once the hook is exempt."""
    app = make()
    app.secret_key = "of the host"
    csrf = CSRFProtect(app)

    assert (found := host_check(app))["level"] == "failure"
    assert found["cure"] == "csrf.exempt(okta)"
    csrf.exempt(app.extensions["okta_hooks"].hooks["okta"])
    assert host_check(app)["level"] == "ok"


def test_a_login_wall_of_the_app(make: Callable[..., Flask]) -> None:
    """A before_request that redirects is found without a server."""
    app = make()
    app.before_request(lambda: redirect("/login"))

    assert "That is a login wall" in host_check(app)["cure"]


def test_a_body_that_is_read_before(make: Callable[..., Flask]) -> None:
    """A before_request that reads bodies makes MAX_CONTENT_LENGTH count, which does not otherwise."""
    small, reading = make(), make()
    small.config["MAX_CONTENT_LENGTH"] = reading.config["MAX_CONTENT_LENGTH"] = 2 * 1024 * 1024
    reading.before_request(lambda: request.get_data() and None)

    assert host_check(small)["level"] == "ok"
    assert "413: MAX_CONTENT_LENGTH is 2097152" in host_check(reading)["text"]


def test_a_stream_that_is_read_before(make: Callable[..., Flask]) -> None:
    """A body that is gone when the hook is asked is told from one that is wrong."""
    app = make()
    app.before_request(lambda: request.stream.read() and None)

    assert "the body is gone" in host_check(app)["text"]


def test_a_large_body_breaks_something(make: Callable[..., Flask]) -> None:
    """What refuses only large bodies is found, too."""
    app = make()
    app.before_request(
        lambda: Response(status=500) if (request.content_length or 0) > 1000 else None
    )

    assert host_check(app)["text"] == "In the app itself a large delivery ends with 500."


def test_something_raises_before(make: Callable[..., Flask]) -> None:
    """What a before_request raises may come out, as in debug mode: that is a failure, and no traceback."""
    app = make()
    app.config["PROPAGATE_EXCEPTIONS"] = True

    @app.before_request
    def fail() -> None:
        raise LookupError("s3cret")

    found = host_check(app)
    assert "LookupError was raised" in found["text"]
    assert "s3cret" not in str(found)


def test_trusted_hosts(make: Callable[..., Flask]) -> None:
    """The host that Okta calls must be among them; without a URL the first of them is asked for."""
    app = make()
    app.config["TRUSTED_HOSTS"] = [".example.com"]
    assert host_check(app)["level"] == "ok"

    (found,) = examine(app, "--url", f"http://example.org{URL}")["host"]

    assert "is not among TRUSTED_HOSTS" in found["text"]


def test_server_name(tmp_path: Path) -> None:
    """With subdomain matching a URL of another host reaches no hook."""
    app = Flask("host", subdomain_matching=True)
    app.config.update(
        OKTA_HOOKS_SECRET=SECRET, OKTA_HOOKS_INBOX=None, SERVER_NAME="app.example.com"
    )
    app.register_blueprint(EventHook("okta"))
    assert host_check(app)["level"] == "ok"

    with pytest.warns(UserWarning, match="doesn't match"):
        (found,) = examine(app, "--url", f"http://www.example.com{URL}")["host"]

    assert "SERVER_NAME is 'app.example.com'" in found["cure"]


def test_host_matching(tmp_path: Path) -> None:
    """Where it depends on the host whether the hook is there, that is said."""
    app = Flask("host", host_matching=True, static_host="static.example.com")
    app.config.update(OKTA_HOOKS_SECRET=SECRET, OKTA_HOOKS_INBOX=None)
    app.register_blueprint(EventHook("okta"), host="okta.example.com")

    assert host_check(app)["level"] == "skipped"
    assert "host_matching" in host_check(app)["text"]


def test_a_path_with_a_variable(make: Callable[..., Flask]) -> None:
    """Where the path cannot be known, the app is not asked."""
    app = Flask("host")
    app.config.update(OKTA_HOOKS_SECRET=SECRET, OKTA_HOOKS_INBOX=None)
    app.register_blueprint(EventHook("okta"), url_prefix="/<tenant>/events")

    assert host_check(app)["level"] == "skipped"


def test_asking_the_app_starts_nothing(make: Callable[..., Flask], tmp_path: Path) -> None:
    """No thread is started and no inbox is made, and afterwards the app has its own again."""
    app = make()
    before = set(threading.enumerate())

    found = examine(app, "--offline")

    assert set(threading.enumerate()) <= before
    assert "is not there" in found["inbox-file"][0]["text"]
    assert list(tmp_path.iterdir()) == []
    state = app.extensions["okta_hooks"]
    assert (state.settings.worker, state.settings.inbox is None) == ("thread", False)
