"""The commands that keep a hook's registration at Okta in step with the code."""

from __future__ import annotations

import json
import shlex
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import click
from flask.cli import with_appcontext

from okta_hooks.exceptions import SubscriptionImpossible, VerificationFailed, as_sentence
from okta_hooks.org import lookup, provisioning, subscription
from okta_hooks.org.ownership import ownership_of
from okta_hooks.org.planning import plan_for
from okta_hooks.org.urls import shown
from okta_hooks.printable import printable

from . import verification
from .context import app_of_command, one_hook, state_of_app
from .options import as_json_option, hook_options
from .org import open_org
from .plan_output import document, hook_document, print_hcl, print_plan

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from okta_hooks.org.hooks import RegisteredHook
    from okta_hooks.org.subscription import Plan
    from okta_hooks.state import AppState

READ: Final = "okta.eventHooks.read"
MANAGE: Final = "okta.eventHooks.manage"
OUT_OF_STEP: Final = 2

_OKTA_IS_AHEAD: Final = (
    "Okta has the first secret of here already. As long as the served app does not know it, deliveries are "
    "refused, and plan cannot tell: give it to the app, or run apply --rotate where the right one is configured."
)


class _UsageErrorWithStatus1(click.UsageError):
    exit_code = 1


class _Comparing(click.Command):
    """A command whose status 2 is an answer: click exits with 2 for a wrong option, Flask if it finds no app."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Read the arguments."""
        try:
            return super().make_context(*args, **kwargs)
        except click.UsageError as error:
            raise _UsageErrorWithStatus1(error.format_message(), error.ctx) from error

    def invoke(self, ctx: click.Context) -> Any:
        """Load the app, and run."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            raise _UsageErrorWithStatus1(error.format_message(), error.ctx) from error


keep_types_option = click.option(
    "--keep-types",
    is_flag=True,
    help="Remove no type that nobody receives here: another app shares the hook.",
)


@click.command(cls=_Comparing)
@with_appcontext
@hook_options
@keep_types_option
@as_json_option
@click.option("--hcl", "as_hcl", is_flag=True, help="Print the resource for Terraform.")
def plan(
    url: str | None,
    name: str | None,
    hook: str | None,
    keep_types: bool,
    as_json: bool,
    as_hcl: bool,
) -> None:
    """Show where the hook at Okta is out of step.

    It is held against the connected receivers. Exits with 0 if it is in step, and with 2 if it is not.
    """
    if as_json and as_hcl:
        raise click.UsageError("--json and --hcl are two forms of the same: say one.")
    state = state_of_app()
    ours = one_hook(state, hook)
    with open_org(state, READ) as client:
        made, warnings = _plan(
            state, ours, client.hooks(), url=url, name=name, keeps_types=keep_types
        )
    if as_json:
        click.echo(json.dumps(document(made, warnings)))
    elif as_hcl:
        print_hcl(made, warnings, ours)
    else:
        print_plan(made, warnings)
    if not made.is_in_step:
        sys.exit(OUT_OF_STEP)


@click.command()
@with_appcontext
@hook_options
@click.option("--yes", is_flag=True, help="Do not ask: for scripts.")
@click.option("--no-verify", is_flag=True, help="Do not let Okta verify it yet.")
@click.option("--rotate", is_flag=True, help="Give Okta the first secret, whatever else changes.")
@keep_types_option
@as_json_option
def apply(
    url: str | None,
    name: str | None,
    hook: str | None,
    yes: bool,
    no_verify: bool,
    rotate: bool,
    keep_types: bool,
    as_json: bool,
) -> None:
    """Bring the hook at Okta in step, after asking.

    It is created or changed as plan shows, activated, and verified by Okta.
    """
    state = state_of_app()
    ours = one_hook(state, hook)
    secret = next(iter(state.secrets[ours]), None)
    if rotate and secret is None:
        raise click.ClickException(
            "There is no secret to give to Okta: OKTA_HOOKS_SECRET is not set."
        )
    with open_org(state, READ, MANAGE) as client:
        wanted: dict[str, Any] = {
            "url": url,
            "name": name,
            "rotates": rotate,
            "keeps_types": keep_types,
        }
        made, warnings = _plan(state, ours, client.hooks(), **wanted)
        if not as_json or not yes:
            print_plan(made, warnings, verifies=not no_verify, err=as_json)
        live = made.live
        if live is None or made.replaces or made.changes_made(verifies=not no_verify):
            if not yes:
                _ask(as_json=as_json)
                # The answer may have taken a while, and the hook may have been changed meanwhile.
                if _plan(state, ours, client.hooks(), **wanted)[0] != made:
                    raise click.ClickException(
                        "The hook has been changed at Okta meanwhile: plan again."
                    )
            replacement = provisioning.Replacement()
            with (
                _errors_for_people(state, ours, name),
                _way_back_after_an_error(made, replacement, ours if len(state.hooks) > 1 else None),
            ):
                live = provisioning.apply(
                    client,
                    made,
                    secret,
                    verifies=not no_verify,
                    own=ownership_of(state, ours),
                    is_named=name is not None or url is not None,
                    replacement=replacement,
                    tell=lambda line: click.echo(printable(line), err=as_json),
                )
    if as_json:
        click.echo(json.dumps({"plan": document(made, warnings), "hook": hook_document(live)}))
    if not live.is_verified:
        again = verification.command(
            state, ours, name=live.name, url=live.url, named=name is not None
        )
        click.echo(f"It gets no events yet. When the app is up: {again}", err=True)
    own = ownership_of(state, ours)
    if own.url is None and not own.owns(live):
        click.echo(_url_to_set(state, ours, live.url or ""), err=True)


@click.command()
@with_appcontext
@hook_options
@as_json_option
def verify(url: str | None, name: str | None, hook: str | None, as_json: bool) -> None:
    """Let Okta verify the URL of the hook.

    Only an active and verified hook gets events.
    """
    state = state_of_app()
    ours = one_hook(state, hook)
    path = state.path_of(ours)
    with open_org(state, READ, MANAGE) as client, _errors_for_people(state, ours, name):
        own = ownership_of(state, ours)
        live = lookup.choose(
            client.hooks(), hook=ours, own=own, name=name, url=url, path=path, creates=False
        )
        if live is None:
            sought = lookup.none_found(name=name, url=url or own.url, path=path)
            raise click.ClickException(f"{sought}: apply --url https://... creates it.")
        live = provisioning.verify(client, live)
    if as_json:
        click.echo(json.dumps(hook_document(live)))
    else:
        click.echo(printable(f"The hook {live.name!r} ({live.id}) is verified."))
    if not live.is_active:
        click.echo("It is inactive and gets no events: apply activates it.", err=True)


def _plan(
    state: AppState,
    hook: str,
    registered: Sequence[RegisteredHook],
    *,
    url: str | None,
    name: str | None,
    rotates: bool = False,
    keeps_types: bool = False,
) -> tuple[Plan, list[str]]:
    """Return the plan for a hook of the app, and what else a person should know."""
    with _errors_for_people(state, hook, name):
        return plan_for(
            app_of_command(),
            state,
            hook,
            registered,
            url=url,
            name=name,
            rotates=rotates,
            keeps_types=keeps_types,
        )


def _url_to_set(state: AppState, hook: str, url: str) -> str:
    value = url if shown(url) == url else "the whole URL"
    if len(state.hooks) > 1:
        setting = f"OKTA_HOOKS_URL of the hook {hook!r} to {value}"
    else:
        setting = f"OKTA_HOOKS_URL={url}" if value == url else f"OKTA_HOOKS_URL to {value}"
    return f"Set {setting}, so that the other commands know the hook."


def _ask(*, as_json: bool) -> None:
    if not sys.stdin.isatty():
        raise click.ClickException("There is no terminal to ask at: say --yes.")
    click.confirm("Do this?", abort=True, err=as_json)


@contextmanager
def _errors_for_people(state: AppState, hook: str, name: str | None) -> Iterator[None]:
    """End the command in one line if the hook cannot be as it should.

    :param name: Its name at Okta, if that was given.
    """
    try:
        yield
    except SubscriptionImpossible as error:
        raise click.ClickException(printable(error.reason)) from error
    except VerificationFailed as error:
        again = verification.command(
            state, hook, name=error.name, url=error.url, named=name is not None
        )
        raise click.ClickException(
            f"Okta could not verify {shown(error.url)}. {as_sentence(error)} {verification.cure(error)} "
            f"{verification.state_at_okta(error)} When that is mended: {again}"
        ) from error


@contextmanager
def _way_back_after_an_error(
    made: Plan, replacement: provisioning.Replacement, hook: str | None
) -> Iterator[None]:
    """Say what Okta has, and the way back, if anything ends the command after a hook was replaced.

    :param hook: Which hook of the app it is, if it has several.
    """
    try:
        yield
    except BaseException:  # also Ctrl-C, while Okta takes its time
        if made.live is not None and replacement.state != "none":
            for line in _what_okta_has(made, replacement):
                click.echo(line, err=True)
            click.echo(_way_back(made, made.live, hook), err=True)
        raise


def _what_okta_has(made: Plan, replacement: provisioning.Replacement) -> Iterator[str]:
    if replacement.state == "sent":
        yield "Whether Okta has taken the replacement is not known: it sent no answer that says it. If it has:"
    if made.auth_header is not None:
        yield _OKTA_IS_AHEAD
    else:
        yield "Okta has the replacement already, without a secret."


def _way_back(made: Plan, before: RegisteredHook, hook: str | None) -> str:
    url = before.url or ""
    was = f"The hook was: {subscription.described(before)}."
    command = "flask okta-hooks apply --rotate"
    if hook is not None:
        command += f" --hook {shlex.quote(hook)}"
    command += f" --name {shlex.quote(before.name or '')}"
    if shown(url) == url:
        command += f" --url {shlex.quote(url)}"
    else:
        was += " Of its URL, what may be secret is not shown."
        if made.url != url:
            command += " --url '<the whole URL as it was>'"
    return f"{was} The way back, where its receivers and its secret are configured: {command}"
