from __future__ import annotations

import base64
import json
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from flask import Flask
from flask import request as flask_request
from werkzeug.routing import Rule

from okta_hooks import EventHook, UnknownEventTypeWarning, catalog
from okta_hooks.simulator import (
    Answer,
    HttpSender,
    Org,
    Request,
    RequestRefused,
    Simulator,
    app_sender,
)
from okta_hooks.simulator.__main__ import main
from okta_hooks.simulator.app_org import AppOrg
from okta_hooks.simulator.server import create_app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask.testing import FlaskClient

URL = "https://app.example.com/okta/events"
ELIGIBLE = [name for name, entry in catalog.entries().items() if entry.event_hook_eligible]


class Clock:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = datetime(2026, 8, 3, 9, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        """Return the time."""
        return self.now

    def go_on(self, **amount: float) -> None:
        """Let time pass."""
        self.now += timedelta(**amount)


class Receiver:
    """Takes requests in the same process: answers the challenge, and deliveries with what is set."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.statuses: deque[int] = deque()

    def __call__(self, request: Request) -> Answer:
        """Take a request."""
        self.requests.append(request)
        if request.method == "GET":
            challenge = request.headers["X-Okta-Verification-Challenge"]
            return Answer(status=200, body=json.dumps({"verification": challenge}).encode())
        return Answer(status=self.statuses.popleft() if self.statuses else 204)

    @property
    def envelopes(self) -> list[dict[str, Any]]:
        """The bodies of the deliveries."""
        return [json.loads(request.body) for request in self.requests if request.method == "POST"]

    @property
    def uuids(self) -> list[list[str]]:
        """The uuids of the events, delivery by delivery."""
        return [
            [event["uuid"] for event in envelope["data"]["events"]] for envelope in self.envelopes
        ]


@pytest.fixture
def clock() -> Clock:
    """Return a clock that stands still."""
    return Clock()


@pytest.fixture
def receiver() -> Receiver:
    """Return a receiver in the same process."""
    return Receiver()


@pytest.fixture
def org(clock: Clock, receiver: Receiver) -> Org:
    """Return an org that delivers to the receiver, by the clock."""
    return Org(seed=1, clock=clock, send=receiver)


@pytest.fixture
def client(org: Org) -> FlaskClient:
    """Return a client of the org's API."""
    return create_app(org).test_client()


HEADERS = {"Authorization": "SSWS simulator"}


def body(**changes: Any) -> dict[str, Any]:
    """Return what registers a hook; a keyword such as ``channel__config__uri`` changes one value."""
    hook: dict[str, Any] = {
        "name": "Offboarding",
        "events": {"type": "EVENT_TYPE", "items": ["user.lifecycle.deactivate"]},
        "channel": {
            "type": "HTTP",
            "version": "1.0.0",
            "config": {
                "uri": URL,
                "headers": [{"key": "X-Team", "value": "people"}],
                "authScheme": {"type": "HEADER", "key": "Authorization", "value": "s3cret"},
            },
        },
    }
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = hook
        for key in parents:
            place = place[key]
        place[last] = value
    return hook


def uuids(events: list[dict[str, Any]]) -> list[str]:
    return [event["uuid"] for event in events]


def cursor(kind: str, *numbers: int) -> str:
    """Return an ``after`` that no simulator has made."""
    text = "_".join([kind, *map(str, numbers)])
    return base64.urlsafe_b64encode(text.encode()).decode()


def types_in_log(org: Org, **arguments: str) -> list[str]:
    return [event["eventType"] for event in org.log(**arguments).events]


def failures_in_log(org: Org) -> list[dict[str, Any]]:
    return org.log(filter='eventType eq "event_hook.delivery"').events


# The management API.


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
    assert "activate" in stopped["_links"]
    assert call("POST", f"{path}/lifecycle/activate")["status"] == "ACTIVE"
    call("POST", f"{path}/lifecycle/deactivate")
    assert call("DELETE", path, 204) is None
    assert call("GET", path, 404)["errorCode"] == "E0000007"
    assert call("GET") == []


def test_the_secret_is_never_returned(client: FlaskClient, org: Org) -> None:
    """Neither the API, nor the log, nor a representation has the secret."""
    made = client.post("/api/v1/eventHooks", headers=HEADERS, json=body())
    scheme = made.get_json()["channel"]["config"]["authScheme"]
    assert scheme == {"type": "HEADER", "key": "Authorization"}
    org.verify_hook(made.get_json()["id"])
    everything = [org.hooks(), org.log().events, org.deliveries(), repr(vars(org))]
    assert "s3cret" not in json.dumps(everything)


def test_a_replaced_hook_keeps_its_verification_unless_it_moves(org: Org, clock: Clock) -> None:
    """PUT replaces everything; only another URL has to be verified again."""
    hook_id = org.create_hook(body())["id"]
    org.verify_hook(hook_id)
    clock.go_on(minutes=1)
    renamed = org.replace_hook(hook_id, body(name="Leavers", events__items=["user.session.start"]))
    assert renamed["name"] == "Leavers"
    assert renamed["events"]["items"] == ["user.session.start"]
    assert renamed["lastUpdated"] == "2026-08-03T09:01:00.000Z"
    assert renamed["verificationStatus"] == "VERIFIED"
    moved = org.replace_hook(hook_id, body(channel__config__uri=f"{URL}/v2"))
    assert moved["verificationStatus"] == "UNVERIFIED"


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"name": " "}, "name: "),
        ({"name": 1}, "name: "),
        ({"name": "x" * 256}, "name: "),
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
    """The 26th active hook is refused, at creation and at activation; inactive ones do not count."""
    first = org.create_hook(body())["id"]
    for _ in range(24):
        org.create_hook(body())
    with pytest.raises(RequestRefused, match="at most 25"):
        org.create_hook(body())
    org.activate_hook(first)
    org.deactivate_hook(first)
    org.create_hook(body())
    with pytest.raises(RequestRefused, match="at most 25"):
        org.activate_hook(first)


@pytest.mark.parametrize("authorization", ["SSWS simulator", "SSWSsimulator", "Bearer simulator"])
def test_a_token_is_accepted_in_each_form_that_clients_send(
    client: FlaskClient, authorization: str
) -> None:
    """Okta's scheme, the same without its space (so does the official SDK), and OAuth's are taken."""
    response = client.get("/api/v1/eventHooks", headers={"Authorization": authorization})
    assert response.status_code == 200


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "simulator"}, {"Authorization": "SSWS x"}]
)
@pytest.mark.parametrize("path", ["eventHooks", "logs", "eventHooks/who1/lifecycle/verify"])
def test_a_wrong_token_is_refused(client: FlaskClient, headers: dict[str, str], path: str) -> None:
    """Without the token nothing of the API answers, not even that a path is not there."""
    response = client.get(f"/api/v1/{path}", headers=headers)
    assert response.status_code == 401
    assert response.get_json()["errorCode"] == "E0000011"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "eventHooks/who1", 404, "E0000007"),
        ("PUT", "eventHooks/who1", 404, "E0000007"),
        ("DELETE", "eventHooks/who1", 404, "E0000007"),
        ("POST", "eventHooks/who1/lifecycle/verify", 404, "E0000007"),
        ("POST", "eventHooks/who1/lifecycle/activate", 404, "E0000007"),
        ("POST", "eventHooks/who1/lifecycle/deactivate", 404, "E0000007"),
        ("GET", "users", 404, "E0000007"),
        ("PATCH", "eventHooks", 405, "E0000022"),
    ],
)
def test_what_is_not_there_is_an_error_object(
    client: FlaskClient, method: str, path: str, status: int, code: str
) -> None:
    """Unknown hooks, paths and methods are refused as Okta does it."""
    response = client.open(f"/api/v1/{path}", method=method, headers=HEADERS, json=body())
    assert (response.status_code, response.get_json()["errorCode"]) == (status, code)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'"hook"', b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_object_is_refused(client: FlaskClient, data: bytes) -> None:
    """What is not a JSON object is not well-formed, in Okta's words."""
    response = client.post("/api/v1/eventHooks", headers=HEADERS, data=data)
    assert (response.status_code, response.get_json()["errorCode"]) == (400, "E0000003")


