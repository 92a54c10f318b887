from __future__ import annotations

import re
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import pytest
from flask import Flask
from playwright.sync_api import expect

from okta_hooks import EventHook, drain, state_of
from okta_hooks.console import Console
from okta_hooks.console.loopback import Loopback
from okta_hooks.testing import make_delivery, make_event
from tests.support import SECRET, serving

from .support import NARROW, SCHEMES, assert_accessible, assert_fits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Page

HOSTILE = "<img src=x onerror=alert(1)>\u202e\"'{{ 7 * 7 }}" + "w" * 300
REVOKE = "offboarding.revoke_access"
USUAL: Final[Any] = {"width": 1280, "height": 800}
SCREENS = ("", "/events", "/dead-letters", "/receivers", "/registration", "/audit")


class Site:
    """An app with a console, on a port: its receiver fails until it is cured."""

    def __init__(self, folder: Path) -> None:
        self.is_cured = False
        self.role = "operate"
        self.app = Flask("site")
        self.app.config.update(
            OKTA_HOOKS_SECRET=SECRET,
            OKTA_HOOKS_INBOX=f"sqlite:///{folder}/inbox.sqlite3",
            OKTA_HOOKS_MAX_ATTEMPTS=1,
        )
        self.app.testing = True
        okta, other = EventHook("okta"), EventHook("other", url_prefix="/other")
        okta.on("user.lifecycle.deactivate", name=REVOKE)(self._revoke)
        okta.on("user.*", name="directory.sync")(lambda app, **_: None)
        for hook in (okta, other):
            self.app.register_blueprint(hook)
        self.app.register_blueprint(Console(authorize=lambda: (self.role, "Grace")))
        self._served = ExitStack()
        self.url = f"{self._served.enter_context(serving(self.app))}/okta/console"

    def _revoke(self, _: object, *, event: Any, **__: Any) -> None:
        if not self.is_cured:
            raise ConnectionError(f"the VPN does not answer for {event.target[0].alternate_id}")

    def deliver(self, number: int = 3, **event: Any) -> None:
        """Let Okta deliver deactivations, and receivers run until nothing is due."""
        events = [make_event("user.lifecycle.deactivate", **event) for _ in range(number)]
        answer = self.app.test_client().post(
            "/okta/events", json=make_delivery(events), headers={"Authorization": SECRET}
        )
        assert answer.status_code == 204
        drain(self.app)

    def close(self) -> None:
        """Stop."""
        self._served.close()
        state_of(self.app).close()


