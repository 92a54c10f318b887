"""The command that gives what is due to a task queue."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click
from flask.cli import with_appcontext

from okta_hooks.exceptions import ConfigurationError
from okta_hooks.state import script

from .context import state_of_app, with_inbox
from .metrics_port import serving
from .stopping import work_with_signals

if TYPE_CHECKING:
    from okta_hooks.state.runtime import Runtime
    from okta_hooks.work.worker import Worker


@click.command()
@with_appcontext
@click.option(
    "--metrics-port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Also serve /metrics, for Prometheus, on this port.",
)
@with_inbox
def relay(runtime: Runtime, metrics_port: int | None) -> None:
    """Give what is due to Celery, until SIGTERM or SIGINT.

    With OKTA_HOOKS_WORKER="celery" the processes that serve the app do this, too; any number may do it at a time.
    It runs no receiver.
    """
    state = state_of_app()
    try:
        at_work = runtime.relay
    except ConfigurationError as error:
        raise click.ClickException(str(error)) from error
    if not at_work.has_receivers():
        click.echo("No receivers are connected in this app, so there is nothing to do.", err=True)
    script.tell_of_names(at_work.app, state.hooks)

    def on_signal(number: int) -> None:
        if at_work.stopping.is_set():
            sys.exit(128 + number)
        at_work.stopping.set()
        at_work.wake()

    with serving(at_work.app, state, metrics_port):
        work_with_signals(lambda: _work(at_work), on_signal)


def _work(at_work: Worker) -> None:
    click.echo(f"The relay {at_work.id} has started.", err=True)
    at_work.run()
