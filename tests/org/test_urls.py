from __future__ import annotations

import pytest

from okta_hooks.org.urls import same_path, same_url, shown
from okta_hooks.wire.protocol import path_of

URL = "https://app.example.com/okta/events"


def test_a_slash_at_the_end_makes_no_other_url() -> None:
    """A hook answers at both; any other difference counts."""
    assert same_url(URL, f"{URL}/")
    assert same_url(f"{URL}/", URL)
    assert not same_url(URL, f"{URL}/x")
    assert not same_url(URL, URL.upper())


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
