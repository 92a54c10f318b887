"""The commands about the inbox as a whole, and what is done to what is stored."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click
from flask.cli import with_appcontext

from okta_hooks.inbox.selection import Selection
from okta_hooks.inbox.space import DAYS
from okta_hooks.inbox.tables import STATES
from okta_hooks.printable import printable
from okta_hooks.work.retry import LONGEST_WAIT

from .auditing import described, doing, reason_option
from .completion import complete_receiver
from .context import state_of_app, with_inbox
from .events import selection
from .known import check_receiver, check_selection
from .not_replayed import Obstacles
from .options import Moment, Span, as_json_option
from .output import counted, echo, in_bytes, is_or_are, iso
from .table import print_table

if TYPE_CHECKING:
    from okta_hooks.inbox.consistency import Inconsistency
    from okta_hooks.state.runtime import Runtime


@click.command()
@with_appcontext
@with_inbox
def init_db(runtime: Runtime) -> None:
    """Create the inbox's tables, or what is missing of them."""
    runtime.inbox.open()
    click.echo("The tables are there.")


@click.command()
@with_appcontext
@click.option(
    "--check", is_flag=True, help="Exit 1 on dead letters, a backlog, or what must not be there."
)
@click.option(
    "--max-age",
    default=300.0,
    show_default=True,
    help="Seconds from which on an open event is a backlog.",
)
@click.option(
    "--max-silence",
    type=Span(),
    help="With --check: exit 1 if a hook has had no delivery for so long, such as 6h.",
)
@click.option(
    "--recount",
    is_flag=True,
    help="Count what is done anew, which takes the longer the more there is.",
)
@as_json_option
@with_inbox
def inbox(
    runtime: Runtime,
    check: bool,
    max_age: float,
    max_silence: float | None,
    recount: bool,
    as_json: bool,
) -> None:
    """Count events by state, and tell how old the oldest open one is."""
    if max_silence is not None and not check:
        raise click.UsageError("--max-silence goes with --check.")
    if recount and runtime.inbox.totals.recount():
        click.echo("The numbers of what is done were wrong, and are right now.", err=True)
    counts = runtime.inbox.overview.counts()
    age = counts.oldest_pending_seconds
    found = (
        runtime.inbox.consistency.check(list(state_of_app().hooks), longest_wait=LONGEST_WAIT)
        if check
        else []
    )
    silent = {} if max_silence is None else _silent(runtime, max_silence)
    paused = runtime.inbox.pauses.paused()
    backlog = runtime.inbox.overview.backlog_seconds() if check and paused else age
    size = runtime.inbox.space.size()
    if as_json:
        told: dict[str, Any] = {}
        if check:
            told["inconsistencies"] = [_inconsistency(item) for item in found]
        if max_silence is not None:
            told["silent"] = {hook: iso(last) for hook, last in silent.items()}
        sizes = {"bytes": size.now, "bytes_in_100_days": size.later}
        told["paused"] = [{"hook": one.hook, "receiver": one.receiver} for one in paused]
        click.echo(json.dumps(asdict(counts) | sizes | told))
    else:
        click.echo(f"inbox: {_location(runtime)}")
        print_table([{"events": state, "": getattr(counts, state)} for state in STATES])
        click.echo(f"oldest open event: {'none' if age is None else f'{age:.0f} s'}")
        later = (
            "" if size.later is None else f"; at this rate {in_bytes(size.later)} in {DAYS} days"
        )
        click.echo(f"size: {in_bytes(size.now)}{later}")
        for one in paused:
            name = f"{printable(one.receiver)} of the hook {printable(one.hook)}"
            echo(f"paused: {name}, since {iso(one.paused_at)}")
        for item in found:
            times = counted(item.number, "time")
            echo(
                f"inconsistent: {times} a {item.kind.description}, of the hook {printable(item.hook)}"
            )
        for hook, last in silent.items():
            since = "ever" if last is None else f"since {iso(last)}"
            echo(f"silent: no delivery of the hook {printable(hook)} {since}")
    if check and (counts.dead or (backlog or 0.0) > max_age or found or silent):
        sys.exit(1)


