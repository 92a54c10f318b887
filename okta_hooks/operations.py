"""A blueprint for machines: whether an app lives and is ready, its metrics, and a tick that runs receivers."""

from __future__ import annotations

import contextvars
import json
import time
from datetime import UTC, datetime
from http import HTTPStatus
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from flask import Blueprint, Response, request

from .exceptions import ConfigurationError, InboxUnavailable
from .in_time import InTime
from .logs import plain_logger
from .outage import Lines, Outage
from .problem import problem
from .secret import frameless
from .settings import CELERY
from .state import EXTENSION, app_object, presented, registration
from .wire import protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flask import Flask
    from flask.sansio.app import App

    from .metrics import Metrics
    from .secret import Secret
    from .state import AppState

__all__ = ["Operations"]

logger = plain_logger(__name__)

#: Whoever probes or scrapes is answered within a second.
_SECONDS: Final = 0.8
_ENDPOINTS: Final = "okta_hooks.operations"
_NOT_READY: Final = Lines(
    begins="/readyz is answered with 503, because the inbox cannot be used: %(error)s",
    goes_on="/readyz has been answered with 503 for %(seconds).0f s now, %(count)d times. The last: %(error)s",
    ends="/readyz is answered with 200 again, after %(seconds).0f s and %(count)d answers of 503.",
)
_KEY: Final = "OKTA_HOOKS_OPERATIONS_TOKEN"


class Operations(Blueprint):
    """A blueprint with what machines ask an app: ``/livez``, ``/readyz``, ``/metrics`` and ``/tick``.

    Whatever has ``OKTA_HOOKS_OPERATIONS_TOKEN`` as bearer token may read the metrics and tick; without that key
    nobody may. Register it once in an app, beside its hooks.

    :param url_prefix: The path below which they are.
    :param tick_seconds: How long a tick may go on calling receivers. Whoever runs the app ends a request after some
        time, which must be longer, by as much as a receiver takes.
    """

    def __init__(self, *, url_prefix: str = "/okta", tick_seconds: float = 25.0) -> None:
        if not 0 < tick_seconds < float("inf"):
            raise ValueError(
                f"tick_seconds must be a number of seconds above 0, not {tick_seconds!r}."
            )
        super().__init__("okta_hooks_operations", __name__, url_prefix=url_prefix)
        self._tick_seconds = tick_seconds
        self.add_url_rule("/livez", "livez", _live)
        self.add_url_rule("/readyz", "readyz", _ready)
        self.add_url_rule("/metrics", "metrics", _metrics)
        self.add_url_rule("/tick", "tick", self._tick, methods=["POST"])

    def register(self, app: App, options: dict[str, Any]) -> None:
        """Register with an app, as :meth:`flask.Flask.register_blueprint` asks a blueprint to.

        :raises RuntimeError: if it is no app of Flask's.
        """
        host = registration.flask_app(app)
        host.extensions.setdefault(_ENDPOINTS, _Endpoints(host))
        super().register(app, options)

    def _tick(self) -> Response:
        """Run receivers until nothing is due, or until the time is over."""
        mine = _mine()
        if (refusal := mine.refusal()) is not None:
            return refusal
        until = time.monotonic() + self._tick_seconds
        state = mine.state()
        if state.settings.inbox is None:
            return _json(HTTPStatus.OK, attempts=0, due=0, next_due=None)
        try:
            # As in threads of ours: the request is none of the events', whoever reports what receivers do.
            attempts = contextvars.Context().run(state.runtime().drain, until)
            return _json(HTTPStatus.OK, attempts=attempts, **_to_do(state, mine.app))
        except InboxUnavailable as error:
            logger.error(  # noqa: TRY400 - no traceback helps
                "A tick could not work off the inbox: %(error)s", {"error": error}
            )
            return problem(
                HTTPStatus.SERVICE_UNAVAILABLE, "The inbox cannot be used: see the app's log."
            )


