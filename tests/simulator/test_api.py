from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from okta_hooks.simulator import Org, Simulator
from okta_hooks.simulator.api import create_app

from .support import HEADERS, URL, Clock, answer_of, body, call

if TYPE_CHECKING:
    from datetime import datetime

    from flask.testing import FlaskClient


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


def test_a_slash_at_the_end_of_a_path_is_served(org: Org) -> None:
    """So the SDK of the 2.9 line asks for every list with parameters; nothing is redirected."""
    org.register(URL, ["user.session.start"])
    with Simulator(org) as simulator:
        for path in ("eventHooks", "logs/?since=2026-01-01T00%3A00%3A00Z", "org"):
            plain, slashed = path.replace("/?", "?"), path if "?" in path else f"{path}/"
            found = answer_of(simulator, "GET", f"/api/v1/{slashed}")
            assert found.status == 200
            assert json.loads(found.body) == call(f"{simulator.url}/api/v1/{plain}")
        hook = f"/api/v1/eventHooks/{org.hooks()[0]['id']}/"
        assert answer_of(simulator, "POST", f"{hook}lifecycle/deactivate/").status == 200
        assert answer_of(simulator, "DELETE", hook).status == 204
    assert org.hooks() == []


def test_every_answer_has_the_headers_that_okta_sends(org: Org) -> None:
    """An id to ask the support about, another for each answer, and no caching; 204 has no media type."""
    (hook_id,) = org.register(URL, ["user.session.start"])
    org.deactivate_hook(hook_id)
    with Simulator(org) as simulator:
        answers = [
            answer_of(simulator, method, f"/api/v1/{path}")
            for method, path in (
                ("GET", "eventHooks"),
                ("GET", "logs"),
                ("GET", "nothing"),
                ("PATCH", "eventHooks"),
                ("DELETE", f"eventHooks/{hook_id}"),
            )
        ]
    assert [answer.status for answer in answers] == [200, 200, 404, 405, 204]
    assert {answer.headers["Cache-Control"] for answer in answers} == {"no-cache, no-store"}
    assert len({answer.headers["X-Okta-Request-Id"] for answer in answers}) == 5
    assert [answer.headers["Content-Type"] for answer in answers] == ["application/json"] * 4 + [
        None
    ]


def test_an_org_tells_of_itself(org: Org) -> None:
    """Its settings have the names of Okta's; what anybody may know needs no token."""
    org.url = "https://acme.okta.com"
    client = create_app(org).test_client()
    settings = client.get("/api/v1/org", headers=HEADERS).get_json()
    assert (settings["id"], settings["subdomain"]) == (org.id, "acme")
    assert (settings["status"], settings["website"]) == ("ACTIVE", None)
    assert settings["_links"]["contacts"]["href"] == "https://acme.okta.com/api/v1/org/contacts"
    assert client.get("/api/v1/org").status_code == 401
    assert client.get("/.well-known/okta-organization").get_json()["id"] == org.id


def test_an_org_names_its_custom_domain(org: Org) -> None:
    """If it has one, what anybody may know has a link to it, as Okta's has."""
    org.url = "https://acme.okta.com"
    client = create_app(org).test_client()
    links = {"organization": {"href": "https://acme.okta.com"}}
    assert client.get("/.well-known/okta-organization").get_json()["_links"] == links
    org.custom_url = "https://login.acme.com"
    links["alternate"] = {"href": "https://login.acme.com"}
    assert client.get("/.well-known/okta-organization").get_json()["_links"] == links