def test_a_failure_of_the_simulator_is_an_error_object() -> None:
    """Clients of Okta's get what they can read, whatever breaks."""

    def broken() -> datetime:
        raise LookupError

    response = create_app(Org(clock=broken)).test_client().get("/api/v1/logs", headers=HEADERS)
    assert (response.status_code, response.get_json()["errorCode"]) == (500, "E0000009")


def test_the_rate_limit_is_told_and_kept(org: Org, clock: Clock) -> None:
    """Every answer says what is left of the minute; over the limit it is 429 until the minute is over."""
    client = create_app(org, {"/api/v1/logs": 2}).test_client()

    def get(path: str = "logs") -> tuple[int, str, str, int]:
        response = client.get(f"/api/v1/{path}", headers=HEADERS)
        limit, left = (response.headers[f"X-Rate-Limit-{name}"] for name in ("Limit", "Remaining"))
        reset = int(response.headers["X-Rate-Limit-Reset"])
        if response.status_code == 429:
            assert response.get_json()["errorCode"] == "E0000047"
        return response.status_code, limit, left, reset - int(clock.now.timestamp())

    clock.go_on(seconds=40)
    assert [get(), get(), get()] == [
        (200, "2", "1", 20),
        (200, "2", "0", 20),
        (429, "2", "0", 20),
    ]
    assert get("eventHooks") == (200, "600", "599", 20)
    clock.go_on(seconds=20)
    assert get() == (200, "2", "1", 60)


# Verification.


def test_verification_is_a_get_with_challenge_secret_and_headers(
    org: Org, receiver: Receiver
) -> None:
    """Okta asks once, with the headers that the admin chose; the log tells that it was answered."""
    hook_id = org.create_hook(body())["id"]
    assert org.verify_hook(hook_id)["verificationStatus"] == "VERIFIED"
    (request,) = receiver.requests
    assert (request.method, request.url, request.body) == ("GET", URL, b"")
    assert len(request.headers["X-Okta-Verification-Challenge"]) == 40
    assert request.headers["Authorization"] == "s3cret"
    assert request.headers["X-Team"] == "people"
    assert request.headers["User-Agent"] == "Okta-Integrations"
    verified = org.log(filter='eventType eq "event_hook.verified"').events
    assert [event["target"][0]["id"] for event in verified] == [hook_id]


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (Answer(status=200, body=b'{"verification": "no"}'), "challenge at verification"),
        (Answer(status=200, body=b'["verification"]'), "challenge at verification"),
        (Answer(status=200, body=b"<html>"), "not JSON"),
        (Answer(status=204), "answered 204"),
        (Answer(status=401), "answered 401"),
        (Answer(status=503), "answered 503"),
        (TimeoutError(), "timed out"),
        (ConnectionRefusedError("refused"), "refused"),
    ],
)
def test_an_endpoint_that_cannot_answer_stays_unverified(
    answer: Answer | OSError, cause: str
) -> None:
    """A wrong answer or none is an error 400 that says what was wrong; there is one GET, whatever came of it."""
    requests = []

    def send(request: Request) -> Answer:
        requests.append(request)
        if isinstance(answer, OSError):
            raise answer
        return answer

    org = Org(send=send)
    hook_id = org.create_hook(body())["id"]
    client = create_app(org).test_client()
    refused = client.post(f"/api/v1/eventHooks/{hook_id}/lifecycle/verify", headers=HEADERS)
    assert refused.status_code == 400
    first, second = (each["errorSummary"] for each in refused.get_json()["errorCauses"])
    assert first == "Unable to verify event hook. Hook Offboarding execution failed"
    assert cause in second
    assert [request.method for request in requests] == ["GET"]
    assert org.hook(hook_id)["verificationStatus"] == "UNVERIFIED"
    assert "event_hook.verified" not in types_in_log(org)


def test_a_hook_that_moves_while_it_is_verified_stays_unverified() -> None:
    """What an endpoint proves does not count for the one that took its place meanwhile."""
    org: Org
    receiver = Receiver()

    def send(request: Request) -> Answer:
        org.replace_hook(hook_id, body(channel__config__uri=f"{URL}/v2"))
        return receiver(request)

    org = Org(send=send)
    hook_id = org.create_hook(body())["id"]
    assert org.verify_hook(hook_id)["verificationStatus"] == "UNVERIFIED"


# Deliveries in process.


def test_a_delivery_is_what_okta_sends(org: Org, receiver: Receiver, clock: Clock) -> None:
    """A POST with Okta's headers, the admin's, and a minified envelope of events that are in the log."""
    (hook_id,) = org.register(URL, ["user.lifecycle.create"], secret="s3cret")
    (event,) = org.emit(
        "user.lifecycle.create", target="user:ada@example.com", display_message="Hi"
    )
    clock.go_on(seconds=5)
    org.settle()
    request = receiver.requests[-1]
    assert (request.method, request.url) == ("POST", URL)
    assert request.headers["Authorization"] == "s3cret"
    assert request.headers["Content-Type"] == request.headers["Accept"] == "application/json"
    assert request.headers["User-Agent"] == f"Okta Hook Service v1.0.0 - {hook_id}"
    assert b'{"eventType":"com.okta.event_hook","eventTypeVersion":"1.0",' in request.body
    (envelope,) = receiver.envelopes
    assert envelope["source"] == f"https://example.okta.com/api/v1/eventHooks/{hook_id}"
    assert envelope["eventTime"] == "2026-08-03T09:00:05.000Z"
    assert envelope["data"]["events"] == [event]
    assert event["published"] == "2026-08-03T09:00:00.000Z"
    assert event["target"][0]["alternateId"] == "ada@example.com"
    assert event["displayMessage"] == "Hi"
    assert event["debugContext"]["debugData"]["targetEventHookIds"] == hook_id


def test_only_active_and_verified_hooks_get_only_their_types(org: Org, receiver: Receiver) -> None:
    """Events go to the hooks that asked for the type, and the log names these."""
    unverified = org.create_hook(body())["id"]
    one, other, stopped = (
        org.register(f"{URL}/{number}", ["user.lifecycle.deactivate"])[0] for number in range(3)
    )
    org.deactivate_hook(stopped)
    org.emit("user.lifecycle.deactivate")
    org.emit("user.lifecycle.create")
    org.settle()
    assert [request.url for request in receiver.requests if request.method == "POST"] == [
        f"{URL}/0",
        f"{URL}/1",
    ]
    left, created = org.log(filter='eventType sw "user.lifecycle."').events
    assert left["debugContext"]["debugData"]["targetEventHookIds"] == f"{one},{other}"
    assert "targetEventHookIds" not in created["debugContext"]["debugData"]
    assert unverified not in json.dumps(org.deliveries())