def _silent(runtime: Runtime, seconds: float) -> dict[str, float | None]:
    """Return the app's hooks that have had no delivery for so long, each with when the last came."""
    now = runtime.inbox.clock()
    known = runtime.inbox.hours.last_by_hook()
    last = {hook: known.get(hook) for hook in state_of_app().hooks}
    return {hook: at for hook, at in last.items() if at is None or now - at > seconds}


def _location(runtime: Runtime) -> str:
    if runtime.inbox.path is not None:
        return f"the SQLite file {runtime.inbox.path}"
    # Any parameter may hold a password, too.
    url = runtime.inbox.database.url.set(query={})
    return f"the database {url.render_as_string(hide_password=True)}"


def _inconsistency(item: Inconsistency) -> dict[str, Any]:
    return {"kind": item.kind, "hook": item.hook, "number": item.number}


@click.command()
@with_appcontext
@selection
@click.option(
    "--receiver",
    shell_complete=complete_receiver,
    help="Reset the receipt of this receiver, and nothing else.",
)
@click.option("--dry-run", is_flag=True, help="Only count.")
@reason_option
@as_json_option
@with_inbox
def replay(
    runtime: Runtime,
    receiver: str | None,
    dry_run: bool,
    reason: str | None,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Send done or dead events to their receivers again.

    A dead event gets its dead receipts back; a done event goes to all receivers anew.
    """
    if not any(chosen.values()) and receiver is None:
        raise click.UsageError(
            "Say which events: uuids, --state, --type, --since, --unreceived ..."
        )
    if receiver is not None:
        check_receiver(runtime.inbox, receiver)
    found = Selection(**chosen)
    check_selection(runtime.inbox, found)
    # Before the replay: what it has changed is open, too.
    obstacles = Obstacles(runtime.inbox.overview, found, receiver)
    if dry_run:
        number = runtime.inbox.upkeep.replay(found, receiver=receiver, dry_run=True)
    else:
        subject = described(found, receiver)
        with doing(runtime, "replay", subject, hook=found.hook, reason=reason) as it:
            number = it.number = runtime.inbox.upkeep.replay(found, receiver=receiver)
    if as_json:
        click.echo(json.dumps({"events": number, "dry_run": dry_run}))
    else:
        verb = "would be" if dry_run else is_or_are(number)
        click.echo(f"{counted(number, 'event')} {verb} replayed.")
    for line in obstacles.lines:
        echo(printable(line), err=True)
    if chosen["uuids"] and not number:
        sys.exit(1)


@click.command()
@with_appcontext
@click.option("--dead", is_flag=True, help="Delete dead letters instead.")
@click.option("--older-than", type=Moment(), help="With --dead: a time, or an age such as 30d.")
@click.option("--dry-run", is_flag=True, help="With --dead: only count.")
@reason_option
@with_inbox
def prune(
    runtime: Runtime, dead: bool, older_than: float | None, dry_run: bool, reason: str | None
) -> None:
    """Forget what OKTA_HOOKS_RETENTION does not keep. The worker does this by itself."""
    if dead:
        if older_than is None:
            raise click.UsageError("--dead needs --older-than.")
        if dry_run:
            number = runtime.inbox.upkeep.prune_dead(before=older_than, dry_run=True)
        else:
            subject = f"--dead --older-than {iso(older_than)}"
            with doing(runtime, "prune", subject, hook=None, reason=reason) as it:
                number = it.number = runtime.inbox.upkeep.prune_dead(before=older_than)
        verb = "would be" if dry_run else is_or_are(number)
        click.echo(f"{counted(number, 'dead letter')} {verb} deleted.")
        return
    if older_than is not None or dry_run:
        raise click.UsageError("--older-than and --dry-run go with --dead.")
    total = 0
    with doing(runtime, "prune", "OKTA_HOOKS_RETENTION", hook=None, reason=reason) as it:
        while number := runtime.worker.housekeeping.prune():
            total += number
        it.number = total
    click.echo(f"{counted(total, 'delivery', 'deliveries')} {is_or_are(total)} pruned.")
