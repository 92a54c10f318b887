from __future__ import annotations

import json
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any

import pytest

from okta_hooks.simulator import Org, Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator

EMIT = json.dumps({"type": "user.session.start"})
ELSEWHERE = [
    {"Host": "rebound.example.com"},
    {"Host": "rebound.example.com:{port}"},
    {"Host": "127.0.0.1.example.com"},
    {"Host": "[::ffff:192.0.2.1"},
    {"Host": ""},
    {"Origin": "https://evil.example.com"},
    {"Origin": "http://localhost.example.com"},
    {"Origin": "null"},
    {"Origin": ""},
]
HERE: list[dict[str, str]] = [
    {},
    {"Host": "localhost:{port}"},
    {"Host": "LOCALHOST"},
    {"Host": "127.0.0.2"},
    {"Host": "[::1]:{port}"},
    {"Origin": "http://127.0.0.1:{port}"},
    {"Origin": "http://localhost:3000"},
]


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    """Return an org that listens."""
    with Simulator(Org(seed=1)) as started:
        yield started


def call(simulator: Simulator, path: str, headers: dict[str, str]) -> tuple[int, Any]:
    """Post as a browser would, with headers of its own."""
    connection = HTTPConnection("127.0.0.1", simulator.port, timeout=10)
    sent = {name: value.replace("{port}", str(simulator.port)) for name, value in headers.items()}
    # A form of a page from elsewhere has this type, and needs nobody's leave.
    connection.request("POST", path, EMIT, {"Content-Type": "text/plain", **sent})
    answer = connection.getresponse()
    document = json.loads(answer.read())
    connection.close()
    return answer.status, document


@pytest.mark.parametrize("headers", ELSEWHERE, ids=str)
def test_a_web_page_from_elsewhere(simulator: Simulator, headers: dict[str, str]) -> None:
    """It can do nothing, neither by the org's address nor by a name of its own that leads there."""
    before = len(simulator.org.log().events)
    for path in ("/simulator/events", "/api/v1/eventHooks"):
        token = {"Authorization": f"SSWS {simulator.org.token}"}
        status, document = call(simulator, path, headers | token)
        assert status == 403
        assert document["errorSummary"] == "The simulator is for this machine alone"
        assert document["errorCauses"]

    assert len(simulator.org.log().events) == before


@pytest.mark.parametrize("headers", HERE, ids=str)
def test_this_machine(simulator: Simulator, headers: dict[str, str]) -> None:
    """What goes to a name of the loopback, and comes from no page or one of this machine, is done."""
    status, document = call(simulator, "/simulator/events", headers)

    assert status == 200
    assert len(document["uuids"]) == 1


def test_the_own_address_of_an_org() -> None:
    """An org that was told another address is called by that, too."""
    with Simulator(Org(seed=1)) as started:
        started.org.url = "https://acme.okta.example"
        own = {"Host": "acme.okta.example", "Origin": "https://acme.okta.example"}
        assert call(started, "/simulator/events", own)[0] == 200
        assert call(started, "/simulator/events", {"Host": "other.okta.example"})[0] == 403
