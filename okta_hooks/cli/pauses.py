"""The commands that stop and continue a receiver."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from flask.cli import with_appcontext

from okta_hooks.printable import printable

from .auditing import doing, operator, reason_option
from .completion import complete_hook, complete_receiver
from .context import with_inbox
from .known import hook_of_receiver
from .output import counted, echo, iso

if TYPE_CHECKING:
    from okta_hooks.inbox.pauses import Pause
    from okta_hooks.state.runtime import Runtime

_hook_option = click.option(
    "--hook", shell_complete=complete_hook, help="Which hook, if several have such a receiver."
)
_receiver_argument = click.argument("receiver", shell_complete=complete_receiver)


@click.command()
@with_appcontext
@_receiver_argument
@_hook_option
@reason_option
@with_inbox
def pause(runtime: Runtime, receiver: str, hook: str | None, reason: str | None) -> None:
    """Give a receiver no more events until it is resumed.

    That holds for every process. What it has begun is let finish; its other
    events wait.
    """
    inbox = runtime.inbox
    hook = hook_of_receiver(inbox, receiver, hook)
    known = _pause_of(runtime, hook, receiver)
    if known is not None:
        echo(f"It is {described(known)}.")
        return
    with doing(runtime, "pause", receiver, hook=hook, reason=reason) as it:
        it.number = int(inbox.pauses.pause(hook, receiver, who=operator(), reason=reason))
    echo(f"The receiver {printable(receiver)} of the hook {printable(hook)} is paused.")
    for row in inbox.overview.receivers():
        if (row.hook, row.receiver) == (hook, receiver) and row.claimed:
            echo(f"{counted(row.claimed, 'receipt')} in hand: what has begun is let finish.")


@click.command()
@with_appcontext
@_receiver_argument
@_hook_option
@reason_option
@with_inbox
def resume(runtime: Runtime, receiver: str, hook: str | None, reason: str | None) -> None:
    """Let a receiver that was paused go on."""
    inbox = runtime.inbox
    hook = hook_of_receiver(inbox, receiver, hook)
    if _pause_of(runtime, hook, receiver) is None:
        echo("It is not paused.")
        return
    with doing(runtime, "resume", receiver, hook=hook, reason=reason) as it:
        it.number = int(inbox.pauses.resume(hook, receiver))
    echo(f"The receiver {printable(receiver)} of the hook {printable(hook)} goes on.")


def _pause_of(runtime: Runtime, hook: str, receiver: str) -> Pause | None:
    found = runtime.inbox.pauses.paused()
    return next((one for one in found if (one.hook, one.receiver) == (hook, receiver)), None)


def described(one: Pause) -> str:
    """Return since when a receiver is paused, by whom and why."""
    why = "" if one.reason is None else f": {printable(one.reason)}"
    return f"paused since {iso(one.paused_at)} by {printable(one.who)}{why}"
