"""Okta's Python SDK of the 2.9 line: what it sent is sent again.

It cannot be installed beside the current one. ``okta_sdk_2.9.json`` has the requests of its calls, as they came to a
server, with the org's URL, the hook's id and the log's cursor replaced by names in braces.
"""

from __future__ import annotations

import json
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from okta_hooks.simulator import Org, Simulator

from .support import RawAnswer, answer_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .support import Clock, Receiver

RECORDED = json.loads(Path(__file__).with_name("okta_sdk_2.9.json").read_text(encoding="utf-8"))
CALLS = {call["call"]: call for call in RECORDED["requests"]}
#: What its model of a hook reads.
FIELDS = {
    "_links",
    "channel",
    "created",
    "createdBy",
    "events",
    "id",
    "lastUpdated",
    "name",
    "status",
    "verificationStatus",
}


@pytest.fixture
def replay(org: Org) -> Iterator[Callable[..., RawAnswer]]:
    """Return a function that sends what a call of the SDK has sent, with names in braces filled in."""
    with Simulator(org) as simulator:

        def send(name: str, **values: str) -> RawAnswer:
            call = CALLS[name]
            path, body = call["path"], call["body"]
            for key, value in {"org": simulator.url, **values}.items():
                path = path.replace(f"{{{key}}}", value)
                body = body.replace(f"{{{key}}}", value)
            headers = RECORDED["headers"]
            answer = answer_of(simulator, call["method"], path, body.encode(), headers)
            assert answer.status == call["status"], answer.body
            return answer

        yield send


def document(answer: RawAnswer) -> Any:
    """Return what the SDK takes for JSON, by the media type."""
    assert answer.headers["Content-Type"] == "application/json"
    return json.loads(answer.body)


def test_it_manages_hooks(replay: Callable[..., RawAnswer], org: Org, receiver: Receiver) -> None:
    """A hook that it has read can be sent back as it is, and goes on getting events with its secret."""
    made = document(replay("create"))
    assert made.keys() >= FIELDS
    hook = made["id"]
    assert document(replay("list")) == [made]
    assert document(replay("get", hook=hook)) == made
    assert document(replay("verify", hook=hook))["verificationStatus"] == "VERIFIED"
    assert document(replay("get verified", hook=hook))["status"] == "ACTIVE"
    replaced = document(replay("replace as read", hook=hook))
    assert replaced.keys() >= FIELDS
    assert (replaced["name"], replaced["verificationStatus"]) == ("Renamed", "VERIFIED")
    org.emit("user.lifecycle.deactivate")
    org.settle()
    assert receiver.requests[-1].method == "POST"
    assert receiver.requests[-1].headers["Authorization"] == "s3cret"
    assert document(replay("deactivate", hook=hook))["status"] == "INACTIVE"
    assert document(replay("activate", hook=hook))["status"] == "ACTIVE"
    replay("deactivate again", hook=hook)
    assert replay("delete", hook=hook).body == b""
    assert document(replay("list")) == []


def test_it_reads_the_log(replay: Callable[..., RawAnswer]) -> None:
    """With parameters it writes a slash before them, and goes on at the next link."""
    hook = document(replay("create"))["id"]
    replay("verify", hook=hook)
    replay("deactivate", hook=hook)
    everything = document(replay("log"))
    found = replay("log with parameters")
    assert document(found) == everything[:2]
    assert [event["eventType"] for event in document(found)] == [
        "event_hook.created",
        "event_hook.verified",
    ]
    (link,) = (each for each in found.headers.get_all("Link", []) if each.endswith('rel="next"'))
    following = urlsplit(link.partition(";")[0].strip("<>"))
    (after,) = parse_qs(following.query)["after"]
    assert following.path == urlsplit(CALLS["next page of the log"]["path"]).path
    assert document(replay("next page of the log", after=after)) == everything[2:3]


def test_it_reads_the_settings_of_the_org(replay: Callable[..., RawAnswer], org: Org) -> None:
    """So a script finds out which org it talks to."""
    assert document(replay("org settings"))["id"] == org.id


def test_it_waits_out_the_rate_limit(org: Org, clock: Clock) -> None:
    """It computes how long from two headers, and fails without them."""
    org.api_faults.add(status=429)
    with Simulator(org) as simulator:
        limited = answer_of(simulator, "GET", "/api/v1/eventHooks", None, RECORDED["headers"])
    assert limited.status == 429
    now = parsedate_to_datetime(limited.headers["Date"]).timestamp()
    assert int(limited.headers["X-Rate-Limit-Reset"]) - now == 60
