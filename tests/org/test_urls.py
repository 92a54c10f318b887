from __future__ import annotations

import pytest

from okta_hooks.org.urls import origin, same_path, same_url, shown
from okta_hooks.wire.protocol import path_of

URL = "https://app.example.com/okta/events"


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (f"{URL}/", True),
        ("HTTPS://APP.example.COM/okta/events", True),
        ("https://app.example.com:443/okta/events", True),
        ("https://app.example.com./okta/events#top", True),
        ("https://app.example.com/%6fkta/events", True),
        (f"{URL}/x", False),
        (URL.upper(), False),
        (f"{URL}?key=1", False),
        ("http://app.example.com/okta/events", False),
        ("https://app.example.com:8443/okta/events", False),
        ("https://user@app.example.com/okta/events", False),
        ("https://app.example.com/okta%2Fevents", False),
    ],
)
def test_the_same_url(other: str, same: bool) -> None:
    """Spelling makes no other URL: case, the usual port, a dot or a slash at the end, needless escapes."""
    assert same_url(URL, other) is same
    assert same_url(other, URL) is same


def test_a_slash_at_the_end_of_a_query() -> None:
    """It is a part of the value."""
    assert not same_url(f"{URL}?next=/", f"{URL}?next=")
    assert same_url(f"{URL}/?next=/", f"{URL}?next=/")


def test_a_malformed_url() -> None:
    """Whoever has put it there, nothing fails of it, and what may be secret in it is not shown."""
    malformed = "https://user:hush@[bad/okta/events"

    assert not same_url(malformed, URL)
    assert same_url(malformed, malformed)
    assert origin(malformed) == malformed
    assert shown(malformed) == "(a malformed URL)"


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://Acme.okta.com:443/x?y", "https://acme.okta.com"),
        ("http://[::1]:8088/", "http://[::1]:8088"),
        ("https://müller.example/", "https://xn--mller-kva.example"),
    ],
)
def test_the_origin_of_a_url(url: str, found: str) -> None:
    """It has one spelling."""
    assert origin(url) == found


@pytest.mark.parametrize(
    ("url", "path", "same"),
    [
        (URL, "/okta/events", True),
        (f"{URL}/", "/okta/events", True),
        (URL, "/okta/events/", True),
        (f"{URL}?tenant=a", "/okta/events", True),
        ("https://app.example.com", "/", True),
        ("https://app.example.com/", "/", True),
        (URL, "/okta", False),
        ("https://app.example.com", "/okta", False),
    ],
)
def test_the_path_of_a_url(url: str, path: str, same: bool) -> None:
    """It is the same with and without a slash at its end, and whatever the host and the query are."""
    assert same_path(url, path) is same


def test_the_root_keeps_its_slash() -> None:
    """A path is never empty."""
    assert [path_of(path) for path in ("", "/", "/okta/")] == ["/", "/", "/okta"]
    assert path_of("https://app.example.com") == "/"


def test_what_is_shown_of_a_url() -> None:
    """User, password and query may be secret; a redirect may lead to a path alone."""
    assert shown("https://user:password@app.example.com:8443/okta?key=1#x") == (
        "https://app.example.com:8443/okta"
    )
    assert shown("/login?next=/okta") == "/login"
