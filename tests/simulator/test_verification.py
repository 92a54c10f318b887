from __future__ import annotations

import pytest

from okta_hooks.simulator import (
    Answer,
    Org,
    Request,
)
from okta_hooks.simulator.api import create_app

from .support import HEADERS, URL, Receiver, body, types_in_log


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
