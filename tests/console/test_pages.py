from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from okta_hooks import state_of
from okta_hooks.testing import make_delivery, make_event
from tests.support import SECRET

from .support import ADDRESS, ROOT, Page, deliver, get, post, work

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask
    from flask.testing import FlaskClient

    from okta_hooks import EventHook

    from .conftest import Answer, Directory

CREATED, DEACTIVATED = "user.lifecycle.create", "user.lifecycle.deactivate"
SCREENS = ("", "/events", "/dead-letters", "/receivers", "/registration", "/audit")


def test_an_empty_inbox(client: FlaskClient) -> None:
    """Before anything has arrived every screen says so."""
    texts = [Page(get(client, path)).text for path in SCREENS]

    assert "All is well" in texts[0]
    assert "No event has arrived yet" in texts[1]
    assert "None. Whatever was stored has been handled" in texts[2]
    assert "No receiver is connected" in texts[3]
    assert "No org is configured" in texts[4]
    assert "Nobody has revealed" in texts[5]


def test_without_an_inbox(make: Callable[..., Flask], okta: EventHook) -> None:
    """An app that stores nothing has nothing to show, and the page says why."""
    client = make(okta, INBOX=None).test_client()

    assert "OKTA_HOOKS_INBOX is None" in Page(get(client)).text


def test_the_overview(client: FlaskClient, app: Flask, directory: Directory) -> None:
    """It has what is received, open and dead, and names the receiver that fails."""
    deliver(app, CREATED, DEACTIVATED, "user.session.start")
    work(app)

    page = Page(get(client))

    assert "Received in 24 h 3" in page.text
    assert "Dead letters 2" in page.text
    assert "directory is failing: 2 of its last 2 attempts failed" in page.text
    assert page.links("/receivers/one?hook=okta&name=directory")


@pytest.mark.parametrize(("by", "rows"), [("hour", 49), ("day", 31)])
def test_charts(client: FlaskClient, app: Flask, by: str, rows: int) -> None:
    """A chart has a title and a description, and its numbers stand in a table, too."""
    deliver(app, CREATED, CREATED)

    page = Page(get(client, by=by))

    images = [each for tag, each in page.elements if tag == "svg"]
    ids = {each.get("id") for _, each in page.elements}
    assert len(images) == 3
    assert all(set((each["aria-labelledby"] or "").split()) <= ids for each in images)
    assert page.text.count(" 2 0 0") == 1
    assert sum(tag == "tr" for tag, _ in page.elements) >= rows


def test_looking_for_events(client: FlaskClient, app: Flask, directory: Directory) -> None:
    """The list is of what matches the filters, which stand in the URL and in the form."""
    deliver(app, CREATED, DEACTIVATED, "user.session.start")
    work(app)

    def found(**filters: Any) -> set[str]:
        page = Page(get(client, "/events", **filters))
        shown = re.findall(r"user\.\w+\.\w+", page.text)
        return {one for one in shown if one != "user.lifecycle"}

    assert found() == {CREATED, DEACTIVATED, "user.session.start"}
    assert found(state="dead") == {CREATED, DEACTIVATED}
    assert found(type=DEACTIVATED) == {DEACTIVATED}
    assert found(receiver="directory", state="dead") == {CREATED, DEACTIVATED}
    assert found(since="1h", state="done") == {"user.session.start"}
    assert found(until="1h") == set()
    assert found(uuid="no such thing") == set()
    page = Page(get(client, "/events", type="user.*", state="dead"))
    assert page.values("type") == ["user.*"]
    assert [each["value"] for _, each in page.elements if "checked" in each] == ["dead"]
    assert "the last: ConnectionError: no route to *** from ***" in page.text


@pytest.mark.parametrize(
    ("field", "value"), [("since", "yesterday"), ("until", "9999999d"), ("type", "user.*.create")]
)
def test_a_filter_that_is_none(client: FlaskClient, app: Flask, field: str, value: str) -> None:
    """What cannot be understood is said beside its field, and finds nothing."""
    deliver(app, CREATED)
    page = Page(get(client, "/events", **{field: value}))

    (wrong,) = [each for _, each in page.elements if each.get("aria-invalid")]
    assert wrong["name"] == field
    assert "Write" in page.text
    assert CREATED not in page.text