def test_a_hook_that_stops_before_the_delivery_gets_none(org: Org, receiver: Receiver) -> None:
    """What was on its way to a hook is dropped when the hook is deactivated or deleted."""
    (hook_id,) = org.register(URL, ["user.session.start"])
    org.emit("user.session.start")
    org.deactivate_hook(hook_id)
    org.delete_hook(hook_id)
    org.settle()
    assert receiver.envelopes == []
    assert [delivery["state"] for delivery in org.deliveries()] == ["dropped"]


def test_events_close_in_time_come_in_one_delivery(
    org: Org, receiver: Receiver, clock: Clock
) -> None:
    """A delivery waits half a second for more, and is sent when that is over, not before."""
    org.register(URL, ["user.session.start", "user.session.end"])
    first = org.emit("user.session.start")
    clock.go_on(seconds=0.4)
    second = org.emit("user.session.end")
    org.deliver_due()
    assert receiver.envelopes == []
    clock.go_on(seconds=0.1)
    org.deliver_due()
    assert receiver.uuids == [uuids(first + second)]
    third = org.emit("user.session.start")
    org.deliver_due()
    assert receiver.uuids == [uuids(first + second)]
    clock.go_on(seconds=0.5)
    org.deliver_due()
    assert receiver.uuids == [uuids(first + second), uuids(third)]


def test_a_delivery_holds_no_more_than_the_batch_size(clock: Clock, receiver: Receiver) -> None:
    """A burst is cut into deliveries, in order."""
    org = Org(clock=clock, send=receiver, batch_size=2)
    org.register(URL, ["user.session.start"])
    events = uuids(org.emit("user.session.start", count=5))
    org.settle()
    assert receiver.uuids == [events[:2], events[2:4], events[4:]]
    assert len({envelope["eventId"] for envelope in receiver.envelopes}) == 3


@pytest.mark.parametrize(
    ("statuses", "state", "failures"),
    [
        ([200], "delivered", 0),
        ([204], "delivered", 0),
        ([503, 204], "delivered", 0),
        ([503, 500], "failed", 1),
        ([202], "failed", 1),
        ([302], "failed", 1),
        ([400], "failed", 1),
        ([429], "failed", 1),
    ],
)
def test_a_server_error_is_tried_once_more_and_nothing_else(
    org: Org, receiver: Receiver, statuses: list[int], state: str, failures: int
) -> None:
    """200 and 204 are success; only 5xx gets another attempt, with the same body; a failure is in the log."""
    (hook_id,) = org.register(URL, ["user.session.start"])
    org.emit("user.session.start")
    receiver.statuses.extend([*statuses, 299])
    org.settle()
    assert list(receiver.statuses) == [299]
    assert len({request.body for request in receiver.requests if request.method == "POST"}) == 1
    (delivery,) = org.deliveries()
    assert [attempt["status"] for attempt in delivery["attempts"]] == statuses
    assert delivery["state"] == state
    logged = failures_in_log(org)
    assert len(logged) == failures
    for failure in logged:
        assert failure["outcome"]["result"] == "FAILURE"
        assert str(statuses[-1]) in failure["outcome"]["reason"]
        assert failure["target"][0]["id"] == hook_id
        assert failure["debugContext"]["debugData"]["eventId"] == delivery["eventId"]
        assert failure["debugContext"]["debugData"]["attempts"] == str(len(statuses))
        assert "targetEventHookIds" not in failure["debugContext"]["debugData"]


def test_what_an_app_raises_comes_out_and_stops_nothing(clock: Clock) -> None:
    """An error in the process is no answer of the hook's: it is raised, and the rest can still be delivered."""
    receiver = Receiver()

    def send(request: Request) -> Answer:
        if request.method == "POST" and not receiver.envelopes:
            receiver(request)
            raise RuntimeError("a bug")
        return receiver(request)

    org = Org(clock=clock, send=send, batch_size=1)
    org.register(URL, ["user.session.start"])
    org.emit("user.session.start", count=2)
    with pytest.raises(RuntimeError, match="a bug"):
        org.settle()
    org.settle()
    assert [delivery["state"] for delivery in org.deliveries()] == ["failed", "delivered"]
    (attempt,) = org.deliveries()[0]["attempts"]
    assert (attempt["status"], attempt["error"]) == (None, "RuntimeError: a bug")
    (failure,) = failures_in_log(org)
    assert failure["outcome"]["reason"] == "RuntimeError: a bug"


def test_what_an_app_raises_at_its_verification_comes_out() -> None:
    """An error in the process is not that of an endpoint that cannot answer."""

    def send(request: Request) -> Answer:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        Org(send=send).register(URL, ["user.session.start"])


def test_a_receiver_may_let_more_happen(clock: Clock) -> None:
    """What happens while the org settles is delivered, too."""
    org: Org
    receiver = Receiver()

    def send(request: Request) -> Answer:
        if b"user.lifecycle.create" in request.body:
            org.emit("group.user_membership.add")
        return receiver(request)

    org = Org(clock=clock, send=send)
    org.register(URL, ["user.lifecycle.create", "group.user_membership.add"])
    org.emit("user.lifecycle.create")
    org.settle()
    assert [envelope["data"]["events"][0]["eventType"] for envelope in receiver.envelopes] == [
        "user.lifecycle.create",
        "group.user_membership.add",
    ]


class Hurried(Clock):
    """A clock of a machine that stalls for ten seconds between any two looks at it."""

    def __call__(self) -> datetime:
        """Return the time."""
        self.go_on(seconds=10)
        return self.now


def test_settling_from_within_is_an_error() -> None:
    """A receiver that settles the org it is called by would wait for ever."""
    org: Org
    receiver = Receiver()

    def send(request: Request) -> Answer:
        if request.method == "POST":
            org.settle()
        return receiver(request)

    org = Org(send=send)
    org.register(URL, ["user.session.start"])
    org.emit("user.session.start")
    with pytest.raises(RuntimeError, match="cannot settle the org"):
        org.settle()


def test_settling_another_org_from_within_is_none() -> None:
    """A receiver may settle any org but the one that is waiting for it."""
    receiver = Receiver()
    other = Org(send=receiver)

    def send(request: Request) -> Answer:
        other.settle()
        return receiver(request)

    for org in (other, Org(send=send)):
        org.register(URL, ["user.session.start"])
        org.emit("user.session.start")
    org.settle()
    assert len(receiver.envelopes) == 2


@pytest.mark.parametrize("make_clock", [Clock, Hurried])
def test_settling_asks_no_clock(make_clock: Callable[[], Clock]) -> None:
    """However long things take, the same events come in the same deliveries, in the same order."""
    receiver = Receiver()
    org = Org(seed=1, clock=make_clock(), send=receiver, batch_size=3)
    org.register(URL, ["user.session.start"])

    def emit(**how: Any) -> list[str]:
        return uuids(org.emit("user.session.start", **how))

    delayed = emit(delay=5)
    last, first = emit(count=2, faults=["reorder"])
    one, two = emit(), emit(count=3)
    twice = emit(faults=["duplicate"])
    three = emit()
    org.settle()
    together = [[*one, *two[:2]], [two[2], *three], twice, twice]
    assert receiver.uuids == [*together, [first], [last], delayed]
    org.settle()
    assert len(receiver.uuids) == 7


