from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from okta_hooks import catalog
from okta_hooks.simulator import (
    Org,
    RequestRefused,
)

from .support import ELIGIBLE, HEADERS, URL, Clock, Receiver, body

if TYPE_CHECKING:
    from flask.testing import FlaskClient


def test_a_hook_from_its_creation_to_its_end(client: FlaskClient) -> None:
    """The API creates, lists, gets, verifies, deactivates, activates and deletes hooks, with Okta's words."""

    def call(method: str, path: str = "", status: int = 200, **kwargs: Any) -> Any:
        url = f"/api/v1/eventHooks{path}"
        response = client.open(url, method=method, headers=HEADERS, **kwargs)
        assert response.status_code == status
        return response.get_json(silent=True)

    assert call("GET") == []
    made = call("POST", json=body())
    path = f"/{made['id']}"
    assert made["id"].startswith("who")
    assert (made["status"], made["verificationStatus"]) == ("ACTIVE", "UNVERIFIED")
    assert made["created"] == made["lastUpdated"] == "2026-08-03T09:00:00.000Z"
    assert made["channel"]["config"]["headers"] == [{"key": "X-Team", "value": "people"}]
    assert made["_links"]["verify"]["href"].endswith(f"{path}/lifecycle/verify")
    assert call("GET", path) == made
    assert call("GET") == [made]
    assert call("POST", f"{path}/lifecycle/verify")["verificationStatus"] == "VERIFIED"
    assert "active" in str(call("DELETE", path, 400)["errorCauses"])
    stopped = call("POST", f"{path}/lifecycle/deactivate")
    assert stopped["status"] == "INACTIVE"
    assert set(stopped["_links"]) == {"self", "activate", "delete"}
    assert stopped["_links"]["delete"]["hints"] == {"allow": ["DELETE"]}
    started = call("POST", f"{path}/lifecycle/activate")
    assert started["status"] == "ACTIVE"
    assert set(started["_links"]) == {"self", "verify", "deactivate"}
    assert list(started["_links"]["self"]) == list(stopped["_links"]["self"]) == ["href"]
    call("POST", f"{path}/lifecycle/deactivate")
    assert call("DELETE", path, 204) is None
    missing = call("GET", path, 404)
    assert missing["errorCode"] == "E0000007"
    assert missing["errorSummary"].endswith(f"{made['id']} (Webhook)")
    assert call("GET") == []


def test_the_secret_is_never_returned(client: FlaskClient, org: Org) -> None:
    """Neither the API, nor the log, nor a representation has the secret."""
    made = client.post("/api/v1/eventHooks", headers=HEADERS, json=body())
    scheme = made.get_json()["channel"]["config"]["authScheme"]
    assert scheme == {"type": "HEADER", "key": "Authorization"}
    org.verify_hook(made.get_json()["id"])
    everything = [org.hooks(), org.log().events, org.deliveries(), repr(vars(org))]
    assert "s3cret" not in json.dumps(everything)


