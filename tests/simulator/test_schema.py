"""The simulator's answers, held against a description of Okta's interface by Schemathesis."""

from __future__ import annotations

import json
import time
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from okta_hooks.simulator import Org, Simulator

from .support import ELIGIBLE, HEADERS, URL, Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask import Response

SCHEMA: Any = schemathesis.openapi.from_path(Path(__file__).with_name("okta.yaml"))
OPERATIONS = {each.ok().label: each.ok() for each in SCHEMA.get_all_operations()}
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
#: Each run makes the same requests, and keeps nothing of them.
BOUNDED = settings(
    max_examples=15,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    """Run an org whose log has an event of each type, and which answers as often as it is asked."""
    org = Org(seed=1, send=Receiver())
    for event_type in ELIGIBLE[::3]:
        org.emit(event_type, faults=["log_only"])
    often = {"/api/v1/logs": 10**6, "/api/v1/": 10**6, "/oauth2/v1/": 10**6}
    with Simulator(org, rate_limits=often) as simulator:
        yield simulator


def with_one_hook(org: Org, *, is_active: bool) -> str:
    """Leave the org with one hook, which is verified, and return its id."""
    for hook in org.hooks():
        org.deactivate_hook(hook["id"])
        org.delete_hook(hook["id"])
    (hook_id,) = org.register(URL, ["user.session.start"], secret="s3cret")
    if not is_active:
        org.deactivate_hook(hook_id)
    return hook_id


def ask(simulator: Simulator, label: str, mode: GenerationMode) -> dict[str, set[int]]:
    """Make requests, hold each answer against the description, and return the statuses by the kind of hook."""
    statuses: dict[str, set[int]] = {"active": set(), "inactive": set(), "unknown": set()}
    # In turn, and not drawn, so that there are requests with each.
    kinds = cycle(statuses)

    @BOUNDED
    @given(case=OPERATIONS[label].as_strategy(generation_mode=mode))
    def run(case: Any) -> None:
        hook = next(kinds)
        hook_id = with_one_hook(simulator.org, is_active=hook != "inactive")
        if case.path_parameters and hook != "unknown":
            case.path_parameters["hookId"] = hook_id
        response = case.call(base_url=simulator.url, headers=HEADERS)
        case.validate_response(response, checks=CHECKS)
        statuses[hook].add(response.status_code)

    run()
    return statuses


@pytest.mark.parametrize("label", OPERATIONS)
def test_answers_are_as_okta_describes_them(simulator: Simulator, label: str) -> None:
    """Status, headers, media type and body of what is answered to requests as Okta takes them."""
    statuses = set().union(*ask(simulator, label, GenerationMode.POSITIVE).values())
    # A request for a token needs a signature, which nobody makes up.
    assert statuses & ({400, 401} if label == "POST /oauth2/v1/token" else {200, 204})


@pytest.mark.parametrize(
    "label",
    [
        label
        for label, operation in OPERATIONS.items()
        if operation.body or list(operation.iter_parameters())
    ],
)
def test_refusals_are_as_okta_describes_them(simulator: Simulator, label: str) -> None:
    """So are the answers to requests that are wrong somewhere: an error object, and never a failure.

    A wrong body is refused for its own sake, also where the hook is there.
    """
    statuses = ask(simulator, label, GenerationMode.NEGATIVE)
    if OPERATIONS[label].body:
        assert 400 in statuses["active"] | statuses["inactive"]
    else:
        assert set().union(*statuses.values()) & {400, 401, 404}


def test_a_token_is_as_okta_describes_it(simulator: Simulator) -> None:
    """A service app's own request is answered as described, too."""
    jwt = pytest.importorskip("jwt", reason="the extra okta is not installed")
    key = pytest.importorskip("Cryptodome.PublicKey.RSA").generate(2048)
    public_key = key.public_key().export_key().decode()
    simulator.org.access.add_service_app("0oa1", public_key, ["okta.logs.read"])
    url = f"{simulator.url}/oauth2/v1/token"
    claims = {"iss": "0oa1", "sub": "0oa1", "aud": url, "exp": time.time() + 60}
    case = OPERATIONS["POST /oauth2/v1/token"].Case(
        body={
            "grant_type": "client_credentials",
            "scope": "okta.logs.read",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": jwt.encode(claims, key.export_key().decode(), "RS256"),
        },
        media_type="application/x-www-form-urlencoded",
    )
    response = case.call(base_url=simulator.url)
    assert response.status_code == 200
    case.validate_response(response, checks=CHECKS)


def test_what_is_not_described_is_found() -> None:
    """An answer with a field that Okta does not have fails: the description is not too wide."""
    with Simulator(Org(seed=1, send=Receiver())) as simulator:
        with_one_hook(simulator.org, is_active=True)

        @simulator.app.after_request
        def add_field(response: Response) -> Response:
            (hook,) = response.get_json()
            response.set_data(json.dumps([{**hook, "madeUp": True}]))
            return response

        case = OPERATIONS["GET /api/v1/eventHooks"].Case()
        answer = case.call(base_url=simulator.url, headers=HEADERS)
        with pytest.raises(FailureGroup) as caught:
            case.validate_response(answer, checks=CHECKS)
    assert "madeUp" in str(caught.value.exceptions[0])