def test_what_happens_does_not_depend_on_how_it_was_delivered(clock: Clock) -> None:
    """With a seed, events are the same whether or not others were delivered, or failed, meanwhile."""

    def run(*, settle: bool) -> list[str]:
        receiver = Receiver()
        receiver.statuses.extend([503] * 4)
        org = Org(seed=1, clock=clock, send=receiver)
        org.register(URL, ["user.session.start"])
        found = []
        for _ in range(3):
            found += uuids(org.emit("user.session.start"))
            if settle:
                org.settle()
        return [*found, org.create_hook(body())["id"]]

    assert run(settle=True) == run(settle=False)


def test_equal_seeds_make_equal_orgs(clock: Clock) -> None:
    """With a seed and a clock, every id and every event is the same in each run."""

    def run() -> list[bytes]:
        receiver = Receiver()
        org = Org(seed=5, clock=clock, send=receiver)
        org.register(URL, ["user.session.start"])
        org.emit("user.session.start", count=3)
        org.settle()
        return [request.body for request in receiver.requests]

    assert run() == run()


def test_more_types_than_a_hook_may_have_make_more_hooks(org: Org, receiver: Receiver) -> None:
    """All 314 types can be registered at once: two hooks share them, so no event comes twice."""
    assert len(org.register(URL, ELIGIBLE, secret="s3cret", headers={"X-Team": "people"})) == 2
    for event_type in (ELIGIBLE[0], ELIGIBLE[-1]):
        org.emit(event_type)
    org.settle()
    assert sum(len(delivery) for delivery in receiver.uuids) == 2
    assert receiver.requests[-1].headers["X-Team"] == "people"


# Faults.


def test_a_duplicate_comes_under_another_event_id(org: Org, receiver: Receiver) -> None:
    """The same events come twice: only their uuids tell."""
    org.register(URL, ["user.session.start"])
    events = uuids(org.emit("user.session.start", count=2, faults=["duplicate"]))
    org.settle()
    assert receiver.uuids == [events, events]
    first, second = receiver.envelopes
    assert first["eventId"] != second["eventId"]


def test_reordered_events_come_last_first_and_late(org: Org, receiver: Receiver) -> None:
    """They are overtaken by each other and by what happens next; published tells the true order."""
    org.register(URL, ["user.lifecycle.create", "user.lifecycle.deactivate"])
    created = uuids(org.emit("user.lifecycle.create", count=2, faults=["reorder"]))
    left = uuids(org.emit("user.lifecycle.deactivate"))
    org.settle()
    assert receiver.uuids == [left, [created[1]], [created[0]]]


def test_a_delayed_event_is_in_the_log_before_it_is_delivered(
    org: Org, receiver: Receiver, clock: Clock
) -> None:
    """A delay holds the delivery back, not the log, and not what happens later."""
    org.register(URL, ["user.session.start"])
    late = uuids(org.emit("user.session.start", delay=60))
    assert types_in_log(org)[-1] == "user.session.start"
    clock.go_on(seconds=30)
    soon = uuids(org.emit("user.session.start"))
    clock.go_on(seconds=30)
    org.deliver_due()
    assert receiver.uuids == [soon]
    clock.go_on(seconds=1)
    org.deliver_due()
    assert receiver.uuids == [soon, late]


def test_a_lost_delivery_is_meant_and_never_comes(org: Org, receiver: Receiver) -> None:
    """The log says that the event was for the hook, and knows of no failure."""
    (hook_id,) = org.register(URL, ["user.session.start"])
    org.emit("user.session.start", faults=["lost"])
    org.settle()
    assert receiver.envelopes == []
    logged = org.log().events[-1]
    assert logged["debugContext"]["debugData"]["targetEventHookIds"] == hook_id
    assert failures_in_log(org) == []
    assert [(each["state"], each["attempts"]) for each in org.deliveries()] == [("lost", [])]


def test_an_event_may_be_in_the_log_only(org: Org, receiver: Receiver) -> None:
    """It was meant for no hook, though one asks for its type."""
    org.register(URL, ["user.session.start"])
    org.emit("user.session.start", faults=["log_only"])
    org.settle()
    assert receiver.envelopes == []
    logged = org.log().events[-1]
    assert logged["eventType"] == "user.session.start"
    assert "targetEventHookIds" not in logged["debugContext"]["debugData"]
    assert org.deliveries() == []


@pytest.mark.parametrize(
    ("wrong", "error", "reason"),
    [
        ({"faults": ["dupe"]}, ValueError, "No such fault: dupe"),
        ({"faults": "lost"}, TypeError, re.escape("faults is a list: write ['lost']")),
        ({"count": 0}, ValueError, "at least 1, not 0"),
        ({"count": -1}, ValueError, "at least 1, not -1"),
        ({"delay": -5}, ValueError, "from 0, not -5"),
        ({"tagret": "user:ada"}, TypeError, "no key 'tagret'"),
        ({"target": "ada"}, ValueError, "no short form"),
    ],
)
def test_what_cannot_happen_is_an_error(
    org: Org, wrong: dict[str, Any], error: type[Exception], reason: str
) -> None:
    """A misspelt fault would make a test that tests nothing, and so would a count of none."""
    with pytest.raises(error, match=reason):
        org.emit("user.session.start", **wrong)
    assert org.log().events == []


def test_an_unknown_type_is_warned_of_once_where_it_was_written(org: Org) -> None:
    """The warning points at the line of the caller, however often it happens."""
    with pytest.warns(UnknownEventTypeWarning, match="'user.session.start' meant") as warned:
        events = org.emit("user.session.strat", count=3)
    assert [(each.filename, each.category) for each in warned] == [
        (__file__, UnknownEventTypeWarning)
    ]
    assert len(events) == 3


def test_events_are_the_callers_own(org: Org, receiver: Receiver) -> None:
    """What a test changes in an event that was returned is not changed in what is delivered or logged."""
    org.register(URL, ["user.session.start"])
    one, other = org.emit("user.session.start", count=2, client={"zone": "a"})
    sent = uuids([one, other])
    one["uuid"] = one["client"]["zone"] = "b"
    org.settle()
    assert receiver.uuids == [sent]
    assert uuids(org.log().events[-2:]) == sent
    assert [
        event["client"]["zone"]
        for event in (other, *receiver.envelopes[0]["data"]["events"], *org.log().events[-2:])
    ] == ["a"] * 5


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
    ("expression", "numbers"),
    [
        ('eventType eq "user.session.start"', [0]),
        ('eventType eq "user.session.start" or eventType eq "user.session.end"', [0, 1]),
        ('eventType sw "user."', [0, 1, 2]),
        ('eventType sw "user." and outcome.result eq "FAILURE"', [2]),
        (
            'eventType eq "zone.create" or eventType sw "user." and outcome.result eq "FAILURE"',
            [2, 3],
        ),
        (
            '(eventType eq "zone.create" OR eventType sw "user.") AND outcome.result eq "SUCCESS"',
            [0, 1, 3],
        ),
        ('target.alternateId eq "a \\"b\\" (c)"', [3]),
        ("securityContext.isProxy eq false", [0, 1, 2, 3]),
        ("securityContext.isProxy eq true", []),
        ('no.such.key eq "x"', []),
        ('securityContext.asNumber sw "64"', []),
    ],
)
def test_a_filter_finds_what_it_says(org: Org, expression: str, numbers: list[int]) -> None:
    """``eq``, ``sw``, ``and``, ``or`` and parentheses work on any key, and look into lists."""
    events = [
        org.emit("user.session.start"),
        org.emit("user.session.end"),
        org.emit("user.account.lock"),
        org.emit("zone.create", target=["Zone:Office", 'Zone:a "b" (c)']),
    ]
    assert uuids(org.log(filter=expression).events) == [
        events[number][0]["uuid"] for number in numbers
    ]


