"""The commands that show what is stored, and the options that choose events."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click
from flask.cli import AppGroup

from okta_hooks.inbox.selection import Selection
from okta_hooks.inbox.tables import CLAIMED, DEAD, DONE, PENDING, STATES
from okta_hooks.masking import masked, masked_text
from okta_hooks.printable import printable, readable_json

from .auditing import doing, reason_option
from .completion import complete_hook, complete_receiver, complete_type
from .context import with_inbox
from .known import check_receiver, check_selection
from .options import Moment, as_json_option
from .output import echo, iso, shortened
from .table import print_table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from okta_hooks.inbox.overview import EventDetails
    from okta_hooks.state.runtime import Runtime

F = TypeVar("F", bound="Callable[..., Any]")

#: From so many on it takes long to look at all.
_MANY_EVENTS: Final = 200_000


def selection(command: F) -> F:
    """Add the options that choose events."""
    for option in reversed(
        [
            click.argument("uuids", nargs=-1),
            click.option("--state", "states", multiple=True, type=click.Choice(STATES)),
            click.option(
                "--type",
                "patterns",
                multiple=True,
                shell_complete=complete_type,
                help="An event type, a.b.* or *.",
            ),
            click.option(
                "--hook", shell_complete=complete_hook, help="Only of the hook of this name."
            ),
            click.option("--since", type=Moment(), help="Received at or after this time, or age."),
            click.option("--until", type=Moment(), help="Received before this time, or age."),
            click.option(
                "--unreceived",
                is_flag=True,
                help="Only done events that no receiver was connected for.",
            ),
        ]
    ):
        command = option(command)
    return command


_WITHOUT_RECEIPTS: Final[Mapping[str, str]] = {
    PENDING: "no worker has taken it up yet",
    CLAIMED: "a worker puts that right",
    DONE: "no receiver was connected for it",
    DEAD: "it went to no receiver",
}

events = AppGroup("events", help="Look at stored events.")


@events.command("list")
@selection
@click.option(
    "--receiver",
    shell_complete=complete_receiver,
    help="Only what this receiver has a receipt of; --state is of that receipt then.",
)
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True)
@click.option("--before", type=int, help="The id of an event: go on behind it in the list.")
@as_json_option
@with_inbox
def list_events(
    runtime: Runtime,
    receiver: str | None,
    limit: int,
    before: int | None,
    as_json: bool,
    **chosen: Any,
) -> None:
    """List events, newest first."""
    if receiver is not None:
        check_receiver(runtime.inbox, receiver)
    selected = Selection(**chosen, receiver=receiver)
    overview = runtime.inbox.overview
    if not selected.is_quick and overview.newest_id() > _MANY_EVENTS:
        click.echo("There is no index for this: every event is looked at.", err=True)
    check_selection(runtime.inbox, selected)
    found = overview.find(selected, limit=limit, before=before)
    # What programs get as the reason is the event's own.
    given_up = {} if as_json else runtime.inbox.receipts.first_dead([one.id for one in found])
    rows = [
        {
            "uuid": event.uuid,
            "hook": event.hook,
            "type": event.type,
            "state": event.state,
            "via": event.via,
            "received": iso(event.received_at),
            "published": iso(event.published),
            "reason": event.reason
            or (
                f"{failure.receiver}: {shortened(failure.error)}"
                if (failure := given_up.get(event.id))
                else None
            ),
            **({"id": event.id} if as_json else {}),
        }
        for event in found
    ]
    if as_json:
        click.echo(json.dumps(rows))
        return
    print_table(rows)
    if len(found) == limit:
        click.echo(f"There may be more: --before {found[-1].id}", err=True)


@events.command("show")
@click.argument("uuid")
@click.option("--reveal", is_flag=True, help="Show personal data, too: the audit has it.")
@reason_option
@as_json_option
@with_inbox
def show_event(
    runtime: Runtime, uuid: str, reveal: bool, reason: str | None, as_json: bool
) -> None:
    """Show an event: its receipts, and what Okta sent of it.

    What may be personal data is masked.
    """
    if reason is not None and not reveal:
        raise click.UsageError("--reason goes with --reveal.")
    found = runtime.inbox.overview.show(uuid)
    if not found:
        raise click.ClickException(f"There is no event {uuid!r}.")
    with ExitStack() as stack:
        if reveal:
            for hook in sorted({item.event.hook for item in found}):
                it = stack.enter_context(doing(runtime, "reveal", uuid, hook=hook, reason=reason))
                it.number = sum(item.event.hook == hook for item in found)
        else:
            found = [_masked(item) for item in found]
        if as_json:
            click.echo(json.dumps([_as_json(item, masked=not reveal) for item in found]))
        else:
            _print(found)


def _masked(item: EventDetails) -> EventDetails:
    receipts = (replace(one, error=one.error and masked_text(one.error)) for one in item.receipts)
    return replace(item, receipts=tuple(receipts), raw=masked(item.raw))


def _print(found: Sequence[EventDetails]) -> None:
    for item in found:
        event = item.event
        type_ = printable(event.type or "(no type)")
        echo(f"{type_}  {event.uuid}  hook {printable(event.hook)}  {event.state}")
        delivery = f", {printable(event.event_id)}" if event.event_id else ""
        echo(f"received {iso(event.received_at)} via {event.via}{delivery}")
        if event.reason:
            echo(f"reason: {printable(event.reason)}")
        if item.receipts:
            print_table([{**asdict(row), "due": iso(row.due or None)} for row in item.receipts])
        elif event.state == DONE and not event.has_body:
            click.echo("(no receipts: they went with its body)")
        else:
            click.echo(f"(no receipts: {_WITHOUT_RECEIPTS[event.state]})")
        echo(readable_json(item.raw) if event.has_body else "(its body is gone)")


def _as_json(item: EventDetails, *, masked: bool) -> dict[str, Any]:
    receipts = [asdict(receipt) for receipt in item.receipts]
    return {**asdict(item.event), "receipts": receipts, "raw": item.raw, "masked": masked}
