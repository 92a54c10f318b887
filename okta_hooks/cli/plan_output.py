"""A plan, and the hook at Okta that it is about: for people, and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from okta_hooks.org import terraform
from okta_hooks.org.subscription import shown_change
from okta_hooks.org.urls import shown
from okta_hooks.printable import printable

from .output import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from okta_hooks.org.hooks import RegisteredHook
    from okta_hooks.org.subscription import Plan


_AFTER_THE_IMPORT: Final = (
    "After the import Terraform's first apply writes the hook with the secret, and Okta takes the verification away "
    "until okta_event_hook_verification has brought it back: the app must be up, and know that secret."
)

_WHAT_IS_NOT_COMPARED: Final = (
    "Okta does not tell which secret it has: apply --rotate gives it the first one of "
    "OKTA_HOOKS_SECRET."
)


def print_plan(
    made: Plan, warnings: Sequence[str], *, verifies: bool = True, err: bool = False
) -> None:
    """Print a plan for people; warnings go to the standard error.

    :param verifies: Whether the verification is a part of it: it may be left to another command.
    :param err: Whether all of it goes there.
    """
    url = shown(made.url)
    _warn(warnings)
    if made.live is None:
        _line("+", f"{made.name!r} at {url}", err=err)
    elif made.is_in_step:
        click.echo(printable(f"{made.live.name!r} ({made.live.id}) at {url} is in step."), err=err)
        if made.auth_header is not None:
            click.echo(_WHAT_IS_NOT_COMPARED, err=err)
    else:
        _line("~", f"{made.live.name!r} ({made.live.id}) at {shown(made.live.url or '')}", err=err)
    for change in map(shown_change, made.changes_made(verifies=verifies)):
        before, after = change.before or "none", change.after or "none"
        _line("~", f"{change.what}: {before} -> {after}", indent=4, err=err)
    if made.rotates:
        _line("~", "secret: the first one of OKTA_HOOKS_SECRET", indent=4, err=err)
    for event_type in made.add:
        _line("+", event_type, indent=4, err=err)
    for event_type in made.remove:
        _line("-", f"{event_type} (nobody receives it)", indent=4, err=err)
    if made.replaces and made.kept:
        click.echo(printable(f"      kept: {', '.join(made.kept)}"), err=err)
    if made.replaces and made.lost:
        _line("-", f"lost: {', '.join(made.lost)}", indent=4, err=err)
    click.echo(f"Plan: {_summary(made, verifies=verifies)}", err=err)


def print_hcl(made: Plan, warnings: Sequence[str], hook: str) -> None:
    """Print the resource of a plan for Terraform; what else there is to say goes to the standard error.

    :param hook: The hook's name in the app.
    """
    _warn(warnings)
    if lost := terraform.not_held(made):
        _warn([f"The resource has no place for {', '.join(lost)}: Terraform removes it."])
    if made.live is not None and made.auth_header is not None:
        # Okta tells nobody the secret that it has, so to Terraform it is always a change.
        _warn([_AFTER_THE_IMPORT])
    click.echo(terraform.configuration(made, hook))
    click.echo(f"Plan: {_summary(made)}", err=True)


def _warn(warnings: Sequence[str]) -> None:
    for warning in warnings:
        click.secho(f"Warning: {printable(warning)}", fg="yellow", err=True)


def _line(sign: str, text: str, *, indent: int = 2, err: bool) -> None:
    colour = {"+": "green", "-": "red", "~": "yellow"}[sign]
    click.echo(f"{' ' * indent}{click.style(sign, fg=colour)} {printable(text)}", err=err)


def _summary(made: Plan, *, verifies: bool = True) -> str:
    if made.is_in_step:
        return f"nothing to do: {counted(len(made.types), 'type')}."
    if made.live is None:
        return f"1 to create: {counted(len(made.add), 'type')}."
    parts = [f"{counted(len(made.add), 'type')} to add"] if made.add else []
    if made.remove:
        parts.append(
            f"{len(made.remove) if parts else counted(len(made.remove), 'type')} to remove"
        )
    others = len(made.changes_made(verifies=verifies)) + made.rotates
    if others:
        parts.append(f"{counted(others, 'other change')}")
    if not parts:
        return "nothing to do but the verification, which --no-verify leaves out."
    return f"1 to change: {', '.join(parts)}."


def document(made: Plan, warnings: Sequence[str]) -> dict[str, Any]:
    """Return a plan as JSON has it."""
    return {
        "action": made.action,
        "in_step": made.is_in_step,
        "id": made.live.id if made.live else None,
        "name": made.name,
        "url": shown(made.url),
        "types": list(made.types),
        "add": list(made.add),
        "remove": list(made.remove),
        "changes": [
            {"what": change.what, "before": change.before, "after": change.after}
            for change in map(shown_change, made.changes)
        ],
        "rotates": made.rotates,
        "kept": list(made.kept),
        "lost": list(made.lost),
        "undeliverable": [
            {"receiver": each.receiver, "pattern": each.pattern, "reason": each.reason}
            for each in made.undeliverable
        ],
        "warnings": list(warnings),
    }


def hook_document(live: RegisteredHook) -> dict[str, Any]:
    """Return a hook at Okta as JSON has it, without what may be secret."""
    return {
        "id": live.id,
        "name": live.name,
        "url": live.url and shown(live.url),
        "status": live.status,
        "verification": live.verification_status,
    }
