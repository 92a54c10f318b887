from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from .support import HEADERS, URL, Clock, Receiver, types_in_log, uuids

if TYPE_CHECKING:
    from flask.testing import FlaskClient

    from okta_hooks.simulator import (
        Org,
    )


def cursor(kind: str, *numbers: int) -> str:
    """Return an ``after`` that no simulator has made."""
    text = "_".join([kind, *map(str, numbers)])
    return base64.urlsafe_b64encode(text.encode()).decode()


@pytest.mark.parametrize("context", [None, "", {}, {"debugData": None}, {"debugData": ""}])
def test_the_log_tells_of_every_event_for_whom_it_was(
    org: Org, receiver: Receiver, context: object
) -> None:
    """Events are delivered with the debug data they have, if any; in the log all have the hooks' ids there."""
    hook_ids = [org.register(URL, ["user.session.start"])[0] for _ in range(2)]
    (event,) = org.emit("user.session.start", debug_context=context, client=None)
    (lean,) = org.emit("user.session.start", debug_context=None, client=None, nulls=False)
    org.settle()
    told = {"debugData": {"targetEventHookIds": ",".join(hook_ids)}}
    delivered = [envelope["data"]["events"] for envelope in receiver.envelopes]
    assert delivered == [[event, lean], [event, lean]]
    assert event["debugContext"] == context
    assert "debugContext" not in lean
    logged = org.log(filter='eventType eq "user.session.start"').events
    assert [each["debugContext"] for each in logged] == [told, told]


# The System Log.


def get_log(client: FlaskClient, url: str) -> tuple[list[dict[str, Any]], str | None]:
    """Return the events of a page and its next link."""
    response = client.get(url, headers=HEADERS)
    assert response.status_code == 200, response.text
    links = dict(link.split("; ")[::-1] for link in response.headers.getlist("Link"))
    assert 'rel="self"' in links
    following = links.get('rel="next"')
    return response.get_json(), following and following.strip("<>")


def test_polling_goes_on_for_ever_in_the_order_of_persistence(
    client: FlaskClient, org: Org, clock: Clock
) -> None:
    """Every page has a next link, an empty one too; delayed events come when they were persisted."""
    first = uuids(org.emit("user.session.start", count=3))
    page, url = get_log(client, "/api/v1/logs?sortOrder=ASCENDING&limit=2")
    assert uuids(page) == first[:2]
    assert url is not None
    page, url = get_log(client, url)
    assert uuids(page) == first[2:]
    assert url is not None
    page, url = get_log(client, url)
    assert page == []
    assert url is not None
    clock.go_on(hours=1)
    late = uuids(org.emit("user.session.end", published=clock.now - timedelta(days=30)))
    page, url = get_log(client, url)
    assert uuids(page) == late
    assert url is not None
    assert get_log(client, url)[0] == []


def test_polling_with_a_filter_keeps_its_place(client: FlaskClient, org: Org) -> None:
    """The next link goes on behind what was looked at, and keeps filter and limit."""
    expression = "eventType%20eq%20%22user.session.end%22"
    org.emit("user.session.start", count=5)
    page, url = get_log(client, f"/api/v1/logs?filter={expression}&limit=1")
    assert page == []
    assert url is not None
    assert dict(parse_qsl(urlsplit(url).query))["filter"] == 'eventType eq "user.session.end"'
    org.emit("user.session.start")
    ended = uuids(org.emit("user.session.end", count=2))
    page, url = get_log(client, url)
    assert uuids(page) == ended[:1]
    assert url is not None
    assert uuids(get_log(client, url)[0]) == ended[1:]


def test_polling_starts_at_the_time_of_persistence(org: Org, clock: Clock) -> None:
    """``since`` is about persistence; without it the last seven days count; too early a one is accepted."""
    org.emit("user.session.start")
    clock.go_on(days=8)
    org.emit("user.session.end", published=clock.now - timedelta(days=8))
    assert types_in_log(org) == ["user.session.end"]
    assert types_in_log(org, since="2026-08-11T00:00:00Z") == ["user.session.end"]
    assert types_in_log(org, since="2020-01-01T00:00:00.000Z") == [
        "user.session.start",
        "user.session.end",
    ]
    assert types_in_log(org, since="2026-08-12T00:00:00Z") == []


def test_the_log_forgets_after_90_days(org: Org, clock: Clock) -> None:
    """What is older than the retention is not found by any query, whatever its ``since``."""
    org.emit("user.session.start")
    clock.go_on(days=89)
    org.emit("user.session.end")
    clock.go_on(days=1)
    early = "2026-01-01T00:00:00Z"
    assert types_in_log(org, since=early) == ["user.session.end"]
    assert types_in_log(org, since=early, until="2027-01-01T00:00:00Z") == ["user.session.end"]


