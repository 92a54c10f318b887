from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from examples.play import create_app
from tests.support import SECRET, serving

from .support import NARROW, SCHEMES, assert_accessible, assert_fits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Page


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serve the app of ``make play``, without an inbox: its own page needs none."""
    monkeypatch.setenv("FLASK_OKTA_HOOKS_SECRET", SECRET)
    monkeypatch.setenv("FLASK_OKTA_HOOKS_INBOX", "null")
    with serving(create_app()) as url:
        yield url


@SCHEMES
def test_the_badge_system_is_brought_back(
    open_page: Callable[..., Page], url: str, scheme: str
) -> None:
    """A click brings it back, and another one takes it away; axe finds nothing in either state."""
    page = open_page(color_scheme=scheme, viewport=NARROW)
    page.goto(url)
    for button, text in (("Bring it back", "It works"), ("Take it away", "It is down")):
        page.get_by_role("button", name=button).click()
        expect(page.locator("form")).to_contain_text(text)
        assert_accessible(page)
        assert_fits(page)