def test_a_replaced_hook_is_told_with_the_time_of_the_change_before(org: Org, clock: Clock) -> None:
    """PUT replaces everything; its answer still has the old time, in whole seconds, and the next one the new."""
    hook_id = org.create_hook(body())["id"]
    org.verify_hook(hook_id)
    clock.go_on(minutes=1, seconds=0.9)
    renamed = org.replace_hook(hook_id, body(name="Leavers", events__items=["user.session.start"]))
    assert renamed["name"] == "Leavers"
    assert renamed["events"]["items"] == ["user.session.start"]
    assert renamed["lastUpdated"] == renamed["created"] == "2026-08-03T09:00:00.000Z"
    assert org.hook(hook_id) == {**renamed, "lastUpdated": "2026-08-03T09:01:00.000Z"}
    assert org.hooks() == [org.hook(hook_id)]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"name": "Leavers"}, "VERIFIED"),
        ({"description": "Who leaves"}, "VERIFIED"),
        ({"events__items": ["user.session.start"]}, "VERIFIED"),
        ({"channel__config__uri": f"{URL}/v2"}, "UNVERIFIED"),
        ({"channel__config__headers": [{"key": "X-Team", "value": "it"}]}, "UNVERIFIED"),
        ({"channel__config__headers": []}, "UNVERIFIED"),
        ({"channel__config__authScheme__value": "another"}, "UNVERIFIED"),
        ({"channel__config__authScheme__key": "X-Secret"}, "UNVERIFIED"),
        ({"channel__config__authScheme": None}, "UNVERIFIED"),
    ],
)
def test_a_changed_channel_has_to_be_verified_again(
    org: Org, receiver: Receiver, changes: dict[str, Any], status: str
) -> None:
    """After a PUT with another URL, header or secret nothing is delivered until the hook is verified again."""
    hook_id = org.create_hook(body())["id"]
    org.verify_hook(hook_id)
    changed = body(events__items=["user.session.start"])
    org.replace_hook(hook_id, changed)
    assert org.hook(hook_id)["verificationStatus"] == "VERIFIED"
    replaced = org.replace_hook(
        hook_id, body(**{"events__items": ["user.session.start"], **changes})
    )
    assert replaced["verificationStatus"] == org.hook(hook_id)["verificationStatus"] == status
    org.emit("user.session.start")
    org.settle()
    assert len(receiver.envelopes) == (status == "VERIFIED")
    org.verify_hook(hook_id)
    org.emit("user.session.start")
    org.settle()
    assert len(receiver.envelopes) == 1 + (status == "VERIFIED")


@pytest.mark.parametrize(
    ("asked", "becomes"), [("ACTIVE", "ACTIVE"), ("INACTIVE", "INACTIVE"), (None, "{}")]
)
@pytest.mark.parametrize("before", ["ACTIVE", "INACTIVE"])
def test_a_status_in_a_replacement_is_applied(
    org: Org, before: str, asked: str | None, becomes: str
) -> None:
    """PUT with a status sets it; without one, the hook stays as it was."""
    hook_id = org.create_hook(body())["id"]
    if before == "INACTIVE":
        org.deactivate_hook(hook_id)
    replaced = org.replace_hook(hook_id, body(**({} if asked is None else {"status": asked})))
    assert replaced["status"] == org.hook(hook_id)["status"] == becomes.format(before)


def test_a_status_that_is_none_is_refused(org: Org) -> None:
    """Only ACTIVE and INACTIVE are states of a hook, and what is refused changes nothing."""
    made = org.create_hook(body())
    with pytest.raises(RequestRefused, match="status: The value must be ACTIVE or INACTIVE"):
        org.replace_hook(made["id"], body(name="Other", status="PAUSED"))
    assert org.hook(made["id"]) == made


def test_a_secret_stays_unless_another_is_given(org: Org, receiver: Receiver) -> None:
    """What was read of a hook has no secret, and can be written: the hook is called with the one that it had."""
    made = org.create_hook(body())
    org.verify_hook(made["id"])
    org.replace_hook(made["id"], org.hook(made["id"]))
    org.emit("user.lifecycle.deactivate")
    org.settle()
    assert receiver.requests[-1].headers["Authorization"] == "s3cret"
    open_to_all = org.create_hook(body(channel__config__authScheme=None))["id"]
    with pytest.raises(RequestRefused, match="the value of the header"):
        org.replace_hook(open_to_all, body(channel__config__authScheme__value=None))


def test_event_types_are_a_set(org: Org) -> None:
    """They come back in an order of their own, which is the same in every run, whatever order was given."""
    given = [
        "user.session.start",
        "user.session.end",
        "group.lifecycle.create",
        "user.lifecycle.create",
    ]
    told = org.create_hook(body(events__items=given))["events"]["items"]
    assert set(told) == set(given)
    assert told not in (given, sorted(given))
    assert org.create_hook(body(events__items=sorted(given)))["events"]["items"] == told


