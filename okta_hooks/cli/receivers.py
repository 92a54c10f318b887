"""The command about who is connected."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click
from flask.cli import with_appcontext

from okta_hooks.exceptions import InboxUnavailable
from okta_hooks.inbox.tables import STATES
from okta_hooks.printable import printable

from .context import app_of_command, connected_receivers, state_of_app
from .options import as_json_option
from .output import iso
from .table import print_table

if TYPE_CHECKING:
    from okta_hooks.inbox.overview import ReceiverCounts


@click.command()
@with_appcontext
@as_json_option
def receivers(as_json: bool) -> None:
    """List the connected receivers, and what the inbox knows of each."""
    state = state_of_app()
    app = app_of_command()
    known: dict[tuple[str, str], ReceiverCounts] = {}
    paused: dict[tuple[str, str], float] = {}
    if state.settings.inbox is not None:
        try:
            stored = state.runtime().inbox
            known = {(row.hook, row.receiver): row for row in stored.overview.receivers()}
            paused = {(one.hook, one.receiver): one.paused_at for one in stored.pauses.paused()}
        except InboxUnavailable as error:
            click.echo(f"The inbox cannot be used: {printable(str(error))}", err=True)
    connected = connected_receivers(state)
    rows = []
    for key in sorted({*connected, *known, *paused}):
        seen = known.get(key)
        receiver = connected.get(key)
        rows.append(
            {
                "hook": key[0],
                "receiver": key[1],
                "patterns": " ".join(state.hooks[key[0]].receivers.patterns_of(receiver, app))
                if receiver
                else None,
                "connected": receiver is not None,
                "last_seen": iso(seen.seen_at if seen else None),
                **{name: getattr(seen, name, 0) for name in STATES},
                "queue": receiver.queue if receiver else None,
                # For people only where there is one: the table is wide.
                **({"paused": iso(paused.get(key))} if paused or as_json else {}),
            }
        )
    if as_json:
        click.echo(json.dumps(rows))
    else:
        print_table(rows, head="receiver")
