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
from okta_hooks.printable import printable
from okta_hooks.state import script
from okta_hooks.threads import start_thread

from .completion import complete_queue, known_queues
from .context import connected_receivers, state_of_app, unknown, with_inbox
from .metrics_port import serving
from .options import Span
from .org import open_org
from .output import counted, echo, has_bars, is_or_are, iso
from .stopping import work_with_signals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager

    from click._termui_impl import ProgressBar

    from okta_hooks.state import AppState
    from okta_hooks.state.runtime import Runtime
    from okta_hooks.work.worker import Worker

_SECONDS_TO_STOP: Final = 10.0


@click.command()
@with_appcontext
@click.option("--drain", is_flag=True, help="Stop when nothing is due any more.")
@click.option(
    "--backfill",
    type=Span(),
    help="Also read Okta's System Log, as backfill does, so often: 5m.",
)
@click.option(
    "--metrics-port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Also serve /metrics, for Prometheus, on this port.",
)
@click.option(
    "--queue",
    "queues",
    multiple=True,
    metavar="NAME",
    shell_complete=complete_queue,
    help="Run only the receivers of this queue. May be given several times.",
)
@with_inbox
def worker(
    runtime: Runtime,
    drain: bool,
    backfill: float | None,
    metrics_port: int | None,
    queues: tuple[str, ...],
) -> None:
    """Hand stored events to the receivers, until SIGTERM or SIGINT.

    The first signal finishes what is in hand; a second one does not wait for that.
    """
    state = state_of_app()
    for option, value in (("--backfill", backfill), ("--metrics-port", metrics_port)):
        if drain and value is not None:
            raise click.UsageError(f"--drain comes to an end, {option} does not.")
    _check_queues(state, queues)
    if backfill is not None:
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
    if not _tell_of_receivers(state, at_work) and drain:
        return
    script.tell_of_names(at_work.app, state.hooks)
    if not drain:
        if queues and runtime.inbox.path is not None:
            click.echo(
                "On SQLite one process runs receivers: while it is this one, those of other queues wait.",
                err=True,
            )
        with _only(queues, at_work), serving(at_work.app, state, metrics_port):
            work_with_signals(lambda: _work(state, runtime, backfill), on_signal)
        return
    with _only(queues, at_work):
        _drain(state, runtime, on_signal)


@contextmanager
def _only(queues: Iterable[str], at_work: Worker) -> Iterator[None]:
    """Let a worker run only the receivers of some queues, if any are named: for as long as the command runs."""
    at_work.queues = frozenset(queues) or None
    try:
        yield
    finally:
        at_work.queues = None  # a test may run this command, and then drain the same runtime


def _check_queues(state: AppState, queues: Iterable[str]) -> None:
    known = known_queues(state)
    for queue in queues:
        if queue not in known:
            raise click.UsageError(unknown("queue", queue, known))


def _tell_of_receivers(state: AppState, at_work: Worker) -> bool:
    """Tell which hooks have no receiver in this app, and return whether any has one."""
    if not at_work.has_receivers():
        click.echo("No receivers are connected in this app, so there is nothing to do.", err=True)
        return False
    for name, hook in state.hooks.items():
        if not hook.receivers.has_any(at_work.app):
            click.echo(
                f"No receiver is connected to the hook {name!r} in this app: its events stay pending.",
                err=True,
            )
    return True


def _work(state: AppState, runtime: Runtime, backfill: float | None) -> None:
    click.echo(f"The worker {runtime.worker.id} has started.", err=True)
    with nullcontext() if backfill is None else _backfilling(state, backfill):
        runtime.worker.run()


def _drain(state: AppState, runtime: Runtime, on_signal: Callable[[int], None]) -> None:
    """Work until nothing is due, and tell what was done and what is left."""
    queues = runtime.worker.queues
    # Events that also wait for a receiver of another queue are not finished here, so the bar would never be full.
    with _bar(runtime) if has_bars() and queues is None else nullcontext() as bar:
        progress = None if bar is None else bar.update
        total = work_with_signals(lambda: runtime.worker.drain(progress), on_signal)
    click.echo(f"{counted(total, 'attempt')}.")
    mine = [
        key
        for key, receiver in connected_receivers(state).items()
        if queues is None or receiver.queue in queues
    ]
    for one in runtime.inbox.pauses.paused():
        if (one.hook, one.receiver) in mine:
            echo(f"{printable(one.receiver)} of the hook {printable(one.hook)} is paused.")
    later = runtime.inbox.receipts.later(mine)
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
