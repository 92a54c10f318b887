from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING

import pytest

from okta_hooks.exceptions import ConfigurationError
from okta_hooks.org.network import (
    Proxy,
    certificate_cure,
    certificates,
    proxy_for,
    proxy_of_sdk,
    refused_by_proxy,
)

if TYPE_CHECKING:
    from pathlib import Path

ORG = "https://acme.okta.com"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing of the machine's own network in."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.endswith(("_CA_BUNDLE", "SSL_CERT_FILE")):
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("variables", "proxy"),
    [
        ({}, None),
        ({"https_proxy": "http://p:3128"}, "http://p:3128"),
        ({"HTTPS_PROXY": "p:3128"}, "http://p:3128"),
        ({"ALL_PROXY": "http://p:1"}, "http://p:1"),
        ({"HTTP_PROXY": "http://p:1"}, "http://p:1"),
        ({"https_proxy": "http://p:1", "ALL_PROXY": "http://q:1"}, "http://p:1"),
        ({"https_proxy": "http://p:1", "NO_PROXY": ".okta.com"}, None),
        ({"https_proxy": "http://p:1", "no_proxy": "*"}, None),
        ({"https_proxy": "http://p:1", "no_proxy": "example.com"}, "http://p:1"),
    ],
)
def test_the_proxy_of_an_org(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], proxy: str | None
) -> None:
    """It is said by the variables that other programs go by, in either case."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert proxy_for(ORG) == proxy


def test_a_proxy_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its user and password are not shown."""
    monkeypatch.setenv("ALL_PROXY", "socks5://user:hush@p:1080")
    with pytest.raises(
        ConfigurationError, match=r"socks5://p:1080 in ALL_PROXY cannot be"
    ) as caught:
        proxy_for(ORG)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    "proxy",
    [
        "http://user:hush#1@p:3128",
        "http://user:12#hush@p:3128",
        "http://user:12/hush@p:3128",
        "http://user:hush?1@p:3128",
        "http://p:hush",
        "http://p:0",
        "http://[hush",
        "http://",
    ],
)
def test_a_proxy_that_is_no_url(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    """It is refused with what to escape, and nothing of it is shown."""
    monkeypatch.setenv("https_proxy", proxy)
    with pytest.raises(ConfigurationError, match=r"https_proxy is no URL.* %23 for #") as caught:
        proxy_for(ORG)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1:8088", "127.1.2.3", "[::1]:8088", "localhost:8088"])
def test_the_loopback_needs_no_proxy(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """An org that is simulated on this host is not sought through a proxy."""
    monkeypatch.setenv("http_proxy", "http://p:3128")
    monkeypatch.setenv("all_proxy", "http://p:3128")

    assert proxy_for(f"http://{host}") is None


def test_what_a_proxy_says() -> None:
    """A proxy that wants a password is told apart from the org."""
    assert "It wants a user and a password" in refused_by_proxy(ORG, 407)
    assert "no_proxy names" in refused_by_proxy(ORG, 502)
    wrong = Proxy(url="http://user:hush@p:1", configured_in="all_proxy")
    said = refused_by_proxy(ORG, 407, wrong)
    assert said.endswith("It does not accept the user or the password in all_proxy.")


def test_an_org_that_does_not_answer() -> None:
    """The proxy that leads there is named; only without one it is asked whether there is one to name."""
    assert "a proxy to name in https_proxy?" in Proxy().connection_cure
    said = Proxy(url="http://p:1", configured_in="http_proxy").connection_cure
    assert said.startswith("Requests to the org go through the proxy in http_proxy: does it let")
    assert "https_proxy" not in said
    sdk = proxy_of_sdk({"host": "p", "port": 1})
    assert sdk is not None
    assert "no_proxy" not in sdk.connection_cure


@pytest.mark.parametrize("login", [{}, {"username": "jane", "password": "hush"}])
def test_what_the_proxy_of_the_sdk_says(login: dict[str, str]) -> None:
    """Nobody is sent to a variable that is not gone by."""
    proxy = proxy_of_sdk({"host": "p", "port": 1, **login})
    assert proxy is not None

    for said in (refused_by_proxy(ORG, 407, proxy), refused_by_proxy(ORG, 502, proxy), proxy.cure):
        assert "OKTA_CLIENT_PROXY" in said
        assert "https_proxy" not in said
        assert "no_proxy" not in said
    assert ("does not accept" in refused_by_proxy(ORG, 407, proxy)) == bool(login)


def test_certificates_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The variable is named, and the file, and what is wrong with it."""
    nothing = tmp_path / "empty.pem"
    nothing.touch()
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        with monkeypatch.context() as patch:
            patch.setenv(name, str(tmp_path / "none.pem"))
            said = rf"{name} is .*none\.pem': No such file or directory\.$"
            with pytest.raises(ConfigurationError, match=said):
                certificates()
            patch.setenv(name, str(nothing))
            with pytest.raises(ConfigurationError, match=rf"{name} is .*holds no certificates"):
                certificates()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(folder))
    with pytest.raises(ConfigurationError, match=r"REQUESTS_CA_BUNDLE is .*openssl rehash"):
        certificates()


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (10, "clock of this host"),
        (9, "clock of this host"),
        (62, "that of another host"),
        (64, "that of another host"),
        (19, "REQUESTS_CA_BUNDLE or SSL_CERT_FILE names a file"),
        (None, "REQUESTS_CA_BUNDLE"),
    ],
)
def test_what_is_wrong_with_a_certificate(code: int | None, said: str) -> None:
    """Only for one that nobody has signed who is trusted, more trust is the cure."""
    error = ssl.SSLCertVerificationError("certificate verify failed")
    if code is not None:
        error.verify_code = code

    cure = certificate_cure(error)

    assert said in cure
    assert ("CA_BUNDLE" in cure) == (code in (19, None))