def test_every_change_is_in_the_log(org: Org) -> None:
    """The org records what is done to a hook, with the hook as the target."""
    hook_id = org.create_hook(body())["id"]
    org.verify_hook(hook_id)
    org.replace_hook(hook_id, body(name="Leavers"))
    org.deactivate_hook(hook_id)
    org.activate_hook(hook_id)
    org.replace_hook(hook_id, body(status="INACTIVE"))
    org.delete_hook(hook_id)
    logged = org.log().events
    assert [event["eventType"].removeprefix("event_hook.") for event in logged] == [
        "created",
        "verified",
        "updated",
        "deactivated",
        "activated",
        "updated",
        "deleted",
    ]
    assert {event["target"][0]["id"] for event in logged} == {hook_id}
    assert all(catalog.get(event["eventType"]) for event in logged)


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"name": " "}, "name: "),
        ({"name": 1}, "name: "),
        ({"name": "x" * 256}, "name: "),
        ({"description": 1}, "description: The value must be a text or null"),
        ({"description": ["Who leaves"]}, "description: "),
        ({"events": None}, "events.type: "),
        ({"events__items": []}, "events.items: "),
        ({"events__items": ["user.lifecycle.create", 1]}, "events.items: "),
        (
            {"events__items": ["user.lifecyle.create"]},
            "user.lifecyle.create is not eligible for event hooks; is user.lifecycle.create meant?",
        ),
        ({"events__items": ["no.such.thing"]}, "no.such.thing is not eligible for event hooks"),
        ({"events__items": ["event_hook.delivery"]}, "event_hook.delivery is not eligible"),
        ({"events__items": ELIGIBLE[:301]}, "at most 300"),
        ({"channel__type": "MAIL"}, "channel.type: "),
        ({"channel__version": "2"}, "channel.version: "),
        ({"channel__config": None}, "channel.config.uri: "),
        ({"channel__config__uri": "http://app.example.com/okta/events"}, "https://"),
        ({"channel__config__uri": "https://"}, "https://"),
        ({"channel__config__uri": "https://app.example.com:port/"}, "https://"),
        ({"channel__config__uri": "https://app.example.com/a b"}, "https://"),
        ({"channel__config__headers": "X-Team"}, "channel.config.headers: "),
        ({"channel__config__headers": [{"key": "X Team", "value": ""}]}, "channel.config.headers"),
        ({"channel__config__headers": ["X-Team"]}, "channel.config.headers: "),
        (
            {"channel__config__headers": [{"key": "Host", "value": "a"}]},
            "channel.config.headers: Host cannot be chosen",
        ),
        (
            {"channel__config__headers": [{"key": "content-length", "value": "3"}]},
            "channel.config.headers: content-length cannot be chosen",
        ),
        (
            {"channel__config__authScheme__key": "Transfer-Encoding"},
            "channel.config.authScheme: Transfer-Encoding cannot be chosen",
        ),
        ({"channel__config__authScheme__type": "BASIC"}, "authScheme.type: "),
        (
            {"channel__config__authScheme": {"type": "OAUTH2", "clientId": "a", "tokenUrl": URL}},
            "authScheme.type: The value must be HEADER",
        ),
        ({"events__filter": []}, "events.filter: An object"),
        ({"events__filter": {"type": "SCIM"}}, "events.filter.type: "),
        ({"events__filter": {"eventFilterMap": "x"}}, "eventFilterMap: A list"),
        ({"events__filter": {"eventFilterMap": [1]}}, "Each needs an event and a condition"),
        (
            {"events__filter": {"eventFilterMap": [{"event": "a", "condition": {}}]}},
            "Each needs an event and a condition",
        ),
        (
            {
                "events__filter": {
                    "eventFilterMap": [
                        {"event": "a", "condition": {"version": 1, "expression": "true"}}
                    ]
                }
            },
            "The version of a condition must be a text or null",
        ),
        ({"channel__config__authScheme__value": None}, "value of the header"),
        ({"channel__config__authScheme__value": "two\r\nlines"}, "value of the header"),
    ],
)
def test_what_cannot_be_a_hook_is_refused_with_the_reason(
    client: FlaskClient, changes: dict[str, Any], cause: str
) -> None:
    """A hook with a wrong name, URL, event type or header is an error 400 that names what is wrong."""
    refused = client.post("/api/v1/eventHooks", headers=HEADERS, json=body(**changes))
    assert refused.status_code == 400
    error = refused.get_json()
    assert list(error) == ["errorCode", "errorSummary", "errorLink", "errorId", "errorCauses"]
    assert error["errorCode"] == error["errorLink"] == "E0000001"
    assert error["errorSummary"] == "Api validation failed: eventHook"
    assert error["errorId"].startswith("oae")
    assert any(cause in each["errorSummary"] for each in error["errorCauses"])
    assert client.get("/api/v1/eventHooks", headers=HEADERS).get_json() == []


