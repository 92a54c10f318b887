"""What the two views of a hook do: answer Okta's verification, and store a delivery before it is answered.

It is imported at the first request of a process: that the app starts quickly is worth more.
Every refusal is returned: an exception would go to the host's error handlers, which may turn it
into a redirect to a login page, or into an OK.
"""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, cast

from flask import Response, current_app, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from . import signals
from .exceptions import InboxUnavailable, UnreadableDelivery
from .state import state_of
from .state.app import BEGAN
from .wire import protocol, reading
from .wire.events import Delivery
from .work import dispatch

if TYPE_CHECKING:
    from flask import Flask

    from .receivers import Hook
    from .settings import Settings
    from .state import AppState
    from .wire.events import Envelope

logger = logging.getLogger(__name__)

# Okta waits 3 s.
_SECONDS_TO_STORE: Final = 2.0


@dataclass(frozen=True, slots=True)
class _Call:
    """One request to a hook. ``began`` is the monotonic time at which it came in."""

    app: Flask
    state: AppState
    hook: Hook
    presented: bytes | None
    began: float

    @property
    def secret(self) -> int | None:
        """The position in the list of the secret that was presented, or None."""
        return protocol.authenticate(self.presented or b"", self.state.secrets[self.hook.name])

    @property
    def is_open(self) -> bool:
        """Whether the hook takes requests without a secret."""
        return not self.state.secrets[self.hook.name]


def verify(hook: Hook) -> Response:
    """Answer the one GET by which Okta checks who owns the endpoint."""
    challenge = request.headers.get(protocol.CHALLENGE_HEADER, "")
    if not 0 < len(challenge) <= protocol.LONGEST_CHALLENGE:
        return _problem(
            HTTPStatus.BAD_REQUEST,
            "This is the endpoint of an Okta event hook: it answers to POST, and to a GET with "
            f"{protocol.CHALLENGE_HEADER} of at most {protocol.LONGEST_CHALLENGE} characters.",
        )
    call = _call(hook)
    if call.presented is not None and call.secret is None and not call.is_open:
        return _refuse_secret(call)
    logger.info("The verification of the hook %r was answered.", hook.name)
    signals.notify(signals.hook_verified, call.app, hook=hook)
    return Response(
        protocol.answer_challenge(challenge),
        mimetype="application/json",
        headers={"Cache-Control": "no-store"},
    )


def receive(hook: Hook) -> Response:
    """Take a delivery: it is stored, or with no inbox handled, before it is answered."""
    call = _call(hook)
    secret = call.secret
    if secret is None and not call.is_open:
        _drain()
        return _announce(call, _refuse_secret(call), "wrong secret")
    envelope = _read(call)
    if isinstance(envelope, Response):
        return envelope
    delivery = Delivery(
        event_id=envelope.event_id,
        source=envelope.source,
        via="hook",
        received_at=datetime.now(UTC),
    )
    if call.state.settings.inbox is None:
        return _run_in_request(call, envelope, delivery)
    try:
        return _store(call, envelope, delivery, secret)
    except InboxUnavailable as error:
        # The one answer that makes Okta send the delivery again.
        logger.error("A delivery to the hook %r was not stored: %s", hook.name, error)  # noqa: TRY400 - its traceback is ours
        return _unavailable(call, error.reason)
    except Exception as error:
        # Not to the host's error handlers, whatever it is: one of them may answer OK.
        logger.exception("A delivery to the hook %r was not stored.", hook.name)
        return _unavailable(call, type(error).__name__)


def _call(hook: Hook) -> _Call:
    # The object itself: blinker tells senders apart by identity, and the proxy has one of its own.
    app = cast("Flask", current_app._get_current_object())  # type: ignore[attr-defined] # noqa: SLF001 - see above
    state = state_of(app)
    return _Call(
        app=app,
        state=state,
        hook=hook,
        presented=_presented(state.settings),
        began=request.environ.get(BEGAN, time.monotonic()),
    )


