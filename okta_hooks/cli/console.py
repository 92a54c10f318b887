"""The command that serves the console to whoever has started it."""

from __future__ import annotations

import signal
import socket
import sys
from typing import Any, Final

import click
from flask.cli import with_appcontext
from werkzeug.serving import WSGIRequestHandler, make_server

from okta_hooks.console.loopback import ADDRESS, Loopback

from .auditing import operator
from .context import app_of_command, state_of_app
from .stopping import work_with_signals

#: A browser may keep a connection open, and send nothing more.
_SECONDS_TO_SEND: Final = 10.0


class _Quiet(WSGIRequestHandler):
    timeout = _SECONDS_TO_SEND

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - Werkzeug's name
        """Log nothing: paths are long, and a page asks every few seconds."""


@click.command()
@with_appcontext
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8089,
    show_default=True,
    help="The port on 127.0.0.1; 0 is any that is free.",
)
def console(port: int) -> None:
    """Serve the console on this host alone, to one browser.

    It prints a link that works once: whoever opens it may operate. It ends with Ctrl-C, or with the terminal.
    """
    state_of_app()
    loopback = Loopback(app_of_command(), operator())
    # Werkzeug would end the process itself if the port is taken.
    try:
        listening = socket.create_server((ADDRESS, port))
    except OSError as error:
        raise click.ClickException(
            f"The port {port} cannot be used: {error.strerror}. --port names another."
        ) from error
    with listening:
        server = make_server(
            ADDRESS,
            listening.getsockname()[1],
            loopback.app,
            threaded=True,
            request_handler=_Quiet,
            fd=listening.fileno(),
        )
    click.echo(loopback.served_at(server.port))
    click.echo("The link works once. Ctrl-C ends the console.", err=True)

    def on_signal(number: int) -> None:
        # Not `shutdown`: a page that is being made, or a connection that is open, must not be waited for.
        sys.exit(0 if number == signal.SIGINT else 128 + number)

    try:
        # Whoever has started it with nohup has not meant a page for everybody who comes later.
        work_with_signals(server.serve_forever, on_signal, also=_hangup())
    finally:
        server.server_close()


def _hangup() -> tuple[int, ...]:
    return (signal.SIGHUP,) if hasattr(signal, "SIGHUP") else ()
