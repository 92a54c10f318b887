"""A group whose commands are imported when they are used.

https://click.palletsprojects.com/en/stable/complex/#lazily-loading-subcommands
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

import click
from flask.cli import AppGroup

from okta_hooks.exceptions import ConfigurationError
from okta_hooks.printable import printable

from .output import colours

if TYPE_CHECKING:
    from collections.abc import Mapping


class LazyCommand(NamedTuple):
    """Where a command is, and what the help of its group says of it: the first sentence of its own help."""

    module: str
    attribute: str
    help: str


class LazyGroup(AppGroup):
    """A group of commands. Its help imports none of them.

    :param lazy: The commands by name.
    """

    def __init__(self, *args: Any, lazy: Mapping[str, LazyCommand], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lazy = lazy

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command, and tell in one line of a configuration that cannot be right.

        Flask makes the app within the command, and that is where the app's hooks are registered.
        """
        ctx.color = colours()
        try:
            return super().invoke(ctx)
        except ConfigurationError as error:
            raise click.ClickException(printable(str(error))) from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, in order."""
        return sorted({*super().list_commands(ctx), *self.lazy})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, imported if it was not used before, or None if there is none of that name."""
        if cmd_name in self.lazy and cmd_name not in self.commands:
            found = self.lazy[cmd_name]
            command: click.Command = getattr(import_module(found.module), found.attribute)
            self.add_command(command, cmd_name)
        return super().get_command(ctx, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the section on commands."""
        listed = {name: click.Command(name, help=found.help) for name, found in self.lazy.items()}
        click.Group(commands={**self.commands, **listed}).format_commands(ctx, formatter)