def _read(call: _Call) -> Envelope | Response:
    """Return what the body holds, or a refusal of it."""
    longest = call.state.settings.max_body
    # One byte more: of a chunked body Werkzeug reads up to this, and does not tell whether there was more.
    request.max_content_length = longest + 1
    try:
        return reading.load_delivery(
            _body(longest), keys_only=call.state.settings.inbox is not None
        )
    except UnreadableDelivery as error:
        return _refuse(call, HTTPStatus.BAD_REQUEST, error.reason)
    except RequestEntityTooLarge:
        reason = f"The body is larger than OKTA_HOOKS_MAX_BODY, {longest} bytes."
        return _refuse(call, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, reason)
    except (HTTPException, OSError):
        return _refuse(call, HTTPStatus.BAD_REQUEST, "The body broke off.")


def _store(call: _Call, envelope: Envelope, delivery: Delivery, secret: int | None) -> Response:
    from .inbox.intake import incoming  # noqa: PLC0415 - SQLAlchemy, which an app without an inbox does not need

    new = incoming(
        call.hook.name,
        envelope,
        delivery,
        secret=secret,
        secret_list=call.state.secret_lists[call.hook.name],
    )
    # What was read goes before the wait: of many requests at once it would fill the caches.
    del envelope
    left = _SECONDS_TO_STORE - (time.monotonic() - call.began)
    stored = call.state.runtime().writer.store(new, max(left, 0.1))
    logger.info(
        "A delivery to the hook %r: %d new, %d duplicate.",
        call.hook.name,
        stored.new,
        stored.duplicate,
    )
    dispatch.tell_stored(
        call.app,
        hook=call.hook,
        delivery=delivery,
        new=stored.new,
        duplicate=stored.duplicate,
        dead=stored.dead,
    )
    return Response(status=HTTPStatus.NO_CONTENT)


def _run_in_request(call: _Call, envelope: Envelope, delivery: Delivery) -> Response:
    failures = dispatch.run_delivery(call.app, call.hook, delivery, envelope.events)
    if not failures:
        return Response(status=HTTPStatus.NO_CONTENT)
    group = BaseExceptionGroup("Receivers failed", failures)
    logger.error("Receivers failed, %d times in one delivery.", len(failures), exc_info=group)
    if call.app.testing:
        raise group
    return _problem(HTTPStatus.INTERNAL_SERVER_ERROR, "A receiver failed: see the app's log.")


def _refuse_secret(call: _Call) -> Response:
    config = call.state.settings
    count = call.state.refusals.add(time.monotonic())
    if count:
        logger.warning(
            "%d requests to the hook %r had no right secret in %s; the last: %s",
            count,
            call.hook.name,
            config.auth_header,
            protocol.hint(call.presented, call.state.secrets[call.hook.name]),
        )
    return _problem(
        HTTPStatus.UNAUTHORIZED,
        f"The header {config.auth_header} must hold the secret that is configured here, "
        "and nothing else. The app's log has a hint.",
    )


def _refuse(call: _Call, status: HTTPStatus, reason: str) -> Response:
    logger.warning("A delivery to the hook %r was refused: %s", call.hook.name, reason)
    return _announce(call, _problem(status, reason), reason)


def _unavailable(call: _Call, reason: str) -> Response:
    refusal = _problem(HTTPStatus.SERVICE_UNAVAILABLE, "The inbox did not take it in time.")
    return _announce(call, refusal, reason)


def _announce(call: _Call, refusal: Response, reason: str) -> Response:
    signals.notify(
        signals.delivery_refused,
        call.app,
        hook=call.hook,
        status=refusal.status_code,
        reason=reason,
    )
    return refusal


def _presented(config: Settings) -> bytes | None:
    """Return the raw bytes of the header that holds the secret; WSGI has them as Latin-1."""
    value = request.environ.get("HTTP_" + config.auth_header.upper().replace("-", "_"))
    if value is None:
        return None
    try:
        return cast("str", value).encode("latin-1")
    except UnicodeEncodeError:  # from a client that calls the app without a server between
        return cast("str", value).encode()


def _body(longest: int) -> bytes:
    body = request.get_data(cache=False)
    if len(body) > longest:
        raise RequestEntityTooLarge
    return body


def _drain() -> None:
    """Read the body and forget it: closing on unread data resets the connection and loses the answer."""
    try:
        while request.stream.read(65536):
            pass
    except (HTTPException, OSError):
        pass


def _problem(status: HTTPStatus, detail: str) -> Response:
    """Return a refusal as RFC 9457 has it."""
    body = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "detail": detail,
    }
    return Response(
        json.dumps(body),
        status=status,
        mimetype="application/problem+json",
        headers={"Cache-Control": "no-store"},
    )
