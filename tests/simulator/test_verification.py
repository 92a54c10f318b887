from __future__ import annotations

from typing import Any

import pytest

from okta_hooks.simulator import (
    Answer,
    Org,
    Request,
    RequestRefused,
)
from okta_hooks.simulator.api import create_app

from .support import HEADERS, URL, Receiver, body, types_in_log


def test_verification_is_a_get_with_challenge_secret_and_headers(
    org: Org, receiver: Receiver
) -> None:
    """Okta asks with the headers that the admin chose, and once, if it is answered; the log tells of it."""
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
    assert verified[0]["outcome"]["result"] == "SUCCESS"


@pytest.mark.parametrize(
    ("answer", "cause", "attempts"),
    [
        (Answer(status=200, body=b'{"verification": "no"}'), "challenge at verification", 1),
        (Answer(status=200, body=b'["verification"]'), "challenge at verification", 1),
        (Answer(status=200, body=b"<html>"), "not JSON", 1),
        (Answer(status=204), "answered 204", 1),
        (Answer(status=302), "answered 302", 1),
        (Answer(status=401), "answered 401", 2),
        (Answer(status=503), "answered 503", 2),
        (TimeoutError(), "timed out", 2),
        (ConnectionRefusedError("refused"), "refused", 2),
    ],
)
def test_an_endpoint_that_cannot_answer_stays_unverified(
    answer: Answer | OSError, cause: str, attempts: int
) -> None:
    """A wrong answer or none is an error 400 that says what was wrong; after an error, Okta has asked twice."""
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
    assert requests == [requests[0]] * attempts
    assert org.hook(hook_id)["verificationStatus"] == "UNVERIFIED"
    (logged,) = org.log(filter='eventType eq "event_hook.verified"').events
    assert logged["outcome"]["result"] == "FAILURE"
    assert cause in logged["outcome"]["reason"]
    assert logged["target"][0]["id"] == hook_id


@pytest.mark.parametrize("first", [Answer(status=503), TimeoutError()])
def test_an_endpoint_may_answer_the_second_time(first: Answer | OSError) -> None:
    """A time-out or an error is not the end: the hook is verified if the retry is answered, with one log entry."""
    receiver = Receiver()
    requests = []

    def send(request: Request) -> Answer:
        requests.append(request)
        if len(requests) == 1:
            if isinstance(first, OSError):
                raise first
            return first
        return receiver(request)

    org = Org(send=send)
    assert org.verify_hook(org.create_hook(body())["id"])["verificationStatus"] == "VERIFIED"
    assert types_in_log(org) == ["event_hook.created", "event_hook.verified"]


def test_a_failed_verification_takes_nothing_from_a_verified_hook(
    org: Org, receiver: Receiver
) -> None:
    """A hook that is verified stays so when somebody asks again and the endpoint does not answer."""

    def refuse(request: Request) -> Answer:
        return Answer(status=401)

    (hook_id,) = org.register(URL, ["user.session.start"])
    org.send = refuse
    with pytest.raises(RequestRefused):
        org.verify_hook(hook_id)
    assert org.hook(hook_id)["verificationStatus"] == "VERIFIED"


@pytest.mark.parametrize(
    "changes",
    [
        {"channel__config__uri": f"{URL}/v2"},
        {"channel__config__authScheme__value": "another"},
        {"channel__config__headers": []},
    ],
)
def test_a_hook_whose_channel_changes_while_it_is_verified_stays_unverified(
    changes: dict[str, Any],
) -> None:
    """What an endpoint proves does not count for what took its place meanwhile."""
    org: Org
    receiver = Receiver()

    def send(request: Request) -> Answer:
        org.replace_hook(hook_id, body(**changes))
        return receiver(request)

    org = Org(send=send)
    hook_id = org.create_hook(body())["id"]
    assert org.verify_hook(hook_id)["verificationStatus"] == "UNVERIFIED"


def test_an_answer_that_is_too_deep_to_read() -> None:
    """It is no JSON that anybody could read, and the verification fails as with any other."""
    org = Org(send=lambda _: Answer(status=200, body=b"[" * 200_000))
    hook_id = org.create_hook(body())["id"]

    with pytest.raises(RequestRefused):
        org.verify_hook(hook_id)

    assert "event_hook.verified" in types_in_log(org)
