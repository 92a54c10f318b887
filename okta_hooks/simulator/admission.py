"""The org over HTTP: Okta's paths, and two of the simulator's own.

Only this module imports Flask.
"""

from __future__ import annotations

import json
import logging
import socket
import threading
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlencode

from flask import Flask, Response, g, request
from werkzeug.serving import WSGIRequestHandler, make_server

from okta_hooks import catalog
from okta_hooks.wire.limits import MOST_ACTIVE_HOOKS

from . import errors
from .errors import RequestRefused
from .org import FAULTS

if TYPE_CHECKING:
    from types import TracebackType

    from werkzeug.exceptions import HTTPException
    from werkzeug.serving import BaseWSGIServer

    from .org import Org

logger = logging.getLogger(__name__)

_API: Final = "/api/v1/"
#: Requests a minute, by the beginning of the path. Okta's own numbers depend on the org's contract.
RATE_LIMITS: Final = {f"{_API}logs": 120, _API: 600}
_MINUTE: Final = 60
_MOST_EVENTS: Final = 10_000
#: How often the server looks whether it is to stop.
_SECONDS_TO_NOTICE: Final = 0.05
_EMIT_KEYS: Final = ("type", "count", "target", "overrides", "faults", "delay")
#: Names of parameters of `emit` and `make_event`, which no override can have.
_NO_OVERRIDES: Final = {"self", "event_type", "count", "faults", "delay", "seed"}


class RateLimits:
    """Counts requests by the minute of the clock."""

    def __init__(self, limits: dict[str, int]) -> None:
        self.limits = limits
        self._lock = threading.Lock()
        self._minute = 0
        self._counts: dict[str, int] = {}

    def count(self, path: str, now: datetime) -> tuple[dict[str, str], bool]:
        """Count a request.

        :return: the headers that tell how many are left, and whether this one was too many.
        """
        bucket = max((each for each in self.limits if path.startswith(each)), key=len)
        minute = int(now.timestamp()) // _MINUTE
        with self._lock:
            if minute != self._minute:
                self._minute, self._counts = minute, {}
            count = self._counts[bucket] = self._counts.get(bucket, 0) + 1
        limit = self.limits[bucket]
        headers = {
            "X-Rate-Limit-Limit": str(limit),
            "X-Rate-Limit-Remaining": str(max(limit - count, 0)),
            "X-Rate-Limit-Reset": str((minute + 1) * _MINUTE),
        }
        return headers, count > limit


def create_app(org: Org, rate_limits: dict[str, int] | None = None) -> Flask:
    """Return the application that speaks for an org.

    :param rate_limits: Requests a minute, by the beginning of the path: the longest that fits counts.
    """
    app = Flask(__name__)
    _add_admission(app, org, RateLimits({**RATE_LIMITS, **(rate_limits or {})}))
    _add_refusals(app, org)
    _add_org(app, org)
    _add_event_hooks(app, org)
    _add_log(app, org)
    app.add_url_rule(
        "/simulator/events",
        "emit",
        lambda: _json(
            {"uuids": _emit(org, _body('An object such as {"type": "user.lifecycle.create"}'))}
        ),
        methods=["POST"],
    )
    app.add_url_rule("/simulator/deliveries", "deliveries", lambda: _json(org.deliveries()))
    return app


def _add_org(app: Flask, org: Org) -> None:
    @app.get("/.well-known/okta-organization")
    def tell_names() -> Response:
        # It needs no token: https://developer.okta.com/docs/api/openapi/okta-management/management/tag/OrgSettingMetadata/
        links = {"organization": {"href": org.url}}
        return _json({"id": org.id, "pipeline": "idx", "_links": links})