def test_keywords_find_events_in_any_case(org: Org) -> None:
    """``q`` wants every one of its words somewhere in the event."""
    org.emit("user.session.start", actor="user:ada@example.com")
    org.emit("user.session.end", actor="user:ada@example.com")
    assert types_in_log(org, q="ADA@example.com session.end") == ["user.session.end"]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("limit=1001", "E0000001"),
        ("limit=many", "E0000001"),
        ("since=yesterday", "E0000001"),
        ("until=2026-02-31T00:00:00Z", "E0000001"),
        ("sortOrder=RANDOM", "E0000001"),
        ("after=1", "E0000001"),
        ("after=%C3%A9", "E0000001"),
        ("filter=eventType", "E0000031"),
        ('filter=eventType eq "a', "E0000031"),
        ("filter=eventType eq a", "E0000031"),
        ('filter=(eventType eq "a"', "E0000031"),
        ('filter=eventType eq "a")', "E0000031"),
        ('filter=eventType eq "a" eventType eq "b"', "E0000031"),
        ('filter=eventType co "a"', "E0000031"),
        ("filter=eventType sw 1", "E0000031"),
        (f"filter={'(' * 3000}", "E0000031"),
        (f"filter=eventType eq {'[' * 100_000}", "E0000031"),
    ],
)
def test_a_query_that_makes_no_sense_is_refused(client: FlaskClient, query: str, code: str) -> None:
    """A wrong argument is an error 400, not an empty page."""
    response = client.get(f"/api/v1/logs?{query}", headers=HEADERS)
    assert (response.status_code, response.get_json()["errorCode"]) == (400, code)


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


# The simulator's own paths.


def test_events_can_be_made_to_happen_over_http(client: FlaskClient, org: Org) -> None:
    """No token is needed; type, count, target, overrides, faults and delay are those of ``emit``."""
    org.register(URL, ["user.lifecycle.create"])
    answer = client.post(
        "/simulator/events",
        json={
            "type": "user.lifecycle.create",
            "count": 3,
            "target": "user:ada@example.com",
            "overrides": {"displayMessage": "Hi", "nulls": False},
            "faults": ["duplicate"],
            "delay": 1,
        },
    )
    assert answer.status_code == 200
    events = org.log(filter='eventType eq "user.lifecycle.create"').events
    assert answer.get_json() == {"uuids": uuids(events)}
    assert len(events) == 3
    assert {event["target"][0]["alternateId"] for event in events} == {"ada@example.com"}
    assert {event["displayMessage"] for event in events} == {"Hi"}
    assert "device" not in events[0]
    org.settle()
    deliveries = client.get("/simulator/deliveries").get_json()
    assert [each["state"] for each in deliveries] == ["delivered", "delivered"]
    assert deliveries[0]["due"] == "2026-08-03T09:00:01.500Z"
    assert deliveries[0]["events"] == [
        {"uuid": event["uuid"], "eventType": "user.lifecycle.create"} for event in events
    ]
    (attempt,) = deliveries[0]["attempts"]
    assert 0 <= attempt.pop("seconds") < 10
    assert attempt == {"at": "2026-08-03T09:00:00.000Z", "status": 204, "error": None}


@pytest.mark.parametrize(
    ("wrong", "cause"),
    [
        ({"type": "user.lifecyle.create"}, "'user.lifecycle.create' meant"),
        ({"type": None}, "type: "),
        ({"count": 0}, "count: "),
        ({"count": True}, "count: "),
        ({"delay": -1}, "delay: "),
        ({"delay": "soon"}, "delay: "),
        ({"faults": ["dupe"]}, "faults: "),
        ({"faults": "lost"}, "faults: "),
        ({"overrides": ["x"]}, "overrides: "),
        ({"overrides": {"tagret": 1}}, "'tagret'"),
        ({"overrides": {"count": 2}}, "overrides: An event has no key 'count'"),
        ({"overrides": {"event_type": "x"}}, "overrides: An event has no key 'event_type'"),
        ({"overrides": {"seed": 1}}, "overrides: An event has no key 'seed'"),
        ({"target": "ada"}, "no short form"),
        ({"target": 3}, "target is 3: it may be a short form such as 'user:ada@example.com'"),
        ({"target": ["user:ada", None]}, "or a list of these"),
        ({"tpye": "x"}, "tpye: No such key: there are type, count, target, "),
    ],
)
def test_a_wrong_wish_is_refused(
    client: FlaskClient, org: Org, wrong: dict[str, Any], cause: str
) -> None:
    """What cannot happen is an error 400 that says why, and nothing happens."""
    wish = {"type": "user.lifecycle.create", **wrong}
    refused = client.post("/simulator/events", json=wish)
    assert refused.status_code == 400
    assert cause in str(refused.get_json()["errorCauses"])
    assert org.log().events == []


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"", 'An object such as {"type": "user.lifecycle.create"}'),
        (b"type=user.lifecycle.create", "An object such as"),
        (b'["user.lifecycle.create"]', "An object such as"),
        (b"{}", "type: The event type is needed, such as user.lifecycle.create"),
    ],
)
def test_a_wish_that_is_none_is_refused(
    client: FlaskClient, org: Org, data: bytes, cause: str
) -> None:
    """The answer shows what is expected."""
    refused = client.post("/simulator/events", data=data)
    assert refused.status_code == 400
    assert [each["errorSummary"][: len(cause)] for each in refused.get_json()["errorCauses"]] == [
        cause
    ]
    assert org.log().events == []


