"""The way to the org, with what stands on it: real proxies, and servers whose certificate a company has signed."""

from __future__ import annotations

import os
import select
import shutil
import socket
import subprocess
import threading
from base64 import b64decode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from okta_hooks.exceptions import ConfigurationError, OktaUnavailable
from okta_hooks.simulator import Org as SimulatedOrg
from okta_hooks.simulator import Simulator
from tests.support import NEEDS_SDK, answer_challenge, serving

from .support import TOKEN, connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = [
    NEEDS_SDK,
    pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl"),
]

#: No such host is there: only a proxy leads to it.
ORG = "https://acme.okta.test"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing of the machine's own network in."""
    for name in list(os.environ):
        is_certificate = name.endswith("_CA_BUNDLE") or name.startswith("SSL_CERT_")
        if is_certificate or name.lower().endswith("_proxy") or name.startswith("OKTA_"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Return a certificate that nobody trusts, for the org and the loopback, and its key."""
    folder = tmp_path_factory.mktemp("certificate")
    files = str(folder / "org.pem"), str(folder / "org.key")
    names = "subjectAltName=DNS:acme.okta.test,DNS:localhost,IP:127.0.0.1"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=acme.okta.test", "-addext", names, "-out", files[0]]
    subprocess.run([*command, "-keyout", files[1]], check=True, capture_output=True)
    return files


@pytest.fixture
def served(certificate: tuple[str, str]) -> Iterator[str]:
    """Serve an org over TLS, and return its URL on the loopback."""
    simulator = Simulator(SimulatedOrg(url=ORG, token=TOKEN, seed=1, send=answer_challenge))
    with serving(simulator.app, ssl_context=certificate) as url:
        yield url


class Proxy(ThreadingHTTPServer):
    """A proxy that leads every connection to one server, and notes where it should have led.

    :param port: That of the server.
    :param login: The user and password that it wants, or None.
    """

    def __init__(self, port: int, login: str | None = None, status: int = 200) -> None:
        super().__init__(("127.0.0.1", 0), _Tunnel)
        self.port = port
        self.login = login
        self.status = status
        self.asked: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class _Tunnel(BaseHTTPRequestHandler):
    server: Proxy

    def do_CONNECT(self) -> None:
        self.server.asked.append(self.path)
        kind, _, given = self.headers.get("Proxy-Authorization", "").partition(" ")
        if self.server.login is not None and (
            kind != "Basic" or b64decode(given).decode() != self.server.login
        ):
            self.send_error(407)
            return
        if self.server.status != 200:
            self.send_error(self.server.status)
            return
        with socket.create_connection(("127.0.0.1", self.server.port)) as there:
            self.send_response(200)
            self.end_headers()
            ends = [self.connection, there]
            while True:
                for end in select.select(ends, [], [])[0]:
                    data = end.recv(65536)
                    if not data:
                        return
                    ends[1 - ends.index(end)].sendall(data)

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def make_proxy(served: str) -> Iterator[Callable[..., Proxy]]:
    """Return a function that runs a proxy to the org."""
    proxies = []

    def make(**options: object) -> Proxy:
        proxy = Proxy(int(served.rpartition(":")[2]), **options)  # type: ignore[arg-type]
        threading.Thread(target=proxy.serve_forever, args=(0.01,)).start()
        proxies.append(proxy)
        return proxy

    yield make
    for proxy in proxies:
        proxy.shutdown()
        proxy.server_close()


@pytest.fixture
def trusted(certificate: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Trust the org's certificate."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", certificate[0])


def hooks(url: str) -> int:
    """Ask an org for its hooks, and return how many there are."""
    with connect(url) as org:
        return len(org.hooks())


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("name", ["https_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"])
def test_a_proxy_leads_to_the_org(
    make_proxy: Callable[..., Proxy], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The variables that other programs go by are gone by, in either case."""
    proxy = make_proxy()
    monkeypatch.setenv(name, proxy.url)

    assert hooks(ORG) == 0
    assert proxy.asked == ["acme.okta.test:443"]


@pytest.mark.usefixtures("trusted")
def test_the_loopback_is_reached_directly(
    make_proxy: Callable[..., Proxy], served: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No proxy leads to it, whatever is configured."""
    proxy = make_proxy()
    monkeypatch.setenv("https_proxy", proxy.url)

    assert hooks(served) == 0
    assert proxy.asked == []


@pytest.mark.usefixtures("trusted")
def test_the_proxy_of_the_sdk_wins(
    make_proxy: Callable[..., Proxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is configured for Okta's SDK alone is for the org alone."""
    own, other = make_proxy(), make_proxy()
    monkeypatch.setenv("OKTA_CLIENT_PROXY_HOST", "127.0.0.1")
    monkeypatch.setenv("OKTA_CLIENT_PROXY_PORT", str(own.server_port))
    monkeypatch.setenv("https_proxy", other.url)

    assert hooks(ORG) == 0
    assert (len(own.asked), other.asked) == (1, [])


@pytest.mark.usefixtures("trusted")
def test_a_proxy_that_wants_a_login(
    make_proxy: Callable[..., Proxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told from the org, with what to say; and then it is said to it, and to nobody else."""
    proxy = make_proxy(login="jane:hush")
    monkeypatch.setenv("https_proxy", proxy.url)
    with connect(ORG) as org, pytest.raises(OktaUnavailable) as caught:
        org.hooks()
    assert str(caught.value) == (
        f"{ORG} cannot be reached: the proxy answered 407. "
        "It wants a user and a password: https_proxy=http://user:password@host:port."
    )

    monkeypatch.setenv("https_proxy", proxy.url.replace("//", "//jane:wrong@"))
    with connect(ORG) as org, pytest.raises(OktaUnavailable, match="does not accept the user or"):
        org.hooks()

    monkeypatch.setenv("https_proxy", proxy.url.replace("//", "//jane:hush@"))
    assert hooks(ORG) == 0


@pytest.mark.usefixtures("trusted")
def test_a_proxy_that_does_not_let_pass(
    make_proxy: Callable[..., Proxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What else it answers is its own answer, and no org's."""
    monkeypatch.setenv("https_proxy", make_proxy(status=403).url)

    with connect(ORG) as org, pytest.raises(OktaUnavailable, match="the proxy answered 403"):
        org.hooks()


def test_a_proxy_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable that names it is named, and its password is not."""
    monkeypatch.setenv("https_proxy", "http://jane:hush@127.0.0.1:9")

    with connect(ORG) as org, pytest.raises(OktaUnavailable) as caught:
        org.hooks()
    assert "The proxy is the one in https_proxy: is it spelt right, and up?" in str(caught.value)
    assert "hush" not in str(caught.value)


def test_a_certificate_that_nobody_trusts(served: str) -> None:
    """The variables that would make it trusted are named."""
    with connect(served) as org, pytest.raises(OktaUnavailable) as caught:
        org.hooks()
    assert "CERTIFICATE_VERIFY_FAILED" in str(caught.value)
    assert "REQUESTS_CA_BUNDLE or SSL_CERT_FILE names a file" in str(caught.value)


@pytest.mark.usefixtures("trusted")
def test_a_certificate_of_another_host(
    make_proxy: Callable[..., Proxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is sent to trust more: the certificate is trusted, and is for another name."""
    monkeypatch.setenv("https_proxy", make_proxy().url)

    with connect("https://other.okta.test") as org, pytest.raises(OktaUnavailable) as caught:
        org.hooks()
    assert "The certificate is that of another host" in str(caught.value)
    assert "CA_BUNDLE" not in str(caught.value)


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_a_certificate_of_the_company(
    served: str, certificate: tuple[str, str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """It is trusted by any of the variables that other programs go by."""
    monkeypatch.setenv(name, certificate[0])

    assert hooks(served) == 0


def test_two_bundles(
    served: str, certificate: tuple[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """SSL_CERT_FILE counts beside REQUESTS_CA_BUNDLE, which alone would not be enough."""
    other = tmp_path / "other.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=other"]
    subprocess.run(
        [*command, "-out", str(other), "-keyout", str(tmp_path / "key")],
        check=True,
        capture_output=True,
    )
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(other))
    with pytest.raises(OktaUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
        hooks(served)

    monkeypatch.setenv("SSL_CERT_FILE", certificate[0])
    assert hooks(served) == 0


def test_a_folder_of_certificates(
    served: str, certificate: tuple[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A folder as OpenSSL has it will do as well as a file."""
    shutil.copy(certificate[0], tmp_path / "org.pem")
    subprocess.run(["openssl", "rehash", str(tmp_path)], check=True, capture_output=True)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path))

    assert hooks(served) == 0


def test_a_proxy_of_another_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused before anything is sent."""
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")

    with pytest.raises(ConfigurationError, match="must be an http:// or https:// proxy"):
        connect(ORG)


def test_a_host_that_has_no_address() -> None:
    """Whoever has misspelt the org is asked about the spelling."""
    with connect(ORG) as org, pytest.raises(OktaUnavailable, match="spelt right"):
        org.hooks()


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy"])
@pytest.mark.parametrize("proxy", ["http://127.0.0.1:9", "http://proxy.okta.test:3128"])
def test_a_proxy_that_is_misspelt(monkeypatch: pytest.MonkeyPatch, name: str, proxy: str) -> None:
    """Whoever has misspelt it is asked about the variable that it is in, and not about the org's."""
    monkeypatch.setenv(name, proxy)

    with connect(ORG) as org, pytest.raises(OktaUnavailable) as caught:
        org.hooks()

    said = str(caught.value)
    assert f"Cannot connect to host {proxy.removeprefix('http://')}: " in said
    assert f"The proxy is the one in {name}: is it spelt right, and up?" in said
    assert "ORG_URL" not in said
    assert "ssl:" not in said
