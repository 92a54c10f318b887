"""The metrics of a worker's inbox, on a port of their own: a worker has no web server."""

from __future__ import annotations

from contextlib import contextmanager
from http import HTTPStatus
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import click
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

from okta_hooks.exceptions import InboxUnavailable
from okta_hooks.operations import presents_token
from okta_hooks.threads import start_thread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask import Flask

    from okta_hooks.state import AppState

_LOOPBACK: Final = "127.0.0.1"
_EVERYWHERE: Final = "0.0.0.0"  # noqa: S104 - what is asked there needs a token
_SECONDS_TO_STOP: Final = 2.0


class _Quiet(WSGIRequestHandler):
    timeout = 5.0

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - Werkzeug's name
        """Log nothing: a scrape comes every few seconds."""


@contextmanager
def serving(app: Flask, state: AppState, port: int | None) -> Iterator[None]:
    """Answer ``GET /metrics`` on a port: with a token from everywhere, and without one on the loopback.

    :param port: None for none.
    :raises click.UsageError: if the extra is not installed.
    """
    if port is None:
        yield
        return
    if find_spec("prometheus_client") is None:
        raise click.UsageError("--metrics-port needs pip install 'okta-hooks[prometheus]'.")
    from okta_hooks.metrics import Metrics, exposition  # its dependency is an extra

    metrics = Metrics(app)
    tokens = state.settings.operations_token

    @Request.application
    def answer(request: Request) -> Response:
        if request.path != "/metrics":
            return Response("The metrics are at /metrics.\n", HTTPStatus.NOT_FOUND)
        if tokens and not presents_token(request.environ, tokens):
            return Response("", HTTPStatus.UNAUTHORIZED, {"WWW-Authenticate": "Bearer"})
        try:
            text, content_type = exposition(metrics.figures(), request.headers.get("Accept", ""))
        except InboxUnavailable as error:
            reason = f"The inbox cannot be read: {error.reason}.\n"
            return Response(reason, HTTPStatus.SERVICE_UNAVAILABLE)
        return Response(text, content_type=content_type)

    host = _EVERYWHERE if tokens else _LOOPBACK
    server = make_server(host, port, answer, threaded=True, request_handler=_Quiet)
    click.echo(f"Metrics are at http://{host}:{server.port}/metrics.", err=True)
    thread = start_thread(server.serve_forever, name="okta-hooks-metrics")
    try:
        yield
    finally:
        server.shutdown()
        thread.join(_SECONDS_TO_STOP)
        server.server_close()
