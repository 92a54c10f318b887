"""The command that works off the inbox."""

from __future__ import annotations

import sys
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Final

import click
from flask.cli import with_appcontext

from okta_hooks.org.backfill import interruptible
from okta_hooks.org.client import OktaClient
from okta_hooks.org.keep_up import keep_up
from okta_hooks.state import script
from okta_hooks.threads import start_thread

from .context import connected_receivers, state_of_app, with_inbox
from .options import Span
from .org import open_org
from .output import counted, has_bars, is_or_are, iso
from .stopping import work_with_signals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from click._termui_impl import ProgressBar

    from okta_hooks.state import AppState
    from okta_hooks.state.runtime import Runtime

_SECONDS_TO_STOP: Final = 10.0


@click.command()
@with_appcontext
@click.option("--drain", is_flag=True, help="Stop when nothing is due any more.")
@click.option(
    "--backfill",
    type=Span(),
    help="Also read Okta's System Log, as backfill does, so often: 5m.",
)
@with_inbox
def worker(
    runtime: Runtime,
    drain: bool,
    backfill: float | None,
) -> None:
    """Hand stored events to the receivers, until SIGTERM or SIGINT.

    The first signal finishes what is in hand; a second one does not wait for that.
    """
    state = state_of_app()
    if backfill is not None:
        if drain:
            raise click.UsageError("--drain comes to an end, --backfill does not.")
        with open_org(state):
            pass  # what is not configured should show now, not in the log
    at_work = runtime.worker

    def on_signal(number: int) -> None:
        if at_work.stopping.is_set():
            # What is in hand is given back, so that the attempt that is cut off does not count.
            at_work.abandon()
            sys.exit(128 + number)
        at_work.stopping.set()
        at_work.wake()
        click.echo("Finishing what is in hand.", err=True)

    at_work.on_standby = lambda: click.echo(
        "Another process dispatches: this one stands by.", err=True
    )
    if not at_work.has_receivers():
        click.echo("No receivers are connected in this app, so there is nothing to do.", err=True)
        if drain:
            return
    else:
        for name, hook in state.hooks.items():
            if not hook.receivers.has_any(at_work.app):
                click.echo(
                    f"No receiver is connected to the hook {name!r} in this app: its events stay pending.",
                    err=True,
                )
    script.tell_of_names(at_work.app, state.hooks)
    if not drain:
        work_with_signals(lambda: _work(state, runtime, backfill), on_signal)
        return
    _drain(state, runtime, on_signal)


def _work(state: AppState, runtime: Runtime, backfill: float | None) -> None:
    click.echo(f"The worker {runtime.worker.id} has started.", err=True)
    with nullcontext() if backfill is None else _backfilling(state, backfill):
        runtime.worker.run()


def _drain(state: AppState, runtime: Runtime, on_signal: Callable[[int], None]) -> None:
    """Work until nothing is due, and tell what was done and what is left."""
    with _bar(runtime) if has_bars() else nullcontext() as bar:
        progress = None if bar is None else bar.update
        total = work_with_signals(lambda: runtime.worker.drain(progress), on_signal)
    click.echo(f"{counted(total, 'attempt')}.")
    later = runtime.inbox.receipts.later(list(connected_receivers(state)))
    if later.number:
        click.echo(
            f"{counted(later.number, 'receipt')} {is_or_are(later.number)} due later, "
            f"the next at {iso(later.next_due)}."
        )


def _bar(runtime: Runtime) -> AbstractContextManager[ProgressBar[int]]:
    length = runtime.inbox.overview.counts().open
    return click.progressbar(length=length, label="Draining", file=sys.stderr)


@contextmanager
def _backfilling(state: AppState, seconds: float) -> Iterator[None]:
    """Read the log in another thread, over the same inbox, until the worker has stopped."""
    stopping = state.runtime().worker.stopping

    def run() -> None:
        with OktaClient(state.settings, wait=interruptible(stopping)) as client:
            keep_up(state, client, stopping, seconds)

    thread = start_thread(run, name="okta-hooks-backfill")
    yield
    # A request to Okta may take longer than this. The page is lost then, and read again by the next backfill.
    thread.join(_SECONDS_TO_STOP)
