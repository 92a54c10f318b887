from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from okta_hooks.exceptions import ConfigurationError
from okta_hooks.org.network import certificates, proxy_for, refused_by_proxy

if TYPE_CHECKING:
    from pathlib import Path

ORG = "https://acme.okta.com"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing of the machine's own network in."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.endswith("_CA_BUNDLE"):
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
    with pytest.raises(ConfigurationError, match=r"socks5://p:1080 cannot be used") as caught:
        proxy_for(ORG)
    assert "hush" not in str(caught.value)


def test_what_a_proxy_says() -> None:
    """A proxy that wants a password is told apart from the org."""
    assert "It wants a user and a password" in refused_by_proxy(ORG, 407)
    assert "no_proxy names" in refused_by_proxy(ORG, 502)


def test_certificates_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The variable is named, and the file."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none.pem"))
    with pytest.raises(ConfigurationError, match=r"REQUESTS_CA_BUNDLE is .*none\.pem"):
        certificates()
