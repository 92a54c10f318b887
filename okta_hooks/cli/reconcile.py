"""The command that proves that nothing that Okta meant for a hook is missing."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import click
from flask.cli import with_appcontext

from okta_hooks.org.reconcile import reconcile as compare
from okta_hooks.org.retries import MOST_FAILURES, patiently
from okta_hooks.org.selector import LogSelector, restricted_types
from okta_hooks.printable import printable

from .context import app_of_command, one_hook, state_of_app, with_inbox
from .options import Moment, as_json_option, check_url
from .org import hook_at_okta, open_org
from .output import Progress, counted, echo, iso

if TYPE_CHECKING:
    from okta_hooks.org.reconcile import Report
    from okta_hooks.org.registration import Registration
    from okta_hooks.state.runtime import Runtime

_MOST_LISTED: Final = 20


@click.command()
@with_appcontext
@click.option(
    "--since",
    type=Moment(past=True),
    default="24h",
    show_default=True,
    help="Of events published at or after this time, or age.",
)
@click.option("--until", type=Moment(), help="Of events published before this time, or age.")
@click.option("--name", help="The hook's name at Okta.")
@click.option("--url", callback=check_url, help="The hook's URL at Okta.")
@click.option("--hook", help="Which hook of this app, if it has several.")
@as_json_option
@with_inbox
def reconcile(
    runtime: Runtime,
    since: float,
    until: float | None,
    name: str | None,
    url: str | None,
    hook: str | None,
    as_json: bool,
) -> None:
    """Compare what Okta meant for a hook with what has arrived.

    Exits with 1 if anything is missing, or could not be looked at.
    """
    if until is not None and until <= since:
        raise click.UsageError("--until must be later than --since.")
    state = state_of_app()
    hook = one_hook(state, hook)
    progress = Progress(bar=True)
    with open_org(state, "okta.logs.read", tell=progress.tell) as client:
        known = patiently(
            lambda: hook_at_okta(state, runtime.inbox, client, hook, name, url),
            progress.tell,
            time.sleep,
            times=MOST_FAILURES,
        )
        selector = LogSelector(
            hook=state.hooks[hook], ids=known.ids, restricted=restricted_types(known.live)
        )
        app = app_of_command()
        with progress:
            progress.begin(since, until or runtime.inbox.clock(), client.url)
            report = compare(
                client,
                runtime.inbox,
                hook,
                known.ids,
                since=since,
                until=until,
                selects=lambda raw: selector.selects(raw, app),
                tell=progress.tell,
                progress=lambda report: progress.show(
                    report.read, report.reached_at, f"{len(report.missing)} missing"
                ),
            )
    document = _document(report, hook, known, client.url, since, until)
    if as_json:
        click.echo(json.dumps(document))
    else:
        _print(report, document)
    sys.exit(1 if report.missing or report.unidentified or report.gap else 0)


def _document(
    report: Report, hook: str, known: Registration, org: str, since: float, until: float | None
) -> dict[str, Any]:
    late = {"p50": report.late(0.5), "p99": report.late(0.99), "max": report.late(1)}
    return {
        "org": org,
        "hook": hook,
        "hook_ids": sorted(known.ids),
        "since": iso(since),
        "until": iso(until),
        "reached": iso(report.reached_at),
        "events": report.read,
        "meant": report.meant,
        "by_hook": report.by_hook,
        "by_backfill": report.by_backfill,
        "under_way": report.under_way,
        "unidentified": report.unidentified,
        "not_compared": report.not_compared,
        "not_meant": report.not_meant,
        "missing": report.missing,
        "late_seconds": {
            key: value if value is None else round(value, 3) for key, value in late.items()
        },
        "failed_deliveries": report.failed,
        "failures": report.failures,
        "gap": report.gap and [iso(moment) for moment in report.gap],
    }


def _print(report: Report, document: dict[str, Any]) -> None:
    rows = [("meant for the hook", report.meant), ("arrived by hook", report.by_hook)]
    rows += [("arrived by backfill", report.by_backfill), ("under way", report.under_way)]
    if report.unidentified:
        rows.append(("without a usable uuid", report.unidentified))
    if report.not_compared:
        rows.append(("known by uuid alone", report.not_compared))
    rows += [("missing", len(report.missing)), ("failed deliveries", report.failed)]
    for label, number in rows:
        click.echo(f"{label:<22}{number:>10}")
    late = document["late_seconds"]
    if report.lateness:
        click.echo(
            f"By hook they came {late['p50']:g} s (half of them), {late['p99']:g} s (99 of 100) "
            f"or {late['max']:g} s (the latest) after they were published."
        )
    for failure in report.failures[:_MOST_LISTED]:
        told = (failure["published"], failure["event_id"] or "-", failure["reason"] or "-")
        echo(printable("failed: {} {} {}".format(*told)))
    _and_more(report.failed)
    for uuid in report.missing[:_MOST_LISTED]:
        click.echo(f"missing: {uuid}")
    _and_more(len(report.missing))
    _print_advice(report, document)


def _print_advice(report: Report, document: dict[str, Any]) -> None:
    if report.unidentified:
        have, them, they = "have", "them", "they have"
        if report.unidentified == 1:
            have, them, they = "has", "it", "it has"
        click.echo(
            f"{counted(report.unidentified, 'event')} {have} no uuid that tells {them} from others: "
            f"whether {they} arrived cannot be looked up.",
            err=True,
        )
    command = f"flask okta-hooks backfill --since {document['since']}"
    if report.not_meant:
        were, are, them = ("was", "is", "it") if report.not_meant == 1 else ("were", "are", "them")
        click.echo(
            f"{counted(report.not_meant, 'event')} for receivers of here {were} not meant for the hook, "
            f"and {are} not in the inbox. To bring {them}: {command}",
            err=True,
        )
    held_back = report.differing if report.has_too_many_differing else 0
    if len(report.missing) > held_back:
        click.echo(f"To bring what has not arrived: {command}", err=True)
    if held_back:
        click.echo(
            "What differs from what hooks delivered is brought, if edited previews are the reason, "
            f"by {command} --store-differing",
            err=True,
        )


def _and_more(number: int) -> None:
    if number > _MOST_LISTED:
        click.echo(f"... and {number - _MOST_LISTED} more: --json lists them.")
