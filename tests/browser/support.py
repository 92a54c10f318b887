from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

#: The variable that names a browser which is elsewhere.
VARIABLE: Final = "CHROMIUM"
_NAMES: Final = ("chromium", "google-chrome", "google-chrome-stable", "chromium-browser")
CHROMIUM: Final = os.environ.get(VARIABLE) or next(filter(None, map(shutil.which, _NAMES)), None)
#: For what has to be right in both.
SCHEMES: Final = pytest.mark.parametrize("scheme", ["light", "dark"])
NARROW: Final[Any] = {"width": 360, "height": 740}


def assert_accessible(page: Page) -> None:
    """Let axe look at a page as it is now."""
    from axe_playwright_python.sync_playwright import Axe

    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()


def assert_fits(page: Page) -> None:
    """Check that nothing of a page is wider than the window."""
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
