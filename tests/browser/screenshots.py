"""What ``make screenshots`` runs: the pictures of pages in ``docs/pictures/``, made in the playground.

They show what the pages are at that moment; but for times, they are the same each time.
"""

from __future__ import annotations

import io
import os
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from playwright.sync_api import expect, sync_playwright

from examples.play.__main__ import play

from .support import CHROMIUM

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Page, ViewportSize

    from examples.play.__main__ import Playground

    Scheme: TypeAlias = Literal["light", "dark"]

PICTURES: Final = Path(__file__).parents[2] / "docs" / "pictures"
#: What a busy machine may take, in milliseconds: receivers are tried three times before they give up.
_PATIENCE: Final = 90_000
_SIZE: Final[ViewportSize] = {"width": 1200, "height": 800}


def prepare(page: Page, playground: Playground) -> None:
    """Let happen what there is to be seen: a flood, a lockout, a delivery that fails, and dead letters."""
    page.goto(f"{playground.org.url}/")
    page.locator("#flood").click()
    page.get_by_role("form", name="Radia Perlman").get_by_role("button", name="Fail").click()
    page.get_by_role("button", name="503").click()
    page.get_by_role("form", name="Grace Hopper").get_by_role("button", name="Field sales").click()
    expect(page.locator("#hooks .sent")).to_contain_text("failed", timeout=_PATIENCE)
    page.get_by_role("button", name="503").click()
    page.get_by_role("form", name="Alan Turing").get_by_role("button", name="Suspend").click()
    deadline = time.monotonic() + _PATIENCE / 1000
    while True:
        page.goto(f"{playground.console_url}/dead-letters")
        if "4 dead letters" in page.inner_text("main"):
            return
        assert time.monotonic() < deadline, page.inner_text("main")
        page.wait_for_timeout(1000)


def simulator(page: Page, playground: Playground) -> None:
    """Go to the simulator's page."""
    page.goto(f"{playground.org.url}/")


def console(page: Page, playground: Playground) -> None:
    """Go to the console's first page."""
    page.goto(playground.console_url)


def event(page: Page, playground: Playground) -> None:
    """Go from the console's dead letters to an event."""
    page.goto(f"{playground.console_url}/dead-letters")
    page.get_by_role("link", name="BadgesDown").click()
    page.locator("main a[href*='/events/']").first.click()


#: What the files are called, and what leads to what they show.
SHOTS: Final[dict[str, Callable[[Page, Playground], None]]] = {
    "simulator": simulator,
    "console": console,
    "event": event,
}


def pictures() -> Iterator[tuple[str, Scheme, Path]]:
    """Yield each picture: what it shows, in which colours, and its file."""
    for name in SHOTS:
        yield name, "light", PICTURES / f"{name}.png"
        yield name, "dark", PICTURES / f"{name}-dark.png"


def take(page: Page, path: Path) -> None:
    """Take a picture of what fits into the window, in as many colours as one sees."""
    from PIL import Image  # of the group "dev", which a run of the tests alone does not have

    picture = Image.open(io.BytesIO(page.screenshot(animations="disabled"))).convert("RGB")
    picture.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def main() -> None:
    """Make all of them."""
    if CHROMIUM is None:
        raise SystemExit("There is no Chromium: apt-get install chromium")
    with ExitStack() as stack:
        playground = play(stack, 0, 0)
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"] if os.getuid() == 0 else []
        )
        stack.callback(browser.close)
        prepare(browser.new_page(viewport=_SIZE), playground)
        for name, scheme, path in pictures():
            page = browser.new_page(viewport=_SIZE, color_scheme=scheme)
            SHOTS[name](page, playground)
            page.wait_for_load_state("load")  # with its pictures
            take(page, path)


if __name__ == "__main__":
    main()