def test_pages_of_events(client: FlaskClient, app: Flask) -> None:
    """Fifty stand on a page, and links lead to the older ones and back."""
    for start in range(0, 120, 40):
        deliver(app, *(make_event(CREATED, seed=start + number) for number in range(40)))

    first = Page(get(client, "/events"))
    (older,) = first.links("before=")
    second = Page(client.get(older).text)
    (oldest,) = second.links("before=")
    third = Page(client.get(oldest).text)
    (newer,) = third.links("after=")

    assert "120 stored" in first.text
    sizes = [each.text.count(f" {CREATED} ") for each in (first, second, third)]
    assert sizes == [50, 50, 20]
    assert not third.links("before=")
    assert Page(client.get(newer).text).text.count(f" {CREATED} ") == 50


def test_a_page_of_events_looks_at_so_many(
    client: FlaskClient, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where more might match than was looked at, it says how far back it has looked, and a link looks further."""
    monkeypatch.setattr("okta_hooks.console.events._MOST", 3)
    deliver(app, "user.session.start", *(make_event(CREATED, seed=number) for number in range(4)))
    wanted = {"type": "user.session.start", "state": "pending"}

    page = Page(get(client, "/events", **wanted))
    (further,) = page.links("before=")

    assert "0+ matching" in page.text
    assert re.search(r"Looked back to [\d-]{10} [\d:]{8} UTC; there may be more", page.text)
    rest = Page(client.get(further).text)
    assert rest.text.count("user.session.start pending") == 1
    assert "Looked back" not in rest.text


@pytest.mark.parametrize(
    "path",
    [
        "/events?uuid=a%00",
        "/receivers/one?hook=okta&name=%00",
        "/dead-letters/group?hook=okta&receiver=%00",
    ],
)
def test_what_no_database_can_be_asked(
    make: Callable[..., Flask], okta: EventHook, inbox_url: str, path: str
) -> None:
    """A link with a NUL leads to nothing: it is not the inbox that is away."""
    client = make(okta, INBOX=inbox_url).test_client()

    assert client.get(ROOT + path).status_code == 404


@pytest.mark.parametrize("query", ["before=x", "after=x", "before=nan_1", "before=1_-1"])
def test_a_page_that_was_made_up(client: FlaskClient, query: str) -> None:
    """A place in a list that is none leads to nothing, and not to an error of the app's."""
    assert client.get(f"{ROOT}/events?{query}").status_code == 404


def event_page(client: FlaskClient, **filters: Any) -> str:
    """Return the path of the first event that is found."""
    path = Page(get(client, "/events", **filters)).links(f"{ROOT}/events/")[0]
    return path.removeprefix(ROOT)


def test_an_event(client: FlaskClient, app: Flask, directory: Directory) -> None:
    """Its page tells what happened in order, attempt by attempt, and what came, masked."""
    deliver(app, CREATED)
    work(app)

    text = Page(get(client, event_page(client))).text

    told = [
        "Published at Okta",
        "Delivered by the hook",
        "directory, attempt 1: failed, and is dead",
    ]
    assert [text.find(each) > 0 for each in told] == [True] * 3
    assert sorted(told, key=text.find) == told
    assert "ConnectionError: no route to *** from ***" in text
    assert f'"eventType": "{CREATED}"' in text
    assert '"alternateId": "***"' in text
    assert "Came again never" in text


def test_where_an_event_comes_from(client: FlaskClient, app: Flask) -> None:
    """Of the URL of the hook at Okta stands there what is no secret, and names nobody."""
    delivery = make_delivery([make_event(CREATED)])
    delivery["source"] = "https://acme.okta.com/api/v1/eventHooks/who1?login=noether&token=t0ken"
    client.post("/okta/events", json=delivery, headers={"Authorization": SECRET})

    page = get(client, event_page(client))

    assert "https://acme.okta.com/api/v1/eventHooks/who1<" in page
    assert "noether" not in page
    assert "t0ken" not in page


def test_duplicates(client: FlaskClient, app: Flask) -> None:
    """It says how often Okta has delivered the event again."""
    event = make_event(CREATED)
    for _ in range(3):
        deliver(app, event)

    assert "Came again 2 times" in Page(get(client, event_page(client))).text


def test_an_event_that_is_gone(client: FlaskClient) -> None:
    """An event that is not in the inbox is not found."""
    assert client.get(f"{ROOT}/events/7").status_code == 404
    assert client.get(f"{ROOT}/events/{2**80}").status_code == 404


def test_an_event_of_a_great_many_keys(client: FlaskClient, app: Flask) -> None:
    """Its page stays of a size that a browser likes: half of the payload is left out, and a fixture is not offered."""
    data = {f"key{number}": "value" for number in range(12_000)}
    deliver(
        app, make_event("user.lifecycle.suspend", seed=1) | {"debugContext": {"debugData": data}}
    )

    page = get(client, "/events/1")

    assert len(page) < 400_000
    assert "are left out" in page
    assert "@pytest.fixture" not in page
    assert "okta_event" not in page


def test_addresses_before_a_reveal(client: FlaskClient, app: Flask, directory: Directory) -> None:
    """No screen shows an address of a payload, or a number by which a person can be found, not even in an error."""
    deliver(app, CREATED, DEACTIVATED)
    work(app)
    dead = ["/dead-letters/group?hook=okta&receiver=directory"]
    more = [event_page(client), "/receivers/one?hook=okta&name=directory", *dead]

    for path in (*SCREENS, *more):
        page = get(client, path)
        assert not re.search(r"[\w.]+@[\w.]+", page), path
        assert "203.0.113.7" not in page, path


def test_revealing(client: FlaskClient, app: Flask, okta: EventHook) -> None:
    """Revealing is a POST that shows the payload once, and is written down with who and why."""
    deliver(app, CREATED)
    path = event_page(client)

    answer = post(client, f"{path}/reveal", data={"reason": "INC-7"})

    assert answer.status_code == 200
    assert ADDRESS in answer.text
    assert ADDRESS not in get(client, path)
    (entry,) = state_of(app).runtime().inbox.audit.entries()
    assert (entry.action, entry.who, entry.reason, entry.via) == (
        "reveal",
        "Grace",
        "INC-7",
        "console",
    )
    audit = Page(get(client, "/audit")).text
    assert "1 payload revealed in the last 24 h" in audit
    assert "Grace reveal" in audit


def test_a_reader_may_not_act(
    client: FlaskClient, app: Flask, who: Answer, directory: Directory
) -> None:
    """Who may read sees no button that acts, and is refused if they act all the same; nothing has changed then."""
    deliver(app, CREATED)
    work(app)
    who.is_now = ("read", "Reader")
    path = event_page(client)
    receiver = {"hook": "okta", "name": "directory"}
    dead = {"hook": "okta", "receiver": "directory", "action": "replay"}

    for place in (*SCREENS, path, "/receivers/one?hook=okta&name=directory", "/dead-letters"):
        page = Page(get(client, place))
        assert "Reader · may read" in page.text
        assert all(each["method"] == "get" for tag, each in page.elements if tag == "form")
    answers = [
        post(client, f"{path}/reveal"),
        post(client, "/receivers/pause", query_string=receiver),
        post(client, "/receivers/resume", query_string=receiver),
        post(client, "/dead-letters/preview", data=dead),
        post(client, "/dead-letters/run", data=dead),
    ]

    assert [answer.status_code for answer in answers] == [403] * 5
    assert state_of(app).runtime().inbox.audit.entries() == []
    assert state_of(app).runtime().inbox.pauses.paused() == []
    assert state_of(app).runtime().inbox.overview.counts().dead == 1


def test_pausing(client: FlaskClient, app: Flask, directory: Directory) -> None:
    """A receiver that is paused gets nothing until it is resumed; the pages say who has paused it, and why."""
    directory.is_cured = True
    place = {"hook": "okta", "name": "directory"}

    answer = post(client, "/receivers/pause", query_string=place, data={"reason": "INC-7"})
    deliver(app, CREATED)
    work(app)

    assert answer.status_code == 303
    assert directory.runs == 0
    text = Page(client.get(answer.location).text).text
    assert "It is paused" in text
    assert "by Grace: INC-7" in text
    assert "directory is paused" in Page(get(client)).text

    assert post(client, "/receivers/resume", query_string=place).status_code == 303
    work(app)
    assert directory.runs == 1
    actions = [one.action for one in state_of(app).runtime().inbox.audit.entries()]
    assert actions == ["resume", "pause"]


@pytest.mark.parametrize(
    "place", [{"hook": "okta", "name": "nobody"}, {"hook": "x", "name": "y"}, {}]
)
def test_a_receiver_that_is_none(client: FlaskClient, app: Flask, place: dict[str, str]) -> None:
    """What nobody has heard of has no page, and cannot be paused."""
    assert client.get(f"{ROOT}/receivers/one", query_string=place).status_code == 404
    assert post(client, "/receivers/pause", query_string=place).status_code == 404
    assert state_of(app).runtime().inbox.pauses.paused() == []


def test_an_orphan(
    make: Callable[..., Flask], client: FlaskClient, app: Flask, directory: Directory
) -> None:
    """A receiver that is connected nowhere here, with what waits for it, is called an orphan."""
    state_of(app).runtime().inbox.workers.see_receivers([("okta", "gone")])

    page = Page(get(client, "/receivers", hook="okta"))

    assert re.search(r"gone not connected here, last seen .* orphan", page.text)


def test_either_database(
    make: Callable[..., Flask], okta: EventHook, directory: Directory, inbox_url: str
) -> None:
    """Every screen is there with PostgreSQL as with SQLite, and what acts does."""
    app = make(okta, INBOX=inbox_url, MAX_ATTEMPTS=1)
    client = app.test_client()
    deliver(app, CREATED, DEACTIVATED)
    work(app)
    place = {"hook": "okta", "name": "directory"}
    more = (
        "/receivers/one?hook=okta&name=directory",
        "/dead-letters/group?hook=okta&receiver=directory",
    )

    for path in (*SCREENS, *more, "/?by=day", "/events?since=1h&state=dead", event_page(client)):
        assert get(client, path)
    assert post(client, f"{event_page(client)}/reveal").status_code == 200
    assert post(client, "/receivers/pause", query_string=place).status_code == 303
    assert post(client, "/receivers/resume", query_string=place).status_code == 303
    directory.is_cured = True
    form = {"hook": "okta", "receiver": "directory", "action": "replay"}
    assert "2 dead letters replayed" in Page(post(client, "/dead-letters/run", data=form).text).text
    work(app)
    assert state_of(app).runtime().inbox.overview.counts().done == 2


def test_a_body_that_is_gone(client: FlaskClient, app: Flask, directory: Directory) -> None:
    """When retention has taken what Okta sent, the page says so, and there is nothing to reveal."""
    directory.is_cured = True
    deliver(app, CREATED)
    work(app)
    upkeep = state_of(app).runtime().inbox.upkeep
    assert upkeep.prune(bodies_before=2**40, keys_before=0.0) == 1

    page = Page(get(client, "/events/1"))

    assert "Its body is gone" in page.text
    assert post(client, "/events/1/reveal").status_code == 404
    assert state_of(app).runtime().inbox.audit.entries() == []


def test_pages_of_the_audit(client: FlaskClient, app: Flask) -> None:
    """Fifty entries stand on a page, and a link leads to the older ones."""
    audit = state_of(app).runtime().inbox.audit
    for number in range(60):
        audit.write(action="pause", subject=f"receiver {number}", who="Grace", via="command")

    first = Page(get(client, "/audit"))
    (older,) = first.links("before=")
    second = Page(client.get(older).text)

    assert [page.text.count("Grace pause") for page in (first, second)] == [50, 10]
    assert not second.links("before=")
    assert client.get(f"{ROOT}/audit?before={2**70}").status_code == 404