def _add_admission(app: Flask, org: Org, limits: RateLimits) -> None:
    @app.before_request
    def admit() -> None:
        if not request.path.startswith(_API):
            return
        # The official SDK's typed calls leave the space out.
        accepted = {f"SSWS {org.token}", f"SSWS{org.token}", f"Bearer {org.token}"}
        if request.headers.get("Authorization", "") not in accepted:
            raise errors.wrong_token()
        g.rate_limit, is_over = limits.count(request.path, org.clock())
        if is_over:
            raise errors.too_many_requests()

    @app.after_request
    def tell_rate_limit(response: Response) -> Response:
        response.headers.update(g.get("rate_limit", {}))
        # The server would tell its own time: what is told of an org goes by the org's clock.
        response.date = org.clock()
        return response


def _add_refusals(app: Flask, org: Org) -> None:
    @app.errorhandler(RequestRefused)
    def refuse(refused: RequestRefused) -> Response:
        return _json(refused.as_json(org.new_error_id()), refused.status)

    @app.errorhandler(HTTPStatus.NOT_FOUND)
    def refuse_path(_: HTTPException) -> Response:
        return refuse(errors.not_found(f"Resource not found: {request.path} (URI)"))

    @app.errorhandler(HTTPStatus.METHOD_NOT_ALLOWED)
    def refuse_method(_: HTTPException) -> Response:
        return refuse(errors.wrong_method())

    @app.errorhandler(HTTPStatus.INTERNAL_SERVER_ERROR)
    def admit_failure(_: HTTPException) -> Response:
        return refuse(errors.broken())


def _add_event_hooks(app: Flask, org: Org) -> None:
    hooks = f"{_API}eventHooks"

    @app.get(hooks)
    def list_hooks() -> Response:
        return _json(org.hooks())

    @app.post(hooks)
    def create_hook() -> Response:
        return _json(org.create_hook(_body()))

    @app.get(f"{hooks}/<hook_id>")
    def get_hook(hook_id: str) -> Response:
        return _json(org.hook(hook_id))

    @app.put(f"{hooks}/<hook_id>")
    def replace_hook(hook_id: str) -> Response:
        return _json(org.replace_hook(hook_id, _body()))

    @app.delete(f"{hooks}/<hook_id>")
    def delete_hook(hook_id: str) -> Response:
        org.delete_hook(hook_id)
        return Response(status=HTTPStatus.NO_CONTENT)

    @app.post(f"{hooks}/<hook_id>/lifecycle/verify")
    def verify_hook(hook_id: str) -> Response:
        return _json(org.verify_hook(hook_id))

    @app.post(f"{hooks}/<hook_id>/lifecycle/activate")
    def activate_hook(hook_id: str) -> Response:
        return _json(org.activate_hook(hook_id))

    @app.post(f"{hooks}/<hook_id>/lifecycle/deactivate")
    def deactivate_hook(hook_id: str) -> Response:
        return _json(org.deactivate_hook(hook_id))


def _add_log(app: Flask, org: Org) -> None:
    @app.get(f"{_API}logs")
    def read_log() -> Response:
        arguments = request.args.to_dict()
        page = org.log(**arguments)
        response = _json(page.events)
        response.headers.add("Link", f'<{_log_url(org, arguments)}>; rel="self"')
        if page.after is not None:
            following = _log_url(org, {**arguments, "after": page.after})
            response.headers.add("Link", f'<{following}>; rel="next"')
        return response