@pytest.fixture(autouse=True)
def busy_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a page take as long as a busy machine may."""
    monkeypatch.setattr("okta_hooks.console.reads.SECONDS", 20.0)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Return a site whose inbox is empty."""
    made = Site(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Return a site with events that mean harm, dead and done."""
    made = Site(tmp_path_factory.mktemp("hostile"))
    made.deliver(2)
    target = {"type": HOSTILE, "id": HOSTILE, "alternateId": HOSTILE, "displayName": HOSTILE}
    made.deliver(2, target=[target], displayMessage=HOSTILE, uuid=HOSTILE)
    odd = make_event("user.lifecycle.deactivate", uuid=f"{HOSTILE}1", eventType=f"user.{HOSTILE}")
    made.app.test_client().post(
        "/okta/events", json=make_delivery([odd, {}]), headers={"Authorization": SECRET}
    )
    drain(made.app)
    yield made
    made.close()


def test_an_incident(page: Page, site: Site) -> None:
    """From the overview to the error in three clicks; then pause, cure, replay the group, and watch the count fall."""
    site.deliver()
    page.goto(site.url)

    page.get_by_role("link", name=f"{REVOKE} is failing").click()
    page.get_by_role("link", name="the VPN does not answer").click()
    page.get_by_role("link", name="user.lifecycle.deactivate").first.click()
    expect(page.get_by_role("list").get_by_text("ConnectionError: the VPN")).to_be_visible()

    page.get_by_role("link", name=REVOKE).click()
    page.get_by_label("Reason").fill("INC-7")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("by Grace: INC-7")).to_be_visible()
    site.deliver(1)
    page.reload()
    expect(page.locator(".tiles div").first).to_contain_text("Open 1")

    site.is_cured = True
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_text("It goes on.")).to_be_visible()
    drain(site.app)
    page.get_by_role("link", name="Dead letters", exact=True).first.click()
    expect(page.get_by_text("3 given up")).to_be_visible()
    page.get_by_role("button", name="Replay").click()
    expect(page.get_by_role("heading")).to_have_text("Replay 3 dead letters?")
    page.get_by_role("button", name="Replay 3").click()
    expect(page.get_by_role("heading")).to_have_text("3 dead letters replayed")
    drain(site.app)
    page.get_by_role("navigation", name="Console").get_by_role("link", name="Overview").click()

    expect(page.get_by_text("All is well")).to_have_count(0)  # it failed within this hour
    expect(page.locator(".tiles")).to_contain_text("Dead letters 0")
    page.get_by_role("link", name="Audit").click()
    expect(page.locator("tbody tr")).to_have_count(3)
    expect(page.locator("tbody")).to_contain_text("Grace")


def test_revealing(page: Page, site: Site) -> None:
    """A person asks for what is masked, and is told that this is written down; going away masks it again."""
    site.deliver(1, target="user:noether@corp.example")
    page.goto(f"{site.url}/events/1")
    expect(page.locator("main")).not_to_contain_text("noether")

    page.get_by_role("button", name="Reveal").click()

    expect(page.locator("pre.payload")).to_contain_text('"alternateId": "noether@corp.example"')
    expect(page.get_by_role("status").first).to_contain_text("The audit has that you have looked")
    page.goto(f"{site.url}/events/1")
    expect(page.locator("main")).not_to_contain_text("noether")


def test_copying_a_fixture(page: Page, site: Site) -> None:
    """One click copies the whole program."""
    site.deliver(1)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{site.url}/events/1")
    page.get_by_text("As a pytest fixture").click()

    page.get_by_role("button", name="Copy").click()

    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    compile(copied, "fixture", "exec")
    assert 'okta_event(\n        "user.lifecycle.deactivate"' in copied


def test_batches_go_on_by_themselves(
    page: Page, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the script, one confirmation does all batches, with their progress."""
    monkeypatch.setattr("okta_hooks.console.dead_letters.BATCH", 2)
    site.deliver(7)
    page.goto(f"{site.url}/dead-letters")
    page.get_by_role("button", name="Prune").click()

    page.get_by_role("button", name="Prune 7").click()

    expect(page.get_by_role("heading")).to_have_text("7 dead letters pruned")
    assert state_of(site.app).runtime().inbox.overview.counts().dead == 0
    assert len(state_of(site.app).runtime().inbox.audit.entries()) == 4


def test_batches_are_stopped(page: Page, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever clicks Stop has no further batch done, and can go on later."""
    monkeypatch.setattr("okta_hooks.console.dead_letters.BATCH", 1)
    site.deliver(5)
    page.goto(f"{site.url}/dead-letters")
    page.get_by_role("button", name="Prune").click()
    held = threading.Event()
    page.route("**/dead-letters/run", lambda route: (held.wait(0.3), route.continue_()))

    page.get_by_role("button", name="Prune 5").click()
    page.get_by_role("button", name="Stop").click()

    expect(page.get_by_role("button", name="Go on")).to_be_visible()
    left = state_of(site.app).runtime().inbox.overview.counts().dead
    assert 0 < left < 5
    expect(page.get_by_role("heading")).to_contain_text(f"{5 - left} dead letter")


def test_without_javascript(
    open_page: Callable[..., Page], site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of it works without: looking, filtering, pausing, and going on with batches by hand."""
    monkeypatch.setattr("okta_hooks.console.dead_letters.BATCH", 2)
    site.deliver(3)
    page = open_page(java_script_enabled=False)
    page.goto(f"{site.url}/events")
    page.get_by_label("dead").check()
    page.get_by_label("Type").fill("user.*")
    page.get_by_role("button", name="Find").click()
    expect(page.get_by_text("3 matching")).to_be_visible()
    page.goto(f"{site.url}/dead-letters")
    page.get_by_role("button", name="Replay").click()
    page.get_by_role("button", name="Replay 3").click()
    expect(page.get_by_role("heading")).to_have_text("2 dead letters replayed so far")
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_role("heading")).to_have_text("3 dead letters replayed")


def test_it_refreshes_in_place(page: Page, site: Site) -> None:
    """What arrives shows without a reload; the focus, the place and what is open stay as they are."""
    page.clock.install()
    page.goto(site.url)
    page.get_by_text("The same as a table").click()
    link = page.get_by_role("link", name="directory.sync")
    link.focus()
    before = page.evaluate("scrollY")
    site.is_cured = True
    site.deliver(4)

    page.clock.run_for(11_000)

    expect(page.locator(".tiles")).to_contain_text("Received in 24 h 4")
    assert page.evaluate("document.activeElement.textContent") == "directory.sync"
    assert page.evaluate("scrollY") == before
    assert page.evaluate("document.getElementById('numbers').open")


def test_it_does_not_refresh_what_somebody_is_doing(page: Page, site: Site) -> None:
    """While something is typed or chosen, the page stays as it is."""
    site.deliver(2)
    page.clock.install()
    page.goto(f"{site.url}/dead-letters/group?hook=okta&receiver={REVOKE}")
    page.get_by_role("checkbox").first.check()
    page.get_by_role("link", name="Receivers").focus()
    site.deliver(2)

    page.clock.run_for(21_000)

    expect(page.get_by_role("checkbox")).to_have_count(2)
    expect(page.get_by_role("checkbox").first).to_be_checked()


def test_an_app_that_is_away(page: Page, site: Site, complaints: list[str]) -> None:
    """A page that cannot be refreshed says so, and keeps what it has, but for how long ago that was."""
    site.deliver(1)
    page.clock.install()
    page.goto(site.url)
    page.route("**/okta/console", lambda route: route.abort())

    page.clock.run_for(600_000)

    expect(page.get_by_text("This is not fresh: the app does not answer.")).to_be_visible()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    expect(page.locator(".tiles")).to_contain_text(re.compile(r"Last delivery 1\d min ago"))
    complaints.clear()  # of the request that failed


@SCHEMES
def test_it_is_accessible(
    open_page: Callable[..., Page], hostile: Site, scheme: str, complaints: list[str]
) -> None:
    """Axe finds nothing on any screen, usual or narrow, whatever stands in the events, and nothing is too wide."""
    page = open_page(color_scheme=scheme)
    group = f"/dead-letters/group?hook=okta&receiver={REVOKE}"
    more = ("/events/1", "/events/3", f"/receivers/one?hook=okta&name={REVOKE}", group)
    for path in (*SCREENS, *more, "/events/999", "/events?since=x&type=user.*.x&state=dead"):
        page.goto(hostile.url + path)
        assert_accessible(page)
        assert_fits(page)
        page.set_viewport_size(NARROW)
        assert_fits(page)
        page.set_viewport_size(USUAL)
    complaints[:] = [each for each in complaints if "404" not in each]
    page.goto(f"{hostile.url}/events/3")
    page.get_by_text("As a pytest fixture").click()
    assert_accessible(page)
    page.get_by_role("button", name="Reveal").click()
    expect(page.locator("pre.payload")).to_contain_text("<img src=x onerror=alert(1)>\\u202e")
    assert_accessible(page)
    assert_fits(page)
    page.goto(hostile.url + group)
    page.get_by_role("button", name="Prune").click()
    expect(page.get_by_role("heading")).to_contain_text("Prune")
    assert_accessible(page)
    assert_fits(page)


def test_the_loopback(page: Page, site: Site) -> None:
    """The link of the command opens the console, and is of no use a second time."""
    loopback = Loopback(site.app, "root")
    with serving(loopback.app) as url:
        link = loopback.served_at(urlsplit(url).port or 0)
        page.goto(link)
        expect(page.get_by_text("root · may operate")).to_be_visible()
        page.get_by_role("link", name="Receivers").click()
        page.get_by_role("link", name=REVOKE).click()
        page.get_by_role("button", name="Pause").click()
        expect(page.get_by_text("It is paused")).to_be_visible()
        again = page.request.get(link)
    assert again.status == 403


def test_a_page_left_open(page: Page, site: Site) -> None:
    """It asks every ten seconds while somebody can see it, and not at all while nobody can."""
    asked: list[str] = []
    page.clock.install()
    page.goto(site.url)
    page.on("request", lambda request: asked.append(request.url))
    for _ in range(6):
        with page.expect_response(site.url):
            page.clock.run_for(10_000)
    page.evaluate("Object.defineProperty(document, 'hidden', { value: true })")
    page.clock.run_for(60_000)

    assert asked.count(site.url) == 6
