"""The command that finds out what is wrong."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import click
from flask.cli import with_appcontext

from okta_hooks.doctor import LEVELS, examine
from okta_hooks.printable import printable

from .completion import complete_hook
from .context import app_of_command, one_hook, state_of_app
from .options import as_json_option, check_url
from .output import counted, echo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from okta_hooks.doctor import Check

_COLOURS: Final[Mapping[str, str]] = {"ok": "green", "warning": "yellow", "failure": "red"}
_COUNTED: Final = ("warning", "failure")
_MARGIN: Final = 24


@click.command()
@with_appcontext
@click.option(
    "--url",
    callback=check_url,
    help="What to ask; by default OKTA_HOOKS_URL, or with --name what Okta has.",
)
@click.option("--name", help="What the hook is called at Okta.")
@click.option(
    "--hook", shell_complete=complete_hook, help="Which hook of this app, if it has several."
)
@click.option("--offline", is_flag=True, help="Ask neither Okta nor the URL.")
@as_json_option
def doctor(
    url: str | None,
    name: str | None,
    hook: str | None,
    offline: bool,
    as_json: bool,
) -> None:
    """Find out what is wrong, and say what to do about it.

    Exits with 1 if anything is a failure.
    """
    if url is not None and offline:
        raise click.UsageError("--url is asked over the network: leave --offline away.")
    if name is not None and offline:
        raise click.UsageError("--name is looked up at Okta: leave --offline away.")
    state = state_of_app()
    app = app_of_command()
    found = []
    for check in examine(app, state, one_hook(state, hook), url=url, name=name, offline=offline):
        found.append(check)
        if not as_json:
            _print(check)
    if as_json:
        click.echo(json.dumps([asdict(check) for check in found]))
    else:
        counts = Counter(check.level for check in found)
        parts = [
            counted(counts[level], level) if level in _COUNTED else f"{counts[level]} {level}"
            for level in LEVELS
        ]
        click.echo(", ".join(parts))
    if any(check.level == "failure" for check in found):
        sys.exit(1)


def _print(check: Check) -> None:
    level = click.style(check.level.ljust(8), fg=_COLOURS.get(check.level))
    echo(f"{level} {check.name.ljust(_MARGIN - 10)} {printable(check.text)}")
    if check.cure is not None:
        echo(f"{' ' * _MARGIN}-> {printable(check.cure)}")
