"""The audit: who uses a command and why, for the commands that are written down, and what was."""

from __future__ import annotations

import getpass
import json
import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import click
from flask.cli import with_appcontext

from okta_hooks import audit as auditing

from .context import app_of_command, with_inbox
from .options import as_json_option
from .output import iso
from .table import print_table

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from okta_hooks.audit import Action, Doing
    from okta_hooks.inbox.selection import Selection
    from okta_hooks.state.runtime import Runtime

#: Of more uuids the number says enough.
_MOST_UUIDS: Final = 10

reason_option = click.option("--reason", help="Why, for the audit.")


def operator() -> str:
    """Return the user of the operating system that runs this process."""
    try:
        import pwd
    except ImportError:  # Windows
        return getpass.getuser()
    user = os.getuid()
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:  # a container may run as a user that it does not know
        return f"user {user}"


def doing(
    runtime: Runtime, action: Action, subject: str, *, hook: str | None, reason: str | None
) -> AbstractContextManager[Doing]:
    """Write down what a command is about to do: see :func:`okta_hooks.audit.doing`."""
    return auditing.doing(
        app_of_command(),
        runtime.inbox,
        action,
        subject,
        who=operator(),
        via="command",
        hook=hook,
        reason=reason,
    )


def described(chosen: Selection, receiver: str | None) -> str:
    """Return what a selection of events was made by, as its options."""
    options: list[tuple[str, Any]] = [
        *(("--state", state) for state in chosen.states),
        *(("--type", pattern) for pattern in chosen.patterns),
        ("--since", iso(chosen.since)),
        ("--until", iso(chosen.until)),
        ("--receiver", receiver),
    ]
    words = list(chosen.uuids[:_MOST_UUIDS])
    if len(chosen.uuids) > _MOST_UUIDS:
        words.append(f"and {len(chosen.uuids) - _MOST_UUIDS} more")
    words += [f"{name} {value}" for name, value in options if value is not None]
    return " ".join([*words, *(["--unreceived"] if chosen.unreceived else [])])


@click.command()
@with_appcontext
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True)
@click.option("--before", type=int, help="The id of an entry: go on behind it in the list.")
@as_json_option
@with_inbox
def audit(runtime: Runtime, limit: int, before: int | None, as_json: bool) -> None:
    """Tell who has done what to the inbox, and why.

    Newest first; that is who has revealed, replayed, pruned, paused and resumed.
    """
    found = runtime.inbox.audit.entries(limit=limit, before=before)
    if as_json:
        click.echo(json.dumps([{**asdict(entry), "at": iso(entry.at)} for entry in found]))
        return
    print_table(
        [
            {
                "at": iso(entry.at),
                "who": entry.who,
                "action": entry.action,
                "number": entry.number,
                "hook": entry.hook,
                "subject": entry.subject,
                "reason": entry.reason,
                "via": entry.via,
            }
            for entry in found
        ]
    )
    if len(found) == limit:
        click.echo(f"There may be more: --before {found[-1].id}", err=True)
