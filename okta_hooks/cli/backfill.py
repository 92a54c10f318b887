"""The command that brings the System Log into the inbox."""

from __future__ import annotations

import json
import sys
import threading
from typing import TYPE_CHECKING

import click
from flask.cli import with_appcontext

from okta_hooks.org.backfill import Backfill, Stopped, cursor_under_other_name, interruptible
from okta_hooks.org.registration import NamedHook
from okta_hooks.org.retries import MOST_FAILURES, patiently

from .context import one_hook, state_of_app, with_inbox
from .options import Moment, Span, as_json_option, check_url
from .org import hook_at_okta, open_org, refuse_to_guess
from .output import Progress, counted, iso
from .stopping import work_with_signals

if TYPE_CHECKING:
    from okta_hooks.state import AppState
    from okta_hooks.state.runtime import Runtime


@click.command()
@with_appcontext
@click.option("--since", type=Moment(past=True), help="Read from this time, or age, on.")
@click.option("--follow", is_flag=True, help="Go on for good, until SIGTERM or SIGINT.")
@click.option(
    "--every",
    type=Span(),
    default="60s",
    show_default=True,
    help="With --follow: how long to wait at the end of the log.",
)
@click.option("--name", help="The hook's name at Okta.")
@click.option("--url", callback=check_url, help="The hook's URL at Okta.")
@click.option("--hook", help="Which hook of this app --name or --url is about.")
@click.option(
    "--store-differing",
    is_flag=True,
    help="Store the log's version of every event that a hook delivered otherwise, however many there are.",
)
@as_json_option
@with_inbox
def backfill(
    runtime: Runtime,
    since: float | None,
    follow: bool,
    every: float,
    name: str | None,
    url: str | None,
    hook: str | None,
    store_differing: bool,
    as_json: bool,
) -> None:
    """Read Okta's System Log, and store what has not arrived.

    It goes on from where it stopped the last time. The first SIGTERM or SIGINT finishes the page that is in
    hand; a second one does not wait for that.
    """
    state = state_of_app()
    named = None
    if name is not None or url is not None:
        named = NamedHook(hook=one_hook(state, hook), name=name, url=url)
    if not runtime.worker.has_receivers():
        raise click.ClickException(
            "No receivers are connected in this app: what is read would go to nobody. "
            "Is the module that connects them imported where the app is made?"
        )
    stopping = threading.Event()

    def on_signal(number: int) -> None:
        if stopping.is_set():
            sys.exit(128 + number)
        stopping.set()
        click.echo("Finishing the page that is in hand.", err=True)

    is_complete = work_with_signals(
        lambda: _read(
            state,
            stopping,
            since,
            every if follow else None,
            named,
            stores_all_differing=store_differing,
            as_json=as_json,
        ),
        on_signal,
    )
    if not is_complete and not follow:
        click.echo(
            "Stopped before the end of the log: without --since it goes on from there.", err=True
        )
        sys.exit(1)


def _read(
    state: AppState,
    stopping: threading.Event,
    since: float | None,
    every: float | None,
    named: NamedHook | None,
    *,
    stores_all_differing: bool,
    as_json: bool,
) -> bool:
    """Read the log, and return whether its end was reached."""
    wait = interruptible(stopping)
    progress = Progress(bar=every is None)
    with open_org(state, "okta.logs.read", tell=progress.tell, wait=wait) as client:
        inbox = state.runtime().inbox

        def look_first() -> None:
            if (
                since is None
                and inbox.cursors.of(client.url) is None
                and cursor_under_other_name(inbox, client, progress.tell) is None
            ):
                raise click.UsageError(
                    f"The System Log of {client.url} was never read before: say from when on, with --since 24h."
                )
            if named is not None:
                hook_at_okta(state, inbox, client, named.hook, named.name, named.url)
            refuse_to_guess(state, inbox, client, except_for=named.hook if named else None)

        times = MOST_FAILURES if every is None else float("inf")
        try:
            patiently(look_first, progress.tell, wait, times=times)
            with progress:
                reading = Backfill(
                    state,
                    client,
                    stopping,
                    named=named,
                    stores_all_differing=stores_all_differing,
                    tell=progress.tell,
                    progress=lambda tally: progress.show(
                        tally.events, tally.reached_at, f"{sum(tally.new.values())} new"
                    ),
                )
                patiently(lambda: reading.begin(since), progress.tell, wait, times=times)
                progress.begin(reading.tally.began_at, inbox.clock(), client.url)
                if every is None:
                    reading.catch_up(max_failures=MOST_FAILURES)
                else:
                    reading.follow(every)
        except Stopped:  # before it has begun
            return False
        _print(state, reading, client.url, as_json=as_json)
        return reading.tally.is_at_end


def _print(state: AppState, reading: Backfill, org: str, *, as_json: bool) -> None:
    tally = reading.tally
    hooks = {
        name: {
            "new": tally.new.get(name, 0),
            "duplicate": tally.duplicate.get(name, 0),
            "dead": tally.dead.get(name, 0),
        }
        for name in state.hooks
    }
    if as_json:
        document = {
            "org": org,
            "pages": tally.pages,
            "events": tally.events,
            "new": sum(tally.new.values()),
            "duplicate": sum(tally.duplicate.values()),
            "dead": sum(tally.dead.values()),
            "contradicting": tally.contradicting,
            "hooks": hooks,
            "since": iso(tally.began_at),
            "reached": iso(tally.reached_at),
            "is_at_end": tally.is_at_end,
            "gap": tally.gap and [iso(moment) for moment in tally.gap],
        }
        click.echo(json.dumps(document))
        return
    upto = "" if tally.reached_at is None else f", up to {iso(tally.reached_at)}"
    click.echo(f"{counted(tally.events, 'event')} read, in {counted(tally.pages, 'page')}{upto}.")
    for name, counts in hooks.items():
        text = f"{name}: {counts['new']} new, {counts['duplicate']} there already"
        click.echo(text + (f", {counts['dead']} unreadable" if counts["dead"] else ""))
    if tally.contradicting:
        is_one = tally.contradicting == 1
        what = "is the log's version of an event" if is_one else "are the log's versions of events"
        click.echo(f"{tally.contradicting} of the new ones {what} that a hook delivered otherwise.")
