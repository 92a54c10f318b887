"""What the org sends to hooks: one request to verify one, and at most two to make a delivery.

https://developer.okta.com/docs/concepts/event-hooks/
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from okta_hooks.calling import Answer, Request, Send
from okta_hooks.testing import make_delivery
from okta_hooks.wire.protocol import CHALLENGE_HEADER

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from .deliveries import PlannedDelivery
    from .event_hooks import SimulatedHook

_ATTEMPTS: Final = 2
_SERVER_ERRORS: Final = range(500, 600)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One request: when, how long it took in seconds, and the status or the error."""

    at: datetime
    seconds: float
    status: int | None = None
    error: str | None = None
    timed_out: bool = False


def attempt(
    send: Send, request: Request, clock: Callable[[], datetime], attempts: list[Attempt]
) -> Answer | None:
    """Send a request once; without an answer, the attempt says why there is none.

    What no sender should raise comes out; an app that is ``testing`` does.

    :param attempts: Gets the attempt, whatever comes of it.
    """
    at, began = clock(), time.monotonic()
    answer, error, timed_out = None, None, False
    try:
        answer = send(request)
    except TimeoutError:
        error, timed_out = "timed out", True
    except OSError as broken:
        error = str(broken) or type(broken).__name__
    except BaseException as unexpected:
        error = f"{type(unexpected).__name__}: {unexpected}"
        raise
    finally:
        attempts.append(
            Attempt(
                at=at,
                seconds=time.monotonic() - began,
                status=None if answer is None else answer.status,
                error=error,
                timed_out=timed_out,
            )
        )
    return answer


def deliver(
    send: Send, request: Request, clock: Callable[[], datetime], attempts: list[Attempt]
) -> None:
    """Send a request; once more if it timed out, or the answer was a server error.

    A refused or broken connection is not tried again: Okta's pages disagree on it,
    and a receiver that counts on no retry is right in either case.

    :param attempts: Gets every attempt.
    """
    for _ in range(_ATTEMPTS):
        attempt(send, request, clock, attempts)
        if not attempts[-1].timed_out and attempts[-1].status not in _SERVER_ERRORS:
            break


def refuse_with_503(_: Request) -> Answer:
    """Answer as what stands in front of a hook does while the hook is down."""
    return Answer(status=HTTPStatus.SERVICE_UNAVAILABLE)


def without_first_answer(send: Send) -> Send:
    """Return what sends as ``send`` does, and then raises :exc:`TimeoutError` the first time."""
    is_first = True

    def send_late(request: Request) -> Answer:
        nonlocal is_first
        answer = send(request)
        if is_first:
            is_first = False
            raise TimeoutError
        return answer

    return send_late


def verification(hook: SimulatedHook, challenge: str, request_id: str) -> Request:
    """Return the request by which the org asks a hook's endpoint to prove that it expects it."""
    headers = {
        "User-Agent": "Okta-Integrations",
        "Accept": "application/json",
        "X-Okta-Request-Id": request_id,
        CHALLENGE_HEADER: challenge,
    }
    return Request(method="GET", url=hook.settings.uri, headers=hook.added_to(headers))


def verify(
    send: Send, request: Request, challenge: str, clock: Callable[[], datetime]
) -> str | None:
    """Send a verification; once more if there was no answer or an error. Return what is wrong with the last answer.

    https://developer.okta.com/docs/api/openapi/okta-management/management/tag/EventHook/#tag/EventHook/operation/verifyEventHook
    """
    attempts: list[Attempt] = []
    wrong = None
    for _ in range(_ATTEMPTS):
        answer = attempt(send, request, clock, attempts)
        wrong = complaint(attempts[-1], answer, challenge)
        if answer is not None and answer.status < HTTPStatus.BAD_REQUEST:
            break
    return wrong


def complaint(attempt: Attempt, answer: Answer | None, challenge: str) -> str | None:
    """Return what is wrong with the answer to a verification, or None."""
    if answer is None:
        return f"There was no answer: {attempt.error}"
    if answer.status != HTTPStatus.OK:
        return f"The endpoint answered {answer.status}, not 200"
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        return "The answer is not JSON"
    if not isinstance(document, dict) or document.get("verification") != challenge:
        return "The answer does not have the challenge at verification"
    return None


def delivery(
    hook: SimulatedHook,
    delivery: PlannedDelivery,
    org_url: str,
    sent_at: datetime,
    *,
    request_id: str,
) -> Request:
    """Return the request that delivers events to a hook."""
    envelope = make_delivery(
        delivery.events,
        source=f"{org_url}/api/v1/eventHooks/{hook.id}",
        event_id=delivery.event_id,
        event_time=sent_at,
    )
    headers = {
        "User-Agent": f"Okta Hook Service v1.0.0 - {hook.id}",
        "Accept": "application/json",
        "Content-Type": "application/json",
        "X-Okta-Request-Id": request_id,
    }
    body = json.dumps(envelope, separators=(",", ":")).encode()
    return Request(method="POST", url=hook.settings.uri, headers=hook.added_to(headers), body=body)
