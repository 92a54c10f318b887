"""A real browser: Chromium as the system has it, by Playwright.

While Playwright is at work an event loop counts as running in the test's thread, so nothing that is asynchronous
can be run there; the fixtures end with the tests of this folder, so that other tests never meet it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from .support import CHROMIUM, VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request

#: Nothing but the loopback has an address, not even for the browser's own purposes.
_ARGUMENTS = ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--no-proxy-server"]
_CONTEXTS: pytest.StashKey[list[BrowserContext]] = pytest.StashKey()
_LEFT_OUT = f"no Chromium: apt-get install chromium, or name one in the variable {VARIABLE}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, Any, Any]:
    """Let the summary have one line for all that is left out here, not one for each test."""
    report = yield
    if CHROMIUM is None and report.skipped:
        report.longrepr = (str(Path(__file__).parent), None, f"Skipped: {_LEFT_OUT}")
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Close a test's pages before what they come from: a page that is refreshed just then would complain."""
    try:
        return (yield)
    finally:
        for context in item.stash.get(_CONTEXTS, []):
            context.close()


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Return a Chromium; without one, the tests are left out."""
    if CHROMIUM is None:
        pytest.skip(_LEFT_OUT)
    sync_api = pytest.importorskip("playwright.sync_api")
    # Chromium's sandbox refuses to work for root, and containers have little shared memory.
    more = ["--disable-dev-shm-usage", *(["--no-sandbox"] if os.getuid() == 0 else [])]
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=CHROMIUM, args=[*_ARGUMENTS, *more], timeout=60_000
        )
        yield launched
        launched.close()


@pytest.fixture
def complaints() -> list[str]:
    """Return what a browser has complained of; the test fails if something is left in it."""
    return []


@pytest.fixture
def open_page(
    request: pytest.FixtureRequest, browser: Browser, complaints: list[str]
) -> Iterator[Callable[..., Page]]:
    """Return a function that opens a page for somebody who has been nowhere yet.

    Its keywords are those of Playwright's ``new_context``.
    The test fails of errors in the console, of what a Content-Security-Policy forbids, and of requests elsewhere.
    """
    contexts = request.node.stash.setdefault(_CONTEXTS, [])

    def look(asked: Request) -> None:
        if urlsplit(asked.url).hostname != "127.0.0.1":
            complaints.append(f"a request to {asked.url}")

    def read(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(f"{message.type}: {message.text}")

    def open_one(**options: Any) -> Page:
        context = browser.new_context(**options)
        context.set_default_timeout(30_000)
        contexts.append(context)
        context.on("request", look)
        context.on("console", read)
        context.on("weberror", lambda error: complaints.append(f"exception: {error.error}"))
        return context.new_page()

    yield open_one
    assert complaints == []


@pytest.fixture
def page(open_page: Callable[..., Page]) -> Page:
    """Return a page, as a person with a usual window has it."""
    return open_page()