def test_what_no_hook_asks_for_is_said(org: Org, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever waits for a delivery learns that there will be none, and why."""
    caplog.set_level("WARNING")
    org.create_hook(body())
    org.emit("user.lifecycle.deactivate", faults=["log_only"])
    assert caplog.messages == []
    org.emit("user.lifecycle.deactivate")
    expected = "No hook that is active and verified asks for user.lifecycle.deactivate."
    assert caplog.messages == [expected]
    org.register(URL, ["user.lifecycle.deactivate"])
    org.emit("user.lifecycle.deactivate")
    assert caplog.messages == [expected]


def test_what_came_of_a_delivery_is_said(
    org: Org, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """A delivery that failed is a warning, which pytest shows of a test that fails; one that did not is none."""
    caplog.set_level("INFO")
    org.register(URL, ["user.session.start"])
    receiver.statuses.extend([302, 204])
    for _ in range(2):
        org.emit("user.session.start")
        org.settle()
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", f"1 events to {URL}: The endpoint answered 302."),
        ("INFO", f"1 events to {URL}: 204."),
    ]


# Over HTTP.


class Endpoint:
    """An HTTP server that answers each POST as told, and remembers every request."""

    def __init__(self, *behaviours: str) -> None:
        self.behaviours = deque(behaviours)
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.released = threading.Event()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                endpoint.remember(self)
                challenge = self.headers["X-Okta-Verification-Challenge"]
                answer = json.dumps({"verification": challenge}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def do_POST(self) -> None:
                endpoint.remember(self)
                endpoint.answer(self, endpoint.behaviours.popleft())

            def log_message(self, *_: object) -> None:
                """Keep the test's output clean."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/okta/events"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))

    def remember(self, handler: BaseHTTPRequestHandler) -> None:
        """Keep method, path, headers and body of a request."""
        length = int(handler.headers.get("Content-Length", 0))
        headers = dict(handler.headers.items())
        self.requests.append((handler.command, handler.path, headers, handler.rfile.read(length)))

    def answer(self, handler: BaseHTTPRequestHandler, behaviour: str) -> None:
        """Do what a behaviour says: a status, ``sleep N``, ``drip``, ``close`` or ``garbage``."""
        handler.close_connection = True
        if behaviour == "close":
            handler.connection.shutdown(socket.SHUT_RDWR)
            return
        if behaviour == "garbage":
            handler.wfile.write(b"SMTP ready\r\n\r\n")
            return
        if behaviour.startswith("sleep"):
            self.released.wait(float(behaviour.split()[1]))
            behaviour = "204"
        with suppress(OSError):  # who timed out is not there any more
            if behaviour == "drip":
                handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Drip: ")
                while not self.released.wait(0.02):
                    handler.wfile.write(b".")
                return
            handler.send_response(int(behaviour))
            if behaviour == "302":
                handler.send_header("Location", "/elsewhere")
            handler.end_headers()

    @property
    def posts(self) -> list[tuple[str, str, dict[str, str], bytes]]:
        """The requests that are deliveries."""
        return [request for request in self.requests if request[0] == "POST"]


@contextmanager
def serving() -> Iterator[Callable[..., Endpoint]]:
    """Pass a function that starts an endpoint with the behaviours given."""
    endpoints = []

    def start(*behaviours: str) -> Endpoint:
        endpoint = Endpoint(*behaviours)
        endpoint.thread.start()
        endpoints.append(endpoint)
        return endpoint

    try:
        yield start
    finally:
        for endpoint in endpoints:
            endpoint.released.set()
            endpoint.server.shutdown()
            endpoint.server.server_close()
            endpoint.thread.join()


@pytest.fixture
def serve() -> Iterator[Callable[..., Endpoint]]:
    """Return a function that starts an endpoint with the behaviours given."""
    with serving() as start:
        yield start


#: What an endpoint does, and then: the statuses of the attempts, and why the delivery failed.
MANNERS: dict[tuple[str, ...], tuple[list[int | None], str | None]] = {
    ("200",): ([200], None),
    ("204",): ([204], None),
    ("401",): ([401], "answered 401"),
    ("503", "503"): ([503, 503], "answered 503"),
    ("503", "204"): ([503, 204], None),
    ("503", "401"): ([503, 401], "answered 401"),
    ("302",): ([302], "answered 302"),
    ("sleep 4", "sleep 4"): ([None, None], "timed out"),
    ("sleep 4", "204"): ([None, 204], None),
    ("sleep 4", "close"): ([None, None], "closed connection"),
    ("sleep 1",): ([204], None),
    ("drip", "drip"): ([None, None], "timed out"),
    ("close",): ([None], "closed connection"),
    ("garbage",): ([None], "SMTP ready"),
}


@pytest.fixture(scope="module")
def delivered() -> Iterator[dict[tuple[str, ...], tuple[Endpoint, Org]]]:
    """Deliver one event to an endpoint of each behaviour, with Okta's own time-out, all at the same time."""

    def deliver(endpoint: Endpoint) -> Org:
        org = Org(http_hooks=True)
        org.register(endpoint.url, ["user.session.start"], secret="s3cret")
        org.emit("user.session.start")
        org.settle()
        return org

    with serving() as start, ThreadPoolExecutor(len(MANNERS)) as pool:
        endpoints = [start(*behaviours) for behaviours in MANNERS]
        orgs = pool.map(deliver, endpoints)
        yield dict(zip(MANNERS, zip(endpoints, orgs, strict=True), strict=True))


@pytest.mark.parametrize("behaviours", MANNERS, ids=", ".join)
def test_the_manners_over_http(
    delivered: dict[tuple[str, ...], tuple[Endpoint, Org]], behaviours: tuple[str, ...]
) -> None:
    """Three seconds; one retry on time-out and 5xx, none otherwise; no redirect followed; failures are logged once."""
    endpoint, org = delivered[behaviours]
    statuses, reason = MANNERS[behaviours]
    assert [path for _, path, _, _ in endpoint.posts] == ["/okta/events"] * len(statuses)
    assert len({sent for _, _, _, sent in endpoint.posts}) == 1
    assert all(headers["Authorization"] == "s3cret" for _, _, headers, _ in endpoint.posts)
    assert not endpoint.behaviours
    (delivery,) = org.deliveries()
    assert [attempt["status"] for attempt in delivery["attempts"]] == statuses
    for behaviour, attempt in zip(behaviours, delivery["attempts"], strict=True):
        late = behaviour in {"sleep 4", "drip"}
        assert (attempt["error"] == "timed out") == late
        assert not late or attempt["seconds"] > 2.9
    assert delivery["state"] == ("failed" if reason else "delivered")
    failures = failures_in_log(org)
    assert len(failures) == (1 if reason else 0)
    for failure in failures:
        assert str(reason) in failure["outcome"]["reason"]
        assert failure["target"][0]["id"] == delivery["hookId"] == org.hooks()[0]["id"]
        debug = failure["debugContext"]["debugData"]
        assert debug["eventId"] == delivery["eventId"]
        assert debug["attempts"] == str(len(statuses))
        assert debug.get("httpStatus") == (str(statuses[-1]) if statuses[-1] else None)
        assert None not in debug.values()


def test_nobody_listens(serve: Callable[..., Endpoint]) -> None:
    """A refused connection is not tried again, and is in the log."""
    endpoint = serve()
    org = Org(http_hooks=True)
    org.register(endpoint.url, ["user.session.start"])
    endpoint.server.shutdown()
    endpoint.server.server_close()
    org.emit("user.session.start")
    org.settle()
    (delivery,) = org.deliveries()
    (attempt,) = delivery["attempts"]
    assert "refused" in attempt["error"]
    assert len(failures_in_log(org)) == 1


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://[::1]/okta/events", ("::1", 80)),
        ("https://[::1]/okta/events", ("::1", 443)),
        ("http://[::1]:5000/okta/events", ("::1", 5000)),
        ("http://app.example.com/okta/events", ("app.example.com", 80)),
    ],
)
def test_a_url_need_not_have_a_port(
    url: str, address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scheme's own port is called, also of an address with colons in it."""
    called = []

    def connect(address: tuple[str, int], *_: object) -> None:
        called.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(ConnectionRefusedError):
        HttpSender()(Request(method="GET", url=url, headers={}))
    assert called == [address]


def test_a_host_that_cannot_be() -> None:
    """A name that no resolver takes is a failure like any other."""
    request = Request(method="POST", url=f"http://{'a' * 64}.example.com/", headers={})
    with pytest.raises(ConnectionError):
        HttpSender()(request)


def test_headers_go_over_the_wire_as_they_are(serve: Callable[..., Endpoint]) -> None:
    """The secret is sent verbatim, beyond ASCII in UTF-8, and the client adds no headers but its own two."""
    endpoint = serve("204")
    org = Org(http_hooks=True)
    (hook_id,) = org.register(f"{endpoint.url}/?a=1&b=2", ["user.session.start"], secret="^&*$! é")
    org.emit("user.session.start")
    org.settle()
    ((_, path, headers, sent),) = endpoint.posts
    assert path == "/okta/events/?a=1&b=2"
    assert headers.pop("Authorization").encode("latin-1") == "^&*$! é".encode()
    assert set(headers) == {
        "Host",
        "Content-Length",
        "Content-Type",
        "Accept",
        "User-Agent",
        "X-Okta-Request-Id",
    }
    assert headers["User-Agent"].endswith(hook_id)
    assert json.loads(sent)["data"]["events"][0]["eventType"] == "user.session.start"


def test_https_is_spoken_to_https_urls() -> None:
    """A server without TLS is no endpoint of an https URL."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                hello.append(connection.recv(1))

        hello: list[bytes] = []
        thread = threading.Thread(target=answer)
        thread.start()
        request = Request(
            method="GET", url=f"https://127.0.0.1:{listening.getsockname()[1]}/", headers={}
        )
        with pytest.raises(OSError, match=r"."):
            HttpSender()(request)
        thread.join()
    assert hello == [b"\x16"]  # a TLS handshake


def call(url: str, document: object = None, token: str = "simulator") -> Any:
    """Return what a URL answers, to a POST if there is a document."""
    data = None if document is None else json.dumps(document).encode()
    request = urllib.request.Request(url, data, {"Authorization": f"SSWS {token}"})
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.loads(response.read())


def test_a_simulator_delivers_as_time_passes(serve: Callable[..., Endpoint]) -> None:
    """Over HTTP, nobody has to tell the org to deliver; one slow hook does not hold up another."""
    slow, quick = serve("sleep 30"), serve(*["204"] * 9)
    org = Org(http_hooks=True, batch_seconds=0.01)
    with Simulator(org) as simulator:
        assert org.url == simulator.url
        org.register(slow.url, ["user.session.start"])
        org.register(quick.url, ["user.session.start", "user.session.end"])
        call(f"{simulator.url}/simulator/events", {"type": "user.session.start"})
        for _ in range(3):
            wait_for(lambda: quick.posts)
            quick.requests.clear()
            call(f"{simulator.url}/simulator/events", {"type": "user.session.end"})
        wait_for(lambda: quick.posts)
        slow.released.set()
        org.settle()
        deliveries = call(f"{simulator.url}/simulator/deliveries")
        assert [each["state"] for each in deliveries] == ["delivered"] * 5
        hook = call(f"{simulator.url}/api/v1/eventHooks")[0]
        assert hook["_links"]["self"]["href"].startswith(simulator.url)
    with pytest.raises(OSError, match="refused"):
        call(f"{simulator.url}/api/v1/eventHooks")


def test_hooks_that_hang_hold_up_no_other() -> None:
    """However many of an org's hooks do not answer, the rest get theirs."""
    receiver = Receiver()
    released = threading.Event()

    def send(request: Request) -> Answer:
        if request.method == "POST" and request.url != URL:
            released.wait(30)
        return receiver(request)

    org = Org(send=send, batch_seconds=0)
    with Simulator(org):
        for number in range(24):
            org.register(f"{URL}/{number}", ["user.session.start"])
        org.register(URL, ["user.session.start"])
        org.emit("user.session.start")
        wait_for(lambda: receiver.envelopes)
        assert [request.url for request in receiver.requests if request.method == "POST"] == [URL]
        released.set()
        org.settle()


def wait_for(condition: Callable[[], object]) -> None:
    """Wait until something that another thread does has come true."""
    deadline = time.monotonic() + 10
    waiting = threading.Event()
    while not condition():
        assert time.monotonic() < deadline
        waiting.wait(0.01)


def test_a_simulator_survives_what_a_sender_raises(caplog: pytest.LogCaptureFixture) -> None:
    """A thread that delivers logs what it did not expect, and goes on."""
    receiver = Receiver()

    def send(request: Request) -> Answer:
        answer = receiver(request)
        if len(receiver.envelopes) == 1:
            raise RuntimeError("a bug")
        return answer

    org = Org(send=send, batch_seconds=0, batch_size=1)
    with Simulator(org):
        org.register(URL, ["user.session.start"])
        org.emit("user.session.start", count=2)
        wait_for(lambda: len(receiver.envelopes) == 2)
        org.settle()
    assert [delivery["state"] for delivery in org.deliveries()] == ["failed", "delivered"]
    assert "a bug" in caplog.text


def test_a_port_that_is_taken_is_an_error() -> None:
    """Whoever starts a simulator in a process learns of it by an OSError."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        simulator = Simulator(Org(), port=taken.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            simulator.start()
        simulator.stop()


@contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run the command."""
    process = subprocess.Popen(
        [sys.executable, "-m", "okta_hooks.simulator", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        with process:
            yield process
            process.terminate()
    finally:
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_runs_an_org(serve: Callable[..., Endpoint], number: signal.Signals) -> None:
    """``python -m okta_hooks.simulator`` says where it is, does it all, and goes quietly."""
    endpoint = serve("204")
    with running("--port", "0", "--token", "T", "--seed", "1", "--http-hooks") as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "'T'" in line
        url = line.split()[4].rstrip(",")
        wish = body(channel__config={"uri": endpoint.url}, events__items=["user.lifecycle.create"])
        hook = call(f"{url}/api/v1/eventHooks", wish, "T")
        assert hook["id"] == "who" + "".join(
            random.Random(1).choices(
                "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", k=17
            )
        )
        call(hook["_links"]["verify"]["href"], {}, "T")
        call(f"{url}/simulator/events", {"type": "user.lifecycle.create"})
        wait_for(lambda: endpoint.posts)
        assert "1 events to" in process.stdout.readline()
        process.send_signal(number)
        assert process.wait(10) == 0
        assert process.stdout.read() == ""


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--port", "many"], "argument --port: 'many' is no number from 0 to 65535"),
        (["--port", "65536"], "argument --port: '65536' is no number from 0 to 65535"),
        (["--port=-1"], "argument --port: '-1' is no number from 0 to 65535"),
        (["--seed", "x"], "argument --seed: invalid int value: 'x'"),
        (["--token", ""], "argument --token: '' is no token"),
        (["--token", "a b"], "argument --token: 'a b' is no token"),
        (["--https-hooks"], "unrecognized arguments: --https-hooks"),
    ],
)
def test_the_command_says_what_is_wrong_with_its_arguments(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The usage, one line that says what is wrong, and status 2."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    usage, *_, last = capsys.readouterr().err.splitlines()
    assert usage.startswith("usage: python -m okta_hooks.simulator")
    assert complaint in last


def test_the_command_says_that_its_port_is_taken() -> None:
    """One line and status 1, no traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with running("--port", str(port)) as process:
            assert process.wait(10) == 1
            assert process.stdout is not None
            (line,) = process.stdout.read().splitlines()
            assert line.startswith(f"Port {port} cannot be had: Address already in use")


# With a receiver of this package.


class AtHost(Rule):
    """A rule of an app that tells hosts apart, for which Flask's blueprints have no option."""

    def __init__(self, string: str, **options: Any) -> None:
        super().__init__(string, **{"host": "hooks.example.com"} | options)


def plain() -> Flask:
    return Flask("app")


def with_subdomains() -> Flask:
    return Flask("app", subdomain_matching=True)


def with_host() -> Flask:
    app = without_host()
    app.url_rule_class = AtHost  # type: ignore[assignment] # it takes no positional options
    return app


def without_host() -> Flask:
    return Flask("app", host_matching=True, static_host="static.example.com")


SERVER = {"SERVER_NAME": "example.com:8443"}


@pytest.mark.parametrize(
    ("make", "config", "options", "url"),
    [
        (plain, {}, {}, "https://localhost/okta/events"),
        (plain, SERVER, {}, "https://example.com:8443/okta/events"),
        (with_subdomains, {}, {}, "https://localhost/okta/events"),
        (with_subdomains, SERVER, {}, "https://example.com:8443/okta/events"),
        (
            with_subdomains,
            {"SERVER_NAME": "example.com", "TRUSTED_HOSTS": [".example.com"]},
            {"subdomain": "in"},
            "https://in.example.com/okta/events",
        ),
        (with_host, {}, {}, "https://hooks.example.com/okta/events"),
        (
            with_host,
            SERVER | {"TRUSTED_HOSTS": ["hooks.example.com"]},
            {},
            "https://hooks.example.com/okta/events",
        ),
        (plain, {"TRUSTED_HOSTS": []}, {}, "https://localhost/okta/events"),
        (plain, {"TRUSTED_HOSTS": ["a.test", "b.test"]}, {}, "https://a.test/okta/events"),
        (plain, {"TRUSTED_HOSTS": [".example.com"]}, {}, "https://example.com/okta/events"),
        (plain, {"TRUSTED_HOSTS": "a.test"}, {}, "https://a.test/okta/events"),
        (plain, SERVER | {"TRUSTED_HOSTS": ["a.test"]}, {}, "https://a.test/okta/events"),
        (plain, {"APPLICATION_ROOT": "/mount"}, {}, "https://localhost/mount/okta/events"),
        (plain, {"APPLICATION_ROOT": "/okta/"}, {}, "https://localhost/okta/okta/events"),
    ],
)
def test_an_app_is_called_by_a_name_that_it_answers_to(
    make: Callable[[], Flask], config: dict[str, Any], options: dict[str, Any], url: str
) -> None:
    """Subdomains, hosts, trusted hosts and where the app is mounted: the org finds a URL, and delivers there."""
    seen = []
    okta = EventHook("okta")

    @okta.on("*")
    def note(sender: Flask, event: Any, **extra: Any) -> None:
        seen.append((flask_request.root_path, flask_request.path.rstrip("/"), event.event_type))

    app = make()
    app.config.from_mapping(OKTA_HOOKS_SECRET="s3cret", OKTA_HOOKS_INBOX=None, **config)
    app.register_blueprint(okta, **options)
    org = AppOrg(app, "", seed=1)
    assert {hook["channel"]["config"]["uri"].rstrip("/") for hook in org.hooks()} == {url}
    org.emit("user.session.start")
    org.settle()
    root = app.config["APPLICATION_ROOT"].rstrip("/")
    assert seen == [(root, "/okta/events", "user.session.start")]


@pytest.mark.parametrize(
    "url", ["https://in.test/okta/events", "https://in.test/mount/okta/events"]
)
def test_a_url_may_begin_with_the_root_of_the_app(url: str) -> None:
    """What a proxy would take off the URL need not be in it."""
    app = Flask("app")
    app.config.from_mapping(
        OKTA_HOOKS_SECRET="s3cret", OKTA_HOOKS_INBOX=None, APPLICATION_ROOT="/mount"
    )
    app.register_blueprint(EventHook("okta"))
    assert Org(send=app_sender(app)).register(url, ["user.session.start"], secret="s3cret")


@pytest.mark.parametrize(
    ("make", "config", "options", "reason"),
    [
        (plain, SERVER, {"subdomain": "in"}, "at https://in.example.com:8443/okta/events"),
        (
            with_subdomains,
            {"TRUSTED_HOSTS": ["a.test"]},
            {"subdomain": "in"},
            "at https://in.localhost/okta/events/ or https://in.a.test/okta/events",
        ),
        (
            with_subdomains,
            SERVER | {"TRUSTED_HOSTS": ["a.test"]},
            {},
            "at https://example.com:8443/okta/events",
        ),
        (without_host, {}, {}, "host_matching, SERVER_NAME and TRUSTED_HOSTS"),
        (plain, {}, {"url_prefix": "/<tenant>/okta"}, "variable parts: '/<tenant>/okta/'"),
    ],
)
def test_an_app_that_cannot_be_called_is_told_why(
    make: Callable[[], Flask], config: dict[str, Any], options: dict[str, Any], reason: str
) -> None:
    """If no URL leads to the hook, that is said, and what it depends on."""
    app = make()
    app.config.from_mapping(OKTA_HOOKS_SECRET="s3cret", OKTA_HOOKS_INBOX=None, **config)
    app.register_blueprint(EventHook("okta"), **options)
    with pytest.raises(RuntimeError, match=re.escape(reason)):
        AppOrg(app, "", seed=1)


def test_an_app_under_test_raises_its_receivers_errors() -> None:
    """What a receiver raises in an app that is ``testing`` comes out of ``settle``; otherwise it is a 500."""
    okta = EventHook("okta")

    @okta.on("user.session.start")
    def fail(sender: Flask, **extra: Any) -> None:
        raise LookupError("no such user")

    app = Flask("quickstart")
    app.config.from_mapping(OKTA_HOOKS_SECRET="s3cret", OKTA_HOOKS_INBOX=None, TESTING=True)
    app.register_blueprint(okta)
    org = Org(send=app_sender(app))
    org.register(URL, ["user.session.start"], secret="s3cret")
    org.emit("user.session.start")
    with pytest.raises(ExceptionGroup) as raised:
        org.settle()
    assert raised.group_contains(LookupError, match="no such user")
    app.testing = False
    org.emit("user.session.start")
    org.settle()
    assert [attempt["status"] for attempt in org.deliveries()[-1]["attempts"]] == [500, 500]


def test_an_asynchronous_receiver_cannot_settle_the_org_either() -> None:
    """It runs in another thread, for which the thread that settles waits."""
    org: AppOrg
    okta = EventHook("okta")

    @okta.on("user.session.start")
    async def settle(sender: Flask, **extra: Any) -> None:
        org.settle()

    app = Flask("quickstart")
    app.config.from_mapping(OKTA_HOOKS_SECRET="s3cret", OKTA_HOOKS_INBOX=None, TESTING=True)
    app.register_blueprint(okta)
    org = AppOrg(app, "", seed=1)
    org.emit("user.session.start")
    with pytest.raises(ExceptionGroup) as raised:
        org.settle()
    assert raised.group_contains(RuntimeError, match="cannot settle the org")


def test_a_wrong_secret_fails_the_verification_at_the_app() -> None:
    """The blueprint refuses the challenge with a wrong secret, and the org says so."""
    app = Flask("quickstart")
    app.config.from_mapping(OKTA_HOOKS_SECRET="s3cret", OKTA_HOOKS_INBOX=None)
    app.register_blueprint(EventHook("okta"))
    org = Org(send=app_sender(app))
    with pytest.raises(RequestRefused, match="answered 401"):
        org.register(URL, ["user.session.start"], secret="secret")


def test_importing_pulls_in_nothing_that_is_optional() -> None:
    """The package does not import the simulator, and the simulator imports no extra and no test tool."""
    code = """
import sys
import okta_hooks
assert not [name for name in sys.modules if name.startswith(("okta_hooks.sim", "okta_hooks.test"))]
import okta_hooks.simulator, okta_hooks.testing
print([name for name in ("okta", "sqlalchemy", "pytest", "aiohttp", "requests") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
