from __future__ import annotations

import functools
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from okta_hooks.simulator import Org, emitter
from okta_hooks.simulator.api import create_app
from okta_hooks.simulator.page import FAULTS, HEADERS

from .support import URL, Receiver

if TYPE_CHECKING:
    from flask.testing import FlaskClient

OWN = {"Sec-Fetch-Site": "same-origin"}
JOINERS = "/simulator/page/joiners"
PEOPLE = "/simulator/page/people"
ACTIONS: list[tuple[str, dict[str, str]]] = [
    (JOINERS, {"name": "Eve"}),
    (PEOPLE, {"login": "ada@example.com", "act": "suspend"}),
    ("/simulator/page/floods", {}),
    ("/simulator/page/faults", {"on": "lost"}),
]


class Elements(HTMLParser):
    """What a browser would make of a page: its elements with their attributes, in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep an element."""
        self.found.append((tag, dict(attrs)))

    @property
    def skeleton(self) -> list[tuple[str, list[str]]]:
        """What there is but for texts and values."""
        return [(tag, list(attributes)) for tag, attributes in self.found]


def test_the_page_shows_everybody_and_loads_only_its_own(client: FlaskClient) -> None:
    """It has a form for each person, a policy that forbids whatever is not its own, and nothing inline."""
    answer = client.get("/")
    page = Elements(answer.text)

    assert answer.status_code == 200
    assert answer.text.count('name="login"') == 7
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    assert answer.headers["Cache-Control"] == "no-cache, no-store"
    assert "'unsafe" not in HEADERS["Content-Security-Policy"]
    loaded = [
        attributes.get("src") or attributes.get("href")
        for tag, attributes in page.found
        if tag in ("script", "link")
    ]
    assert len(loaded) == 3
    for path in loaded:
        with client.get(path or "") as file:
            assert file.status_code == 200
            assert file.headers["X-Content-Type-Options"] == "nosniff"
    assert not [
        name
        for _, attributes in page.found
        for name in attributes
        if name.startswith("on") or name == "style"
    ]


@pytest.mark.parametrize(("path", "form"), ACTIONS, ids=str)
@pytest.mark.parametrize(
    "headers",
    [
        OWN,
        {"Origin": "http://localhost"},
        OWN | {"Origin": "http://localhost:3000"},  # a proxy of this machine in between
    ],
)
def test_the_page_acts(
    client: FlaskClient, org: Org, path: str, form: dict[str, str], headers: dict[str, str]
) -> None:
    """What comes from the page itself, as a browser says, is done, and leads back to the page."""
    before = client.get("/").text
    answer = client.post(path, data=form, headers=headers)

    assert (answer.status_code, answer.location) == (303, "/")
    assert client.get("/").text != before


@pytest.mark.parametrize(("path", "form"), ACTIONS, ids=str)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "http://127.0.0.1"},
        {"Origin": "https://localhost:8443"},
        {"Origin": "null"},
        {"Origin": "https://evil.example.com"},
    ],
    ids=str,
)
def test_nobody_else_acts(
    client: FlaskClient, path: str, form: dict[str, str], headers: dict[str, str]
) -> None:
    """What another site or another port sends, or what does not say where it is from, is refused."""
    before = client.get("/").text
    answer = client.post(path, data=form, headers=headers)

    assert answer.status_code == 403
    assert answer.json is not None
    assert answer.json["errorSummary"] == "The simulator is for this machine alone"
    assert client.get("/").text == before


@pytest.mark.parametrize("path", [path for path, _ in ACTIONS])
def test_looking_changes_nothing(client: FlaskClient, path: str) -> None:
    """What acts has no GET."""
    assert client.get(path, headers=OWN).status_code == 405


def test_what_cannot_happen_is_told(client: FlaskClient) -> None:
    """A page that was open while the simulator was started anew gets the new one, and why."""
    form = {"login": "gone@example.com", "act": "suspend"}
    answer = client.post(PEOPLE, data=form, headers=OWN)

    assert answer.status_code == 409
    assert "There is no such person: the simulator may have been started anew." in answer.text


def test_the_page_tells_what_hooks_answered(
    client: FlaskClient, org: Org, receiver: Receiver
) -> None:
    """Of each hook its state, what waits, and the last deliveries with their answers."""
    assert "No hook is registered." in client.get("/").text
    org.register(URL, ["user.lifecycle.suspend"], name="Offboarding")
    receiver.statuses.extend([503, 204])
    client.post(PEOPLE, data={"login": "ada@example.com", "act": "suspend"}, headers=OWN)
    waiting = client.get("/").text
    org.settle()
    page = re.sub(r"<[^>]*>", "", client.get("/").text)

    assert "waiting deliveries: 1<" in waiting
    assert "active, verified · event types: 1 · waiting deliveries: 0" in page
    assert re.search(
        r"delivered 1 . user\.lifecycle\.suspend 503 after 0\.\d\d\ss, then 204 after 0\.\d\d\ss",
        page,
    )
    assert re.search(r"user\.lifecycle\.suspend Ada for 1 hook", page)


def test_the_faults_are_those_that_there_are() -> None:
    """Each has a button, but for what is no fault of Okta's deliveries."""
    assert {*FAULTS, "log_only"} == set(emitter.FAULTS)


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_one_that_there_is(client: FlaskClient, fault: str) -> None:
    """A button switches it on, and the same button off."""
    for name, state in (("on", "true"), ("off", "false")):
        client.post("/simulator/page/faults", data={name: fault}, headers=OWN)
        (button,) = (
            attributes
            for tag, attributes in Elements(client.get("/").text).found
            if tag == "button" and attributes.get("value") == fault
        )
        assert button["aria-pressed"] == state


MARKUP = [
    "<b>",
    "</bdi>",
    "</p><script>x</script>",
    '" onfocus="x" autofocus="',
    "'>",
    "<!--",
    "{{ 7 * 7 }}",
]
HOSTILE = st.lists(
    st.one_of(
        st.sampled_from(MARKUP), st.sampled_from("\u202e\u2066\0\x1b\u2028\ud800&"), st.text()
    ),
    min_size=1,
    max_size=5,
).map(lambda parts: "".join(["x", *parts]))


def page_with(texts: list[str]) -> str:
    """Return the page of an org in which texts stand wherever they can come from elsewhere."""
    name, about, event_type, reason = texts
    org = Org(seed=1, send=Receiver())
    client = create_app(org).test_client()
    org.register(URL, ["user.session.start"], name=name)
    hostile: dict[str, Any] = {"target": {"displayName": about}, "eventType": event_type}
    org.emit("user.session.start", outcome={"reason": reason}, published=reason, **hostile)
    org.settle()
    client.post(JOINERS, data={"name": about.encode(errors="replace")[:100]}, headers=OWN)
    return client.get("/").text


@functools.cache
def harmless_skeleton() -> list[tuple[str, list[str]]]:
    return Elements(page_with(["harmless"] * 4)).skeleton


@settings(
    max_examples=10,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(texts=st.lists(HOSTILE, min_size=4, max_size=4))
def test_nothing_from_elsewhere_becomes_markup(texts: list[str]) -> None:
    """Whatever names, types and reasons hold, the elements are those of harmless ones, and all shows."""
    page = page_with(texts)

    assert Elements(page).skeleton == harmless_skeleton()
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200e\u200f\x00\x1b]", page)
    page.encode()