class Simulator:
    """An org that listens on 127.0.0.1, and delivers as time passes. It is a context manager.

    :param org: The org. It takes on the URL when it starts.
    :param port: The port; 0 leaves the choice to the system.
    :param rate_limits: As for :func:`create_app`.
    """

    def __init__(
        self, org: Org, *, port: int = 0, rate_limits: dict[str, int] | None = None
    ) -> None:
        self.org = org
        self.port = port
        self.app = create_app(org, rate_limits)
        self._stopping = threading.Event()
        self._server: BaseWSGIServer | None = None
        self._threads: list[threading.Thread] = []

    @property
    def url(self) -> str:
        """The org's URL, without a slash at its end."""
        return self.org.url

    def start(self) -> None:
        """Begin to listen and to deliver.

        :raises OSError: if the port cannot be had.
        """
        # Given a port that is taken, werkzeug would end the process.
        with socket.create_server(("127.0.0.1", self.port)) as listening:
            self.port = listening.getsockname()[1]
            self._server = make_server(
                "127.0.0.1",
                self.port,
                self.app,
                threaded=True,
                request_handler=_QuietHandler,
                fd=listening.fileno(),
            )
        self.org.url = f"http://127.0.0.1:{self.port}"
        self._stopping.clear()
        self._threads = [
            threading.Thread(target=self._server.serve_forever, args=(_SECONDS_TO_NOTICE,)),
            *(
                threading.Thread(target=self.org.keep_delivering, args=(self._stopping,))
                # One for each active hook, so that hooks that hang delay no other.
                for _ in range(MOST_ACTIVE_HOOKS)
            ),
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Finish the deliveries in hand, and stop. What is pending is not sent."""
        if self._server is None:
            return
        self._stopping.set()
        self.org.wake()
        self._server.shutdown()
        for thread in self._threads:
            thread.join()
        self._server = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


class _QuietHandler(WSGIRequestHandler):
    """Logs requests for whoever wants to know; werkzeug would write them to stderr."""

    def send_response(self, code: int, message: str | None = None) -> None:
        """Begin an answer, without the host's own ``Date``: the org tells its time."""
        self.log_request(code)
        self.send_response_only(code, message)

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002, ARG002 - werkzeug's
        logger.debug(message, *args)


def _json(document: object, status: int = 200) -> Response:
    return Response(
        json.dumps(document, separators=(",", ":")), status=status, mimetype="application/json"
    )


def _body(*expected: str) -> Any:
    try:
        body = json.loads(request.get_data())
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise errors.malformed(*expected)
    return body


def _log_url(org: Org, arguments: dict[str, str]) -> str:
    return f"{org.url}{_API}logs?{urlencode(arguments)}"


def _emit(org: Org, body: dict[str, Any]) -> list[str]:
    """Do what ``POST /simulator/events`` says."""
    causes = [
        f"{key}: No such key: there are {', '.join(_EMIT_KEYS)}"
        for key in body
        if key not in _EMIT_KEYS
    ]
    event_type: Any = body.get("type")
    count, delay = body.get("count", 1), body.get("delay", 0)
    overrides = body.get("overrides") or {}
    faults = body.get("faults") or []
    if "type" not in body:
        causes.append("type: The event type is needed, such as user.lifecycle.create")
    elif not isinstance(event_type, str) or catalog.get(event_type) is None:
        near = catalog.suggest(event_type) if isinstance(event_type, str) else None
        causes.append(
            f"type: {event_type!r} is none of Okta's event types"
            + (f"; is {near!r} meant?" if near else "")
        )
    if type(count) is not int or not 1 <= count <= _MOST_EVENTS:
        causes.append(f"count: A number from 1 to {_MOST_EVENTS}")
    if type(delay) not in (int, float) or not 0 <= delay <= timedelta(days=1).total_seconds():
        causes.append("delay: A number of seconds from 0 to a day")
    if not isinstance(faults, list) or not all(fault in FAULTS for fault in faults):
        causes.append(f"faults: A list of {', '.join(FAULTS)}")
    if not isinstance(overrides, dict):
        causes.append("overrides: An object")
    else:
        causes += [
            f"overrides: An event has no key {key!r}" for key in overrides if key in _NO_OVERRIDES
        ]
    if causes:
        raise errors.invalid("simulator event", *causes)
    if "target" in body:
        overrides = {"target": body["target"], **overrides}
    try:
        events = org.emit(event_type, count=count, faults=faults, delay=delay, **overrides)
    except (TypeError, ValueError) as error:
        raise errors.invalid("simulator event", str(error)) from error
    return [event["uuid"] for event in events]
