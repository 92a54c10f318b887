"""Filters of event hooks: what a hook gets, what the log says of it, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from okta_hooks.simulator import Org, Simulator

from .support import HEADERS, URL, Receiver, body, call, uuids

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask.testing import FlaskClient

    from .support import Endpoint

ADD = "group.user_membership.add"
SALES = "event.target.?[type eq 'UserGroup'].size()>0 && event.target.?[displayName eq 'Sales'].size()>0"


def entry(expression: str, event_type: str = ADD) -> dict[str, Any]:
    return {"event": event_type, "condition": {"expression": expression}}


def filtered(*entries: dict[str, Any], types: tuple[str, ...] = (ADD,)) -> dict[str, Any]:
    """Return a body with a filter."""
    return body(
        events={
            "type": "EVENT_TYPE",
            "items": list(types),
            "filter": {"type": "EXPRESSION_LANGUAGE", "eventFilterMap": list(entries)},
        }
    )


def test_a_filter_decides_what_is_delivered(org: Org, receiver: Receiver) -> None:
    """A hook gets the events of which its filter is true, and the log names it in no others; a type may have none."""
    hook_id = org.create_hook(filtered(entry(SALES), types=(ADD, "user.session.start")))["id"]
    org.verify_hook(hook_id)
    (other,) = org.register(f"{URL}/all", [ADD])
    sales = org.emit(ADD, target=["user:ada@example.com", "group:Sales"])
    legal = org.emit(ADD, target=["user:ada@example.com", "group:Legal"])
    unfiltered = org.emit("user.session.start")
    org.settle()
    assert receiver.uuids == [uuids(sales + unfiltered), uuids(sales + legal)]
    meant = {
        event["uuid"]: event["debugContext"]["debugData"].get("targetEventHookIds")
        for event in org.log(filter=f'eventType eq "{ADD}"').events
    }
    assert meant == {sales[0]["uuid"]: f"{hook_id},{other}", legal[0]["uuid"]: other}


@pytest.mark.parametrize("faults", [[], ["duplicate"], ["reorder"], ["lost"]])
def test_what_is_kept_back_takes_no_fault(
    org: Org, receiver: Receiver, faults: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """With a fault, too, there is no delivery of what a filter keeps back, and it is told."""
    caplog.set_level("INFO")
    hook_id = org.create_hook(filtered(entry("event.actor.alternateId eq 'nobody'")))["id"]
    org.verify_hook(hook_id)
    (event,) = org.emit(ADD, faults=faults)
    org.settle()
    assert receiver.envelopes == org.deliveries() == []
    assert "targetEventHookIds" not in event["debugContext"]["debugData"]
    assert caplog.messages == [f"The filter of {hook_id} keeps back 1 of 1 {ADD}."]


def test_a_filter_comes_back_with_its_version(client: FlaskClient) -> None:
    """A condition without a version is told with null, one with a version as it was; and so it may be written."""
    given = filtered(entry(SALES), entry("true", "user.session.start"))
    given["events"]["filter"]["eventFilterMap"][1]["condition"]["version"] = "1.0"
    made = client.post("/api/v1/eventHooks", headers=HEADERS, json=given).get_json()
    assert made["events"]["filter"] == {
        "type": "EXPRESSION_LANGUAGE",
        "eventFilterMap": [
            {"event": ADD, "condition": {"version": None, "expression": SALES}},
            {
                "event": "user.session.start",
                "condition": {"version": "1.0", "expression": "true"},
            },
        ],
    }
    path = f"/api/v1/eventHooks/{made['id']}"
    assert client.put(path, headers=HEADERS, json=made).get_json() == made
    assert client.put(path, headers=HEADERS, json=body()).get_json()["events"]["filter"] is None


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_what_the_simulator_does_not_support_is_refused_loudly(
    client: FlaskClient, org: Org, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An expression that it cannot apply is an error 400 that blames the simulator, and a warning; it is never kept."""
    made = org.create_hook(filtered(entry(SALES)))
    path = "/api/v1/eventHooks" + (f"/{made['id']}" if method == "PUT" else "")
    wrong = filtered(entry(SALES), entry("event.actor.id matches '00u.*'"))
    refused = client.open(path, method=method, headers=HEADERS, json=wrong)
    assert (refused.status_code, refused.get_json()["errorCode"]) == (400, "E0000001")
    (cause,) = refused.get_json()["errorCauses"]
    assert f"The simulator does not support the expression for {ADD}: " in cause["errorSummary"]
    assert "at \"matches '00u.*'\"" in cause["errorSummary"]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "the simulator does not support the expression" in caplog.text
    assert org.hooks() == [made]


def test_a_filter_over_http(serve: Callable[..., Endpoint]) -> None:
    """A client registers a filter, and the endpoint gets only what passes it."""
    endpoint = serve("204")
    with Simulator(Org(http_hooks=True, batch_seconds=0)) as simulator:
        wanted = filtered(entry(SALES))
        wanted["channel"]["config"]["uri"] = endpoint.url
        hook = call(f"{simulator.url}/api/v1/eventHooks", wanted)
        call(hook["_links"]["verify"]["href"], {})
        for group in ("Legal", "Sales"):
            call(
                f"{simulator.url}/simulator/events",
                {"type": ADD, "target": ["user:ada@example.com", f"group:{group}"]},
            )
        simulator.org.settle()
    assert len(endpoint.posts) == 1
    assert b'"displayName":"Sales"' in endpoint.posts[0][3]


def test_a_condition_for_a_type_that_the_hook_does_not_have_keeps_nothing_back(
    org: Org, receiver: Receiver
) -> None:
    """It is taken, as what Okta does with it is not known, and is shown."""
    made = org.create_hook(filtered(entry("false", "user.session.start")))
    assert made["events"]["filter"]["eventFilterMap"][0]["event"] == "user.session.start"
    org.verify_hook(made["id"])
    events = org.emit(ADD)
    org.settle()
    assert receiver.uuids == [uuids(events)]
