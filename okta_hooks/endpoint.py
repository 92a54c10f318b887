"""What the two views of a hook do: answer Okta's verification, and store a delivery before it is answered.

It is imported at the first request of a process, so that the app starts quickly.
Every refusal is returned: an exception would go to the host's error handlers, which may turn it
into a redirect to a login page, or into an OK. What is raised all the same, the blueprint answers.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from flask import Response, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from . import request_body, signals, tracing
from .exceptions import InboxUnavailable, UnreadableDelivery
from .logs import plain_logger
from .problem import problem
from .state import app_object, presented, state_of
from .state.app import BEGAN
from .wire import protocol, reading
from .wire.events import Delivery
from .work import dispatch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flask import Flask

    from .inbox.intake import NewDelivery
    from .receivers import Hook
    from .secret import Secret
    from .state import AppState
    from .wire.events import Envelope

logger = plain_logger(__name__)

#: Okta waits 3 s. This is from the beginning of the request until its delivery must be stored.
_SECONDS_TO_STORE: Final = 2.0
#: What can be told apart and stored in that time on a busy machine. Okta delivers a few at once.
_MOST_EVENTS: Final = 10_000
#: How many of `{`, `[` and `,` a body may hold: reading it makes no more objects than that, and many small objects
#: take the most time and memory. In Okta's events about every 22nd byte is one of these.
_MOST_VALUES: Final = 500_000


@dataclass(frozen=True, slots=True)
class _Call:
    """One request to a hook, of which what was presented has been judged, and dropped.

    ``secret`` is the position in the list of the secret that was presented, or None if it is none of them;
    ``hint`` is what may be wrong with it then, or None if nothing was presented.
    ``began`` is the monotonic time at which the request came in.
    """

    app: Flask
    state: AppState
    hook: Hook
    secret: int | None
    hint: str | None
    began: float

    @property
    def is_open(self) -> bool:
        """Whether the hook takes requests without a secret."""
        return not self.state.secrets[self.hook.name]

    @property
    def deadline(self) -> float:
        """The monotonic time until which what it brings must be stored."""
        return self.began + _SECONDS_TO_STORE


def prepare() -> None:
    """Make what is made once, at the first body that is read."""
    reading.load_delivery(b'{"data": {"events": []}}', keys_only=True)


def verify(hook: Hook) -> Response:
    """Answer the one GET by which Okta checks who owns the endpoint."""
    challenge = request.headers.get(protocol.CHALLENGE_HEADER, "")
    if not 0 < len(challenge) <= protocol.LONGEST_CHALLENGE:
        return problem(
            HTTPStatus.BAD_REQUEST,
            "This is the endpoint of an Okta event hook: it answers to POST, and to a GET with "
            f"{protocol.CHALLENGE_HEADER} of at most {protocol.LONGEST_CHALLENGE} characters.",
        )
    call = _call(hook)
    if call.hint is not None and not call.is_open:
        return _refuse_secret(call)
    reason = _why_closed(call)
    if reason is not None:
        call.state.refusals.not_verified.failed(InboxUnavailable(reason), hook=hook.name)
        return problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "The inbox cannot be opened and written, so that nothing that is delivered could be stored.",
        )
    call.state.refusals.not_verified.worked()
    logger.info("The verification of the hook %(hook)r was answered.", {"hook": hook.name})
    signals.notify(signals.hook_verified, call.app, hook=hook)
    return Response(
        protocol.answer_challenge(challenge),
        mimetype="application/json",
        headers={"Cache-Control": "no-store"},
    )


def receive(hook: Hook) -> Response | BaseExceptionGroup:
    """Take a delivery: it is stored, or with no inbox handled, before it is answered.

    :return: the answer; or with no inbox, in an app that is being tested, what its receivers raised.
    """
    span = tracing.begin(lambda tracer: tracer.receive(hook.name))
    if span is None:
        return _receive(hook, None)
    status = HTTPStatus.INTERNAL_SERVER_ERROR.value
    try:
        answer = _receive(hook, span.traceparent)
        if isinstance(answer, Response):
            status = answer.status_code
        return answer
    finally:
        tracing.end(span, outcome=str(status))


def _receive(hook: Hook, traceparent: str | None) -> Response | BaseExceptionGroup:
    call = _call(hook)
    secret = call.secret
    if secret is None and not call.is_open:
        request_body.drain()
        return _notify_refused(call, _refuse_secret(call), "wrong secret")
    envelope = _read(call)
    if isinstance(envelope, Response):
        return envelope
    delivery = Delivery(
        event_id=envelope.event_id,
        source=envelope.source,
        via="hook",
        received_at=datetime.now(UTC),
        traceparent=traceparent,
    )
    if call.state.settings.inbox is None:
        return _run_in_request(call, envelope, delivery)
    new = _incoming(call, envelope, delivery, secret)
    # Free the parsed body before blocking: with many waiting requests it evicts the CPU caches.
    del envelope
    try:
        answer = _store(call, new)
    except InboxUnavailable as error:
        # The one answer that makes Okta send the delivery again.
        call.state.refusals.not_stored.failed(error, hook=hook.name)
        refusal = problem(HTTPStatus.SERVICE_UNAVAILABLE, "The inbox did not take it in time.")
        return _notify_refused(call, refusal, error.reason)
    call.state.refusals.not_stored.worked()
    return answer


def _why_closed(call: _Call) -> str | None:
    """Return why the inbox cannot be written, or None if it can, there is none, or the app is being tested."""
    if call.state.settings.inbox is None or call.app.testing:
        return None
    try:
        trial = call.state.runtime().trial
    except InboxUnavailable as error:
        return error.reason
    return trial.why_closed(call.deadline - time.monotonic())


def _call(hook: Hook) -> _Call:
    app = app_object()
    state = state_of(app)
    secret, hint = _judge(
        presented.take(request.environ, state.settings.auth_header), state.secrets[hook.name]
    )
    return _Call(
        app=app,
        state=state,
        hook=hook,
        secret=secret,
        hint=hint,
        began=request.environ.get(BEGAN, time.monotonic()),
    )


def _read(call: _Call) -> Envelope | Response:
    """Return what the body holds, or a refusal of it."""
    settings = call.state.settings
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    try:
        body = request_body.read(settings.max_body, call.deadline)
        if _has_too_many_values(body):
            reason = f"The body holds more than {_MOST_VALUES:,} JSON values: Okta delivers far fewer at once."
        else:
            envelope = reading.load_delivery(body, keys_only=settings.inbox is not None)
            if len(envelope.events) <= _MOST_EVENTS:
                return envelope
            reason = f"The delivery holds more than {_MOST_EVENTS:,} events: Okta delivers far fewer at once."
    except RequestEntityTooLarge:
        reason = f"The body is larger than OKTA_HOOKS_MAX_BODY, {settings.max_body} bytes."
    except request_body.TooSlow:
        status = HTTPStatus.SERVICE_UNAVAILABLE
        reason = f"The body did not come within {_SECONDS_TO_STORE:g} s."
    except request_body.Lost as lost:
        # Okta has sent something, so this is no mistake of its: what is sent again may come to another server.
        status, reason = HTTPStatus.SERVICE_UNAVAILABLE, lost.reason
    except UnreadableDelivery as error:
        status, reason = HTTPStatus.BAD_REQUEST, error.reason
    except (HTTPException, OSError):
        status, reason = HTTPStatus.BAD_REQUEST, "The body broke off."
    return _refuse(call, status, reason)


def _has_too_many_values(body: bytes) -> bool:
    # A body that is no longer than that cannot have more.
    return len(body) > _MOST_VALUES and sum(map(body.count, (b"{", b"[", b","))) > _MOST_VALUES


def _incoming(
    call: _Call, envelope: Envelope, delivery: Delivery, secret: int | None
) -> NewDelivery:
    from .inbox.intake import incoming  # SQLAlchemy, which an app without an inbox does not need

    return incoming(
        call.hook.name,
        envelope,
        delivery,
        secret=secret,
        secret_list=call.state.secret_lists[call.hook.name],
    )


def _store(call: _Call, new: NewDelivery) -> Response:
    left = call.deadline - time.monotonic()
    if left <= 0:
        raise InboxUnavailable(f"reading it took longer than {_SECONDS_TO_STORE:g} s")
    stored = call.state.runtime().writer.store(new, left)
    if not call.app.testing:
        call.state.tell_of_no_receiver(call.hook)
    logger.info(
        "A delivery to the hook %(hook)r: %(new)d new, %(duplicate)d duplicate.",
        {
            "hook": call.hook.name,
            "delivery": new.delivery.event_id,
            "new": stored.new,
            "duplicate": stored.duplicate,
        },
    )
    dispatch.notify_stored(
        call.app,
        hook=call.hook,
        delivery=new.delivery,
        new=stored.new,
        duplicate=stored.duplicate,
        dead=stored.dead,
    )
    return Response(status=HTTPStatus.NO_CONTENT)


def _run_in_request(
    call: _Call, envelope: Envelope, delivery: Delivery
) -> Response | BaseExceptionGroup:
    if not call.app.testing:
        call.state.tell_of_no_receiver(call.hook)
    failures = dispatch.run_delivery(call.app, call.hook, delivery, envelope.events)
    if not failures:
        return Response(status=HTTPStatus.NO_CONTENT)
    group = BaseExceptionGroup("Receivers failed", failures)
    logger.error(
        "Receivers failed, %(count)d times in one delivery.",
        {"hook": call.hook.name, "delivery": delivery.event_id, "count": len(failures)},
        exc_info=group,
    )
    if call.app.testing:
        return group
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "A receiver failed: see the app's log.")


def _refuse_secret(call: _Call) -> Response:
    config = call.state.settings
    hint = call.hint or protocol.NO_HEADER
    count = call.state.refusals.add(time.monotonic(), call.hook.name, hint)
    if count:
        logger.warning(
            "Requests to the hook %(hook)r had no right secret in %(header)s, %(count)d of them; "
            "the last: %(hint)s",
            {
                "hook": call.hook.name,
                "header": config.auth_header,
                "count": count,
                "hint": hint,
            },
        )
    return problem(
        HTTPStatus.UNAUTHORIZED,
        f"The header {config.auth_header} must hold the secret that is configured here, "
        "and nothing else. The app's log has a hint.",
    )


def _refuse(call: _Call, status: HTTPStatus, reason: str) -> Response:
    logger.warning(
        "A delivery to the hook %(hook)r was refused: %(reason)s",
        {"hook": call.hook.name, "status": status.value, "reason": reason},
    )
    return _notify_refused(call, problem(status, reason), reason)


def _notify_refused(call: _Call, refusal: Response, reason: str) -> Response:
    call.state.count_refused(call.hook.name, refusal.status_code)
    signals.notify(
        signals.delivery_refused,
        call.app,
        hook=call.hook,
        status=refusal.status_code,
        reason=reason,
    )
    return refusal


def _judge(value: bytes | None, secrets: Sequence[Secret]) -> tuple[int | None, str | None]:
    """Return the position of the secret that was presented, or what may be wrong with it."""
    if value is None or not secrets:
        return None, None
    secret = protocol.authenticate(value, secrets)
    return secret, None if secret is not None else protocol.hint(value, secrets)