def test_a_bounded_query_is_finite_and_by_published(
    client: FlaskClient, org: Org, clock: Clock
) -> None:
    """It has what was published in the span, in that order, either way, and its last page has no next link."""
    clock.go_on(hours=1)
    start = datetime(2026, 8, 3, tzinfo=UTC)
    made = [
        uuids(org.emit("user.session.start", published=start + timedelta(hours=hour)))[0]
        for hour in (5, 1, 3, 1, 9)
    ]
    span = "since=2026-08-03T01:00:00Z&until=2026-08-03T09:00:00Z"
    expected = [made[1], made[3], made[2], made[0]]
    for order, wanted in (("ASCENDING", expected), ("DESCENDING", expected[::-1])):
        found: list[str] = []
        url: str | None = f"/api/v1/logs?{span}&limit=3&sortOrder={order}"
        while url is not None:
            page, url = get_log(client, url)
            found += uuids(page)
        assert found == wanted
    newest, following = get_log(client, "/api/v1/logs?sortOrder=DESCENDING&limit=1000")
    assert uuids(newest) == [made[4], *expected[::-1]]
    assert following is None


def test_the_log_has_its_own_form_of_an_event(org: Org) -> None:
    """The hops stand at request there, and the time of persistence is told."""
    (delivered,) = org.emit("user.session.start")
    (logged,) = org.log().events
    assert logged["request"]["ipChain"] == delivered["client"]["ipChain"] != []
    assert "ipChain" not in logged["client"]
    assert logged["insertionTimestamp"] == "2026-08-03T09:00:00.000Z"
    assert logged["uuid"] == delivered["uuid"]


@pytest.mark.parametrize(
    "query",
    [
        "limit=1001",
        "limit=many",
        "since=yesterday",
        "until=2026-02-31T00:00:00Z",
        "sortOrder=RANDOM",
        "after=1",
        "after=%C3%A9",
    ],
)
def test_a_query_that_makes_no_sense_is_refused(client: FlaskClient, query: str) -> None:
    """A wrong argument is an error 400, not an empty page."""
    response = client.get(f"/api/v1/logs?{query}", headers=HEADERS)
    assert (response.status_code, response.get_json()["errorCode"]) == (400, "E0000001")


@pytest.mark.parametrize("name", ["since", "until"])
def test_what_is_no_date_is_refused_with_two_causes(client: FlaskClient, name: str) -> None:
    """Okta says twice what is wrong with it, in the causes and in the summary."""
    refused = client.get(f"/api/v1/logs?{name}=yesterday", headers=HEADERS)
    error = refused.get_json()
    causes = [cause["errorSummary"] for cause in error["errorCauses"]]
    assert (refused.status_code, error["errorCode"]) == (400, "E0000001")
    assert [cause.partition(":")[0] for cause in causes] == [name, name]
    assert "ISO8601" in causes[0]
    assert f"'{name}': The date format" in error["errorSummary"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("self=1", 1),
        ("until=0001-01-01T00:00:00Z", 0),
        ("since=0001-01-01T00:00:00%2B14:00", 1),
        ("since=9999-12-31T23:59:59-14:00", 0),
        (f"after={cursor('poll', 10**30)}", 0),
        (f"until=2030-01-01&since=2020-01-01&after={cursor('look', 10**30, 1)}", 0),
        (f"until=2030-01-01&since=2020-01-01&after={cursor('look', -(10**30), 1)}", 1),
    ],
)
def test_a_query_beyond_all_time_is_answered(
    client: FlaskClient, org: Org, query: str, found: int
) -> None:
    """Times and places that no event can have are before or after all of them."""
    org.emit("user.session.start")
    response = client.get(f"/api/v1/logs?{query}", headers=HEADERS)
    assert response.status_code == 200
    assert len(response.get_json()) == found


def test_a_cursor_of_the_other_kind_is_refused(client: FlaskClient, org: Org) -> None:
    """``after`` belongs to the query that it was made for."""
    org.emit("user.session.start", count=2)
    _, url = get_log(client, "/api/v1/logs?limit=1")
    after = dict(parse_qsl(urlsplit(str(url)).query))["after"]
    bounded = f"/api/v1/logs?sortOrder=DESCENDING&after={after}"
    assert client.get(bounded, headers=HEADERS).status_code == 400
