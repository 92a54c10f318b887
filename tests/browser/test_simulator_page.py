from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Error, expect

from okta_hooks.simulator import Org, Simulator
from tests.simulator.support import Receiver

from .support import NARROW, SCHEMES, assert_accessible, assert_fits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Page

HOSTILE = "<img src=x onerror=alert(1)>\u202e{{ 7 * 7 }}"


@pytest.fixture(scope="module")
def receiver() -> Receiver:
    """Return what takes the deliveries of this module's org."""
    return Receiver()


@pytest.fixture(scope="module")
def url(receiver: Receiver) -> Iterator[str]:
    """Run an org with a hook, and with names of hooks, people and types that mean harm."""
    org = Org(seed=1, send=receiver, batch_seconds=0.05)
    types = ["user.lifecycle.suspend", "user.session.start", "group.user_membership.add"]
    with Simulator(org) as simulator:
        org.register("https://app.example.com/okta", types, name="Offboarding")
        org.register(f"https://app.example.com/{'x' * 300}?<b>", types[:1], name=HOSTILE)
        target = {"type": "User", "id": "1", "alternateId": HOSTILE, "displayName": HOSTILE}
        org.emit("user.lifecycle.suspend", target=target, outcome={"reason": HOSTILE})
        yield simulator.url


def test_what_a_button_does_is_delivered(page: Page, url: str, receiver: Receiver) -> None:
    """A click suspends a person; the page shows the event and the hook's answer, and keeps the focus."""
    page.goto(url)
    row = page.get_by_role("form", name="Grace Hopper")
    row.get_by_role("button", name="Suspend").click()

    expect(row.get_by_role("button", name="Unsuspend")).to_be_visible()
    expect(page.locator("#log li").first).to_contain_text("user.lifecycle.suspend Grace Hopper")
    expect(page.locator("#hooks article").first).to_contain_text("204 after")
    assert page.evaluate("document.activeElement.closest('.people li').textContent").count("Grace")
    assert any(
        target["displayName"] == "Grace Hopper"
        for envelope in receiver.envelopes
        for event in envelope["data"]["events"]
        for target in event["target"] or ()
    )


def test_a_fault_is_switched_on_and_off_with_the_keyboard(page: Page, url: str) -> None:
    """What happens while a fault is on has it, as the hook's list says."""
    page.goto(url)
    lost = page.get_by_role("button", name="Lost")
    lost.focus()
    page.keyboard.press("Enter")
    expect(lost).to_have_attribute("aria-pressed", "true")
    expect(lost).to_be_focused()
    row = page.get_by_role("form", name="Alan Turing")
    row.get_by_role("button", name="Finance").click()
    expect(page.locator("#hooks article").first.locator("li").first).to_have_text(
        re.compile(r"lost 1 . group\.user_membership\.add")
    )
    lost.focus()
    page.keyboard.press("Space")
    expect(lost).to_have_attribute("aria-pressed", "false")


def test_no_click_is_lost(page: Page, url: str) -> None:
    """Clicks that come before the answer to the one before are obeyed, one after the other."""
    page.goto(url)
    page.evaluate(
        "for (const name of ['timeout', 'lost']) document.getElementById(`fault-${name}`).click()"
    )

    for name in ("Time-out", "Lost"):
        button = page.get_by_role("button", name=name)
        expect(button).to_have_attribute("aria-pressed", "true")
        button.click()
        expect(button).to_have_attribute("aria-pressed", "false")


def test_it_works_without_javascript(open_page: Callable[..., Page], url: str) -> None:
    """Somebody joins by name, and is on the page that comes back."""
    page = open_page(java_script_enabled=False)
    page.goto(url)
    page.get_by_label("Name").fill("Zoë O'Neil")
    page.get_by_role("button", name="Join").click()

    expect(page.get_by_role("form", name="Zoë O'Neil")).to_contain_text("zoe.o.neil@example.com")
    assert page.url == f"{url}/"


@SCHEMES
def test_it_is_accessible(open_page: Callable[..., Page], url: str, scheme: str) -> None:
    """Axe finds nothing, in a usual window and in a narrow one, and nothing is wider than the window."""
    page = open_page(color_scheme=scheme)
    page.goto(url)
    expect(page.locator("#hooks")).to_contain_text("<img src=x onerror=alert(1)>\\u202e{{ 7 * 7 }}")
    assert_accessible(page)
    assert_fits(page)
    page.set_viewport_size(NARROW)
    assert_accessible(page)
    assert_fits(page)


def test_a_page_that_does_harm_is_noticed(page: Page, url: str, complaints: list[str]) -> None:
    """The browser of these tests tells of scripts that the policy forbids, and of requests elsewhere."""
    page.goto(url)
    with page.expect_console_message():
        page.evaluate("document.body.append(document.createElement('script'))")
        page.evaluate("document.body.lastChild.textContent = 'alert(1)'")
    with pytest.raises(Error, match="ERR_NAME_NOT_RESOLVED"):
        page.goto("http://elsewhere.example.com/")

    assert [text for text in complaints if "script-src" in text]
    assert "a request to http://elsewhere.example.com/" in complaints
    complaints.clear()
