from __future__ import annotations

import json
import re
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from okta_hooks.simulator import Org, Simulator
from okta_hooks.simulator.api import create_app

from .support import HEADERS, RawAnswer, answer_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask.testing import FlaskClient

    from .support import Clock


@pytest.fixture
def simulator(org: Org) -> Iterator[Simulator]:
    """Run the org."""
    with Simulator(org) as simulator:
        yield simulator


def add_fault(simulator: Simulator, **fault: Any) -> RawAnswer:
    return answer_of(simulator, "POST", "/simulator/faults", json.dumps(fault).encode())


def statuses(simulator: Simulator, *paths: str) -> list[int]:
    return [answer_of(simulator, "GET", f"/api/v1/{path}").status for path in paths]


def test_the_next_requests_fail_and_then_no_more(simulator: Simulator) -> None:
    """As many as asked for, of the paths asked for, and in the order of asking."""
    assert add_fault(simulator, status=503, count=2, path="/api/v1/logs").status == 204
    simulator.org.api_faults.add(status=500)
    assert statuses(simulator, "logs", "org", "logs/?limit=1", "logs", "org") == [
        503,
        500,
        503,
        200,
        200,
    ]


def test_what_failed_was_not_done(simulator: Simulator, org: Org) -> None:
    """A refusal is Okta's error object, and nothing has happened."""
    add_fault(simulator, status=502)
    failed = answer_of(simulator, "POST", "/api/v1/eventHooks", b"{}")
    assert (failed.status, json.loads(failed.body)["errorCode"]) == (502, "E0000009")
    assert org.hooks() == []


def test_a_rate_limit_on_demand_has_its_headers(org: Org, clock: Clock) -> None:
    """They say that nothing is left, and when the next minute begins; the real count goes on."""
    clock.go_on(seconds=40)
    client = create_app(org).test_client()
    org.api_faults.add(status=429, path="/api/v1/logs")
    limited = client.get("/api/v1/logs", headers=HEADERS)
    assert (limited.status_code, limited.get_json()["errorCode"]) == (429, "E0000047")
    assert limited.headers["X-Rate-Limit-Limit"] == "120"
    assert limited.headers["X-Rate-Limit-Remaining"] == "0"
    assert int(limited.headers["X-Rate-Limit-Reset"]) == clock.now.timestamp() + 20
    after = client.get("/api/v1/logs", headers=HEADERS)
    assert (after.status_code, after.headers["X-Rate-Limit-Remaining"]) == (200, "119")


def test_a_token_expires_on_demand(simulator: Simulator) -> None:
    """The right token is refused as a wrong one is."""
    add_fault(simulator, status=401)
    refused = answer_of(simulator, "GET", "/api/v1/org")
    assert (refused.status, json.loads(refused.body)["errorCode"]) == (401, "E0000011")
    assert statuses(simulator, "org") == [200]


def test_a_late_answer_is_of_what_was_done_at_once(simulator: Simulator, org: Org) -> None:
    """Whoever gives up waiting has changed the org all the same; other requests are not held up."""
    (hook_id,) = org.register("https://app.example.com/okta/events", ["user.session.start"])
    add_fault(simulator, seconds=0.3)
    began = time.monotonic()
    stopped = answer_of(simulator, "POST", f"/api/v1/eventHooks/{hook_id}/lifecycle/deactivate")
    assert time.monotonic() - began >= 0.3
    assert (stopped.status, org.hook(hook_id)["status"]) == (200, "INACTIVE")
    add_fault(simulator, seconds=0.3, status=504)
    assert statuses(simulator, "org") == [504]
    assert time.monotonic() - began >= 0.6


def test_faults_can_be_called_off(simulator: Simulator) -> None:
    """The paths of the simulator's own meet none of them."""
    add_fault(simulator, status=500, count=1000, path="/")
    assert statuses(simulator, "org") == [500]
    assert answer_of(simulator, "DELETE", "/simulator/faults").status == 204
    assert statuses(simulator, "org") == [200]


@pytest.mark.parametrize("how", ["clear", "DELETE", "stop"])
def test_an_answer_that_is_late_is_given_when_faults_are_called_off(
    simulator: Simulator, org: Org, how: str
) -> None:
    """Nobody waits ten minutes for it, and no thread is left behind by a simulator that has been stopped."""
    (hook_id,) = org.register("https://app.example.com/okta/events", ["user.session.start"])
    org.api_faults.add(seconds=600, path="/api/v1/eventHooks")
    path = f"/api/v1/eventHooks/{hook_id}/lifecycle/deactivate"
    answers: list[RawAnswer] = []
    thread = threading.Thread(
        target=lambda: answers.append(answer_of(simulator, "POST", path)), daemon=True
    )
    thread.start()
    deadline = time.monotonic() + 5
    while org.hook(hook_id)["status"] == "ACTIVE" and time.monotonic() < deadline:
        time.sleep(0.01)
    assert answers == []
    if how == "clear":
        org.api_faults.clear()
    elif how == "stop":
        simulator.stop()
    else:
        assert answer_of(simulator, "DELETE", "/simulator/faults").status == 204
    thread.join(5)
    assert [answer.status for answer in answers] == [200]


def test_the_orgs_metadata_fail_on_demand(simulator: Simulator) -> None:
    """What needs no token fails as the rest does, at its own path only, and with the headers of a rate limit."""
    path = "/.well-known/okta-organization"
    assert add_fault(simulator, status=503, path="/.well-known/").status == 204
    add_fault(simulator, status=429, path=path)
    assert statuses(simulator, "org") == [200]
    assert answer_of(simulator, "GET", path).status == 503
    limited = answer_of(simulator, "GET", path)
    assert (limited.status, limited.headers["X-Rate-Limit-Remaining"]) == (429, "0")
    found = answer_of(simulator, "GET", path, headers={"Accept": "*/*"})
    assert (found.status, json.loads(found.body)["id"]) == (200, simulator.org.id)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({}, "a status, or seconds"),
        ({"status": 404}, "not 404"),
        ({"status": True}, "not True"),
        ({"status": "503"}, "not '503'"),
        ({"status": 503, "count": 0}, "at least 1, not 0"),
        ({"status": 503, "path": "logs"}, "begins with a slash"),
        ({"status": 503, "path": None}, "begins with a slash"),
        ({"seconds": -1}, "from 0 to 600, not -1"),
        ({"seconds": "long"}, "not 'long'"),
        ({"status": 503, "often": True}, "'often'"),
    ],
)
def test_what_is_no_fault_is_refused(client: FlaskClient, wrong: dict[str, Any], said: str) -> None:
    """A misspelt fault would make a test that tests nothing."""
    refused = client.post("/simulator/faults", json=wrong)
    assert (refused.status_code, refused.get_json()["errorCode"]) == (400, "E0000001")
    assert re.search(re.escape(said), refused.get_json()["errorCauses"][0]["errorSummary"])
    assert client.get("/api/v1/org", headers=HEADERS).status_code == 200
