"""The command that works off the inbox."""

from __future__ import annotations

import signal
import sys
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import click

from .options import group, with_inbox

if TYPE_CHECKING:
    from collections.abc import Callable

    from okta_hooks.runtime import Runtime


@group.command()
@click.option("--drain", is_flag=True, help="Stop when nothing is due any more.")
@with_inbox
def worker(runtime: Runtime, drain: bool) -> None:  # noqa: FBT001 - click passes flags
    """Hand stored events to the receivers, until SIGTERM or SIGINT.

    The first signal finishes what is in hand; a second one does not wait for that.
    """
    at_work = runtime.worker

    def on_signal(number: int, _: object) -> None:
        if at_work.stopping.is_set():
            sys.exit(128 + number)
        at_work.stopping.set()
        at_work.wake()
        click.echo("Finishing what is in hand.", err=True)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    if not at_work.has_receivers():
        click.echo("No receivers are connected in this app, so there is nothing to do.", err=True)
        if drain:
            return
    if not drain:
        click.echo(f"The worker {at_work.id} has started.", err=True)
        in_thread(at_work.run)
        return
    counts = runtime.inbox.counts()
    length = counts["pending"] + counts["claimed"]
    with click.progressbar(length=length, label="Draining", file=sys.stderr) as bar:
        total = in_thread(lambda: at_work.drain(bar.update))
    click.echo(f"{total} attempts.")


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