class _Endpoints:
    """What one app has of these endpoints."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self._not_ready = Outage(logger, _NOT_READY)
        self._broker = InTime(self._ask_for_broker)
        self._metrics: Metrics | None = None
        self._is_told = False

    def state(self) -> AppState:
        """Return the state of the app.

        :raises RuntimeError: if no hook is registered in it.
        """
        state: AppState | None = self.app.extensions.get(EXTENSION)
        if state is None:
            raise ConfigurationError(
                "Operations has nothing to tell of: register an EventHook, too."
            )
        return state

    def refusal(self) -> Response | None:
        """Return how a request is answered that may not ask for this; None if it may."""
        tokens = self.state().settings.operations_token
        if not tokens:
            if not self._is_told:
                self._is_told = True
                logger.warning(
                    "%(path)s is answered with 404 as long as %(key)s is not set.",
                    {"path": request.path, "key": _KEY},
                )
            return problem(HTTPStatus.NOT_FOUND, "The app's log says why there is nothing here.")
        if presents_token(request.environ, tokens):
            return None
        answer = problem(
            HTTPStatus.UNAUTHORIZED,
            f"This needs the header Authorization: Bearer, and a token of {_KEY}.",
        )
        answer.headers["WWW-Authenticate"] = "Bearer"
        return answer

    def is_ready(self, seconds: float) -> bool:
        """Return whether a delivery could be stored now; the log says why not.

        :param seconds: How long that may take.
        """
        reason = self._why_closed(seconds)
        if reason is not None:
            self._not_ready.failed(InboxUnavailable(reason))
            return False
        self._not_ready.worked()
        return True

    def _why_closed(self, seconds: float) -> str | None:
        state = self.state()
        if state.settings.inbox is None:
            return None
        try:
            return state.runtime().trial.why_closed(seconds)
        except InboxUnavailable as error:
            return error.reason

    def broker(self, seconds: float) -> str | None:
        """Return how the relays have found the broker of the task queue; None if there is none, or it is not known.

        :param seconds: How long that may take.
        """
        if self.state().settings.worker != CELERY:
            return None
        try:
            return self._broker.ask(max(seconds, 0.0))
        except (TimeoutError, InboxUnavailable):
            return None

    def _ask_for_broker(self) -> str:
        from .inbox.workers import RELAY  # SQLAlchemy

        living = self.state().runtime().inbox.workers.living(seconds=_SECONDS)
        relays = [each for each in living if each.kind == RELAY]
        away = [each.broker_away_since for each in relays if each.broker_away_since is not None]
        if away:
            since = datetime.fromtimestamp(min(away), UTC).isoformat(timespec="seconds")
            return f"away since {since}"
        return "reachable" if relays else "unknown: no relay is alive"

    def metrics(self) -> Metrics:
        """Return what reads the metrics."""
        if self._metrics is None:
            from .metrics import Metrics  # its dependency is an extra

            self._metrics = Metrics(self.app)
        return self._metrics


def _mine() -> _Endpoints:
    mine: _Endpoints = app_object().extensions[_ENDPOINTS]
    return mine


def _live() -> Response:
    """Answer that this process answers."""
    return _json(HTTPStatus.OK, status="alive")


def _ready() -> Response:
    """Answer whether a delivery could be stored now."""
    mine = _mine()
    give_up_at = time.monotonic() + _SECONDS
    if mine.is_ready(_SECONDS):
        # Without its broker it is ready all the same: what is delivered is stored, and sent to it later.
        broker = mine.broker(give_up_at - time.monotonic())
        return _json(HTTPStatus.OK, status="ready", **({"broker": broker} if broker else {}))
    # Everybody may ask: why it is so is for the log.
    return _json(HTTPStatus.SERVICE_UNAVAILABLE, status="unavailable")


def _metrics() -> Response:
    """Answer a scrape."""
    mine = _mine()
    if (refusal := mine.refusal()) is not None:
        return refusal
    if find_spec("prometheus_client") is None:
        return problem(
            HTTPStatus.NOT_IMPLEMENTED, "Metrics need pip install 'okta-hooks[prometheus]'."
        )
    from .metrics import exposition  # its dependency is an extra

    try:
        figures = mine.metrics().figures()
    except InboxUnavailable as error:
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, f"The inbox cannot be read: {error.reason}.")
    text, content_type = exposition(figures, request.headers.get("Accept", ""))
    return Response(text, content_type=content_type, headers={"Cache-Control": "no-store"})


def _to_do(state: AppState, app: Flask) -> dict[str, Any]:
    """Return how much is due, and when the next is."""
    connected = [
        (name, receiver.name)
        for name, hook in state.hooks.items()
        for receiver in hook.receivers.connected(app)
    ]
    inbox = state.runtime().inbox
    due = inbox.receipts.due(connected)
    at = inbox.clock() if due else inbox.receipts.later(connected).next_due
    next_due = None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
    return {"due": due, "next_due": next_due}


@frameless
def presents_token(environ: dict[str, Any], tokens: Sequence[Secret]) -> bool:
    """Return whether a request has one of these as its bearer token, which is taken away from it.

    Every one is compared in constant time.
    """
    given = presented.take(environ, "Authorization")
    scheme, _, value = (given or b"").partition(b" ")
    return scheme.lower() == b"bearer" and protocol.authenticate(value.strip(), tokens) is not None


def _json(code: HTTPStatus, /, **fields: Any) -> Response:
    return Response(
        json.dumps(fields),
        status=code,
        mimetype="application/json",
        headers={"Cache-Control": "no-store"},
    )
