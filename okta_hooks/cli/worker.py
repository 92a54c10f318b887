"""The command that works off the inbox."""

from __future__ import annotations

import signal
import sys
import threading
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import click
from flask.cli import with_appcontext

from okta_hooks.org.backfill import interruptible, keep_up
from okta_hooks.org.client import OktaClient

from .context import connected_receivers, state_of_app, with_inbox
from .options import Span
from .org import open_org
from .output import counted, is_or_are, iso

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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

    def on_signal(number: int, _: object) -> None:
        if at_work.stopping.is_set():
            # What is in hand is given back, so that the attempt that is cut off does not count.
            at_work.abandon()
            sys.exit(128 + number)
        at_work.stopping.set()
        at_work.wake()
        click.echo("Finishing what is in hand.", err=True)

    handle_stop(on_signal)
    at_work.on_standby = lambda: click.echo(
        "Another process dispatches: this one stands by.", err=True
    )
    if not at_work.has_receivers():
        click.echo("No receivers are connected in this app, so there is nothing to do.", err=True)
        if drain:
            return
    if not drain:
        click.echo(f"The worker {at_work.id} has started.", err=True)
        if backfill is None:
            in_thread(at_work.run)
        else:
            with _backfilling(state, backfill):
                in_thread(at_work.run)
        return
    _drain(state, runtime)


def _drain(state: AppState, runtime: Runtime) -> None:
    """Work until nothing is due, and tell what was done and what is left."""
    length = runtime.inbox.overview.counts().open
    with click.progressbar(length=length, label="Draining", file=sys.stderr) as bar:
        total = in_thread(lambda: runtime.worker.drain(bar.update))
    click.echo(f"{counted(total, 'attempt')}.")
    later = runtime.inbox.receipts.later(list(connected_receivers(state)))
    if later.number:
        click.echo(
            f"{counted(later.number, 'receipt')} {is_or_are(later.number)} due later, "
            f"the next at {iso(later.next_due)}."
        )


@contextmanager
def _backfilling(state: AppState, seconds: float) -> Iterator[None]:
    """Read the log in another thread, over the same inbox, until the worker has stopped."""
    stopping = state.runtime().worker.stopping

    def run() -> None:
        with OktaClient(state.settings, wait=interruptible(stopping)) as client:
            keep_up(state, client, stopping, seconds)

    thread = threading.Thread(target=run, name="okta-hooks-backfill", daemon=True)
    thread.start()
    yield
    # A request to Okta may take longer than this. The page is lost then, and read again by the next backfill.
    thread.join(_SECONDS_TO_STOP)


def handle_stop(handler: Callable[[int, Any], None]) -> None:
    """Let SIGTERM and SIGINT call a handler, until the command has ended."""
    context = click.get_current_context()
    for number in (signal.SIGTERM, signal.SIGINT):
        context.call_on_close(partial(signal.signal, number, signal.signal(number, handler)))


def in_thread(work: Callable[[], Any]) -> Any:
    """Do the work in another thread than the main one, whose signal handlers need the worker's locks.

    What a handler interrupts may hold a lock, and would never get to release it.
    """
    outcome: Future[Any] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised again in the main thread
            outcome.set_exception(error)

    threading.Thread(target=run, name="okta-hooks-worker", daemon=True).start()
    return outcome.result()
