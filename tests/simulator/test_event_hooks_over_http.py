"""What clients of the API for hooks see of it on the wire."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from okta_hooks.simulator import Org, Simulator

from .support import HEADERS, Receiver, body

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HOOKS = "/api/v1/eventHooks"


class Answered(NamedTuple):
    """An answer as it came."""

    status: int
    headers: dict[str, str]
    document: Any


@pytest.fixture
def ask() -> Iterator[Callable[..., Answered]]:
    """Return a function that sends a request to a simulator, without any client's library."""
    with Simulator(Org(seed=1, send=Receiver())) as simulator:

        def ask(
            method: str, path: str, document: object = None, headers: dict[str, str] = HEADERS
        ) -> Answered:
            connection = http.client.HTTPConnection("127.0.0.1", simulator.port, timeout=30)
            try:
                sent = None if document is None else json.dumps(document)
                connection.request(method, path, sent, headers)
                response = connection.getresponse()
                raw = response.read()
            finally:
                connection.close()
            lowered = {name.lower(): value for name, value in response.getheaders()}
            return Answered(response.status, lowered, json.loads(raw) if raw else None)

        yield ask


def test_what_was_read_can_be_written(ask: Callable[..., Answered]) -> None:
    """PUT of the whole answer of a GET, read-only fields included, changes nothing but the time."""
    made = ask("POST", HOOKS, body()).document
    path = f"{HOOKS}/{made['id']}"
    verified = ask("POST", f"{path}/lifecycle/verify").document
    assert ask("PUT", path, verified).document == verified
    foreign = {
        "id": "who0",
        "created": "2020-01-01T00:00:00.000Z",
        "createdBy": "00u0",
        "lastUpdated": "soon",
        "verificationStatus": "UNVERIFIED",
        "_links": {},
        "region": {"of": "tomorrow"},
    }
    answered = ask("PUT", path, {**verified, **foreign})
    assert (answered.status, answered.document["id"]) == (200, made["id"])
    read = ask("GET", path).document
    assert {**read, "lastUpdated": None} == {**verified, "lastUpdated": None}


def test_a_status_is_written(ask: Callable[..., Answered]) -> None:
    """PUT with a status makes a hook inactive, with the links of one."""
    made = ask("POST", HOOKS, body()).document
    path = f"{HOOKS}/{made['id']}"
    stopped = ask("PUT", path, {**made, "status": "INACTIVE"}).document
    assert stopped["status"] == ask("GET", path).document["status"] == "INACTIVE"
    assert "verify" not in stopped["_links"]
    assert stopped["_links"]["delete"]["href"].endswith(path)


def test_times_are_whole_seconds(ask: Callable[..., Answered]) -> None:
    """Okta's times of a hook have no fraction, but are written with one."""
    made = ask("POST", HOOKS, body()).document
    assert made["created"].endswith(".000Z")
    assert made["lastUpdated"].endswith(".000Z")


def test_every_answer_has_an_id_and_is_not_cached(ask: Callable[..., Answered]) -> None:
    """Successes and refusals have ``X-Okta-Request-Id``, another each time, and may not be kept."""
    answers = [
        ask("POST", HOOKS, body()),
        ask("GET", HOOKS),
        ask("GET", f"{HOOKS}/who1"),
        ask("GET", HOOKS, headers={}),
        ask("POST", HOOKS, {}),
    ]
    assert [answer.status for answer in answers] == [200, 200, 404, 401, 400]
    assert {answer.headers["cache-control"] for answer in answers} == {"no-cache, no-store"}
    assert len({answer.headers["x-okta-request-id"] for answer in answers}) == 5
    assert all(answer.headers["content-type"] == "application/json" for answer in answers)


def test_nothing_has_no_type(ask: Callable[..., Answered]) -> None:
    """The answer to DELETE is 204, without a body and without its type."""
    made = ask("POST", HOOKS, body(status="ACTIVE")).document
    path = f"{HOOKS}/{made['id']}"
    ask("POST", f"{path}/lifecycle/deactivate")
    gone = ask("DELETE", path)
    assert (gone.status, gone.document) == (204, None)
    assert "content-type" not in gone.headers
    assert gone.headers["x-okta-request-id"]
