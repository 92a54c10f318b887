from __future__ import annotations

import pytest
from werkzeug.datastructures import Headers

from okta_hooks.origin import is_own

HOST = "ops.example.com"


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (f"https://{HOST}", HOST),
        (f"http://{HOST}", HOST),
        (f"https://{HOST}", f"{HOST}:443"),
        (f"http://{HOST}:8080", f"{HOST}:8080"),
        ("http://[::1]:8089", "[::1]:8089"),
    ],
)
def test_an_origin_that_is_the_host(origin: str, host: str) -> None:
    """Without Sec-Fetch-Site, an origin with the host's name and port is the console's own."""
    assert is_own(Headers({"Origin": origin}), host, "http")


def test_a_page_that_came_by_http() -> None:
    """To an app that is asked by HTTPS, a page is its own only if it came that way, too."""
    assert is_own(Headers({"Origin": f"https://{HOST}"}), HOST, "https")
    assert not is_own(Headers({"Origin": f"http://{HOST}"}), HOST, "https")


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "null",
        "https://evil.example",
        f"https://{HOST}:8443",
        f"https://{HOST}.evil.example",
        f"https://evil.example/{HOST}",
        f"https://evil@{HOST}",
        f"ftp://{HOST}",
        f"//{HOST}",
        HOST,
        "https://[",
    ],
)
def test_other_origins(origin: str) -> None:
    """Anything else is not: another host or port, an origin that is hidden, or none."""
    assert not is_own(Headers({"Origin": origin} if origin else {}), HOST, "http")


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none", ""])
def test_what_the_browser_says_of_the_site(site: str) -> None:
    """A browser that says so is believed more than the origin."""
    headers = Headers({"Origin": f"https://{HOST}", "Sec-Fetch-Site": site})

    assert not is_own(headers, HOST, "http")


def test_the_same_origin() -> None:
    """A browser that says that it is the same origin need not send an origin."""
    assert is_own(Headers({"Sec-Fetch-Site": "same-origin"}), HOST, "http")
