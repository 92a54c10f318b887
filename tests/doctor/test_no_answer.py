from __future__ import annotations

import socket
import ssl
import subprocess
from typing import TYPE_CHECKING

import pytest

from okta_hooks.doctor import probes
from okta_hooks.doctor.probes import Outcome
from okta_hooks.doctor.unanswered import diagnosis
from okta_hooks.simulator import Answer, Request
from tests.support import serving

from .served import INSIDE, URL, examine, in_front

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask


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
    assert said in diagnosis(Outcome(seconds=2, error=error))[0]


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