def test_every_reason_is_told_at_once(org: Org) -> None:
    """A body with several mistakes is refused with all of them."""
    with pytest.raises(RequestRefused, match="E0000001") as refused:
        org.create_hook({"name": "x"})
    assert len(refused.value.causes) == 5
    with pytest.raises(RequestRefused, match="E0000003"):
        org.create_hook(["name"])


def test_a_hook_may_do_without_headers_and_secret(org: Org, receiver: Receiver) -> None:
    """Both authScheme and headers are optional, and event types are counted once."""
    made = org.create_hook(
        body(
            channel__config={"uri": URL},
            events__items=["user.session.start", "user.session.start"],
        )
    )
    assert made["channel"]["config"]["authScheme"] is None
    assert made["events"]["items"] == ["user.session.start"]
    org.verify_hook(made["id"])
    assert "Authorization" not in receiver.requests[0].headers


def test_a_header_is_sent_once(org: Org, receiver: Receiver) -> None:
    """A header of the admin's takes the place of Okta's own in any case, and the secret that of any."""
    org.register(
        URL,
        ["user.session.start"],
        secret="s3cret",
        auth_header="X-Secret",
        headers={"user-agent": "mine", "x-secret": "other", "X-Team": "a", "x-team": "b"},
    )
    org.emit("user.session.start")
    org.settle()
    for request in receiver.requests:
        names = [name.lower() for name in request.headers]
        assert len(names) == len(set(names))
        assert request.headers["X-Secret"] == "s3cret"
        assert request.headers["user-agent"] == "mine"
        assert request.headers["x-team"] == "b"


def test_http_urls_are_taken_on_request_only(org: Org, receiver: Receiver) -> None:
    """Okta takes https only; for a laptop, http can be allowed."""
    plain = body(channel__config__uri="http://127.0.0.1:5000/okta/events")
    with pytest.raises(RequestRefused, match=r"begin with https://.* with --http-hooks"):
        org.create_hook(plain)
    assert Org(http_hooks=True, send=receiver).create_hook(plain)["status"] == "ACTIVE"


def test_an_org_has_25_active_hooks_at_most(org: Org) -> None:
    """The 26th that is active and verified is refused, however it would become that; no others are counted."""

    def add(*, verified: bool = True) -> str:
        hook_id = str(org.create_hook(body())["id"])
        if verified:
            org.verify_hook(hook_id)
        return hook_id

    unverified = [add(verified=False) for _ in range(2)]
    first, *_ = [add() for _ in range(25)]
    with pytest.raises(RequestRefused, match="at most 25 active and verified"):
        org.create_hook(body())
    with pytest.raises(RequestRefused, match="at most 25 active and verified"):
        org.verify_hook(unverified[0])
    assert org.activate_hook(first)["status"] == "ACTIVE"
    org.deactivate_hook(first)
    org.verify_hook(unverified[0])
    with pytest.raises(RequestRefused, match="at most 25 active and verified"):
        org.activate_hook(first)
    with pytest.raises(RequestRefused, match="at most 25 active and verified"):
        org.replace_hook(first, body(status="ACTIVE"))
    assert org.hook(first)["status"] == "INACTIVE"
    org.deactivate_hook(unverified[1])
    assert org.activate_hook(unverified[1])["verificationStatus"] == "UNVERIFIED"
