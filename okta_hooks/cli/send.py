"""The command that makes a delivery."""

from __future__ import annotations

import json
import re
import sys
import warnings
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import click
from flask.cli import with_appcontext

from okta_hooks import testing
from okta_hooks.calling import TIMEOUT, HttpSender, Request, app_sender
from okta_hooks.printable import printable
from okta_hooks.secret import revealed

from .context import app_of_command, one_hook, state_of_app
from .options import as_json_option, check_url
from .output import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from okta_hooks.calling import Answer
    from okta_hooks.state import AppState

_PLAIN: Final = re.compile(r"[\w.~-]+", re.ASCII)
_ACCEPTED: Final = "accepted: what has an inbox has stored it, what has none has run its receivers."
#: Of refusals in the form that this library gives them.
_OURS: Final[Mapping[int, str]] = {
    400: "refused: the body holds no events. Okta would not send it again.",
    401: "refused: the secret is wrong. Okta would not send it again.",
    413: "refused: the body is larger than OKTA_HOOKS_MAX_BODY. Okta would not send it again.",
    500: "a receiver failed (without an inbox). Okta may send it once more.",
    503: "the inbox did not take it in time. Okta may send it once more.",
}
#: Of all others.
_OF_OTHERS: Final[Mapping[int, str]] = {
    301: "a redirect, which Okta does not follow: register the URL it leads to.",
    302: "a redirect, which Okta does not follow. A login wall?",
    307: "a redirect, which Okta does not follow: register the URL it leads to.",
    308: "a redirect, which Okta does not follow: register the URL it leads to.",
    404: "no hook at that URL.",
    405: "something is at that URL, and it is no hook.",
}
_NOT_OURS: Final = "not an answer of this library: what is in front of it?"


@click.command()
@with_appcontext
@click.argument("event_type", metavar="[TYPE]", required=False)
@click.option(
    "--count",
    type=click.IntRange(1, 10_000),
    help="How many events, in one delivery; 1 by default.",
)
@click.option("--target", "targets", multiple=True, help="Such as user:ada@example.com.")
@click.option(
    "--file",
    "file",
    type=click.File("rb"),
    help="Send this JSON instead (- for standard input): an event, a list of events, or a delivery.",
)
@click.option("--hook", help="Which hook of this app, if it has several.")
@click.option(
    "--url",
    callback=check_url,
    help="Send it there over HTTP, rather than to this app without a server.",
)
@as_json_option
def send(
    event_type: str | None,
    count: int | None,
    targets: tuple[str, ...],
    file: Any,
    hook: str | None,
    url: str | None,
    as_json: bool,
) -> None:
    """Send a sample delivery, and tell what the answer means.

    It has the right secret. Each call makes new uuids; what a file holds is sent as it is.
    """
    if (event_type is None) == (file is None):
        raise click.UsageError("Say a TYPE or a --file.")
    if file is not None and (count is not None or targets):
        raise click.UsageError("--count and --target go with a TYPE.")
    events = _read_json(file) if event_type is None else _samples(event_type, count or 1, targets)
    delivery = events if _is_delivery(events) else testing.make_delivery(events)

    state = state_of_app()
    name = one_hook(state, hook)
    _warn_if_unreceived(state, name, event_type)
    secrets = state.secrets[name]
    authentication = {state.settings.auth_header: secrets[0]} if secrets else {}
    request = Request(
        method="POST",
        url=url or _url_of(state, name),
        headers={"Content-Type": "application/json", **revealed(authentication)},
        body=json.dumps(delivery, separators=(",", ":")).encode(),
    )
    answer = _send(state, request, over_http=url is not None)
    meaning = _meaning(answer)
    if as_json:
        click.echo(json.dumps({"status": answer.status, "meaning": meaning}))
    else:
        uuids = _uuids(delivery) if state.settings.inbox is not None else []
        if answer.status == HTTPStatus.NO_CONTENT and url is None and uuids:
            meaning = "accepted: it is stored in the inbox, for the app's worker."
        click.echo(" ".join([f"{answer.status}: {meaning}", *_hint(state, name, answer)]))
        if answer.status == HTTPStatus.NO_CONTENT and uuids:
            _print_uuids(uuids)
    if answer.status != HTTPStatus.NO_CONTENT:
        sys.exit(1)


def _send(state: AppState, request: Request, *, over_http: bool) -> Answer:
    try:
        if not over_http:
            # A command must not dispatch beside the app's worker.
            with state.configure(inbox=state.settings.inbox, worker="external"):
                return app_sender(app_of_command())(request)
        return HttpSender()(request)
    except TimeoutError as error:
        raise click.ClickException(
            f"No answer from {request.url}: it took longer than Okta's {TIMEOUT:.0f} s."
        ) from error
    except OSError as error:
        reason = str(error) or type(error).__name__
        raise click.ClickException(printable(f"No answer from {request.url}: {reason}.")) from error


def _print_uuids(uuids: Sequence[str]) -> None:
    others = f" (and {counted(len(uuids) - 1, 'other')})" if uuids[1:] else ""
    click.echo(f"See what becomes of it: flask okta-hooks events show {uuids[0]}{others}")


def _uuids(delivery: Any) -> list[str]:
    """Return the uuids of the events in a delivery, such as a shell takes as they are."""
    data = delivery.get("data")
    events = data.get("events") if isinstance(data, dict) else None
    found = [
        event.get("uuid")
        for event in (events if isinstance(events, list) else ())
        if isinstance(event, dict)
    ]
    return [uuid for uuid in found if isinstance(uuid, str) and _PLAIN.fullmatch(uuid)]


def _meaning(answer: Answer) -> str:
    if answer.status == HTTPStatus.NO_CONTENT:
        return _ACCEPTED
    return (_OURS if answer.is_problem else _OF_OTHERS).get(answer.status, _NOT_OURS)


def _hint(state: AppState, hook: str, answer: Answer) -> Iterator[str]:
    """Return what this app can say about an answer from elsewhere."""
    path = state.path_of(hook)
    status = answer.status
    if status == HTTPStatus.UNAUTHORIZED and not answer.is_problem:
        return
    if status == HTTPStatus.NOT_FOUND and path is not None:
        yield f"This app's hook is at {path or '/'}."
    elif status == HTTPStatus.UNAUTHORIZED and not state.secrets[hook]:
        yield "None was sent: OKTA_HOOKS_SECRET is not set here."
    elif status == HTTPStatus.UNAUTHORIZED:
        yield (
            "The app there has another secret than OKTA_HOOKS_SECRET here, "
            f"or {state.settings.auth_header} does not arrive there."
        )


def _warn_if_unreceived(state: AppState, hook: str, event_type: str | None) -> None:
    if event_type and not state.hooks[hook].receivers.matching(event_type, app_of_command()):
        click.echo(f"No receiver in this app takes {event_type!r}.", err=True)


def _url_of(state: AppState, hook: str) -> str:
    try:
        return state.url_of(hook)
    except RuntimeError as error:
        raise click.ClickException(f"{error} To send to a server, say --url.") from error


def _samples(event_type: str, count: int, targets: tuple[str, ...]) -> list[dict[str, Any]]:
    overrides: dict[str, Any] = {"target": list(targets)} if targets else {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            made = [testing.make_event(event_type, **overrides) for _ in range(count)]
        except ValueError as error:
            raise click.UsageError(str(error)) from error
    for text in {str(warning.message) for warning in caught}:
        click.echo(text, err=True)
    return made


def _read_json(file: Any) -> Any:
    try:
        document = json.load(file)
    except (ValueError, RecursionError) as error:
        raise click.ClickException(f"The file is not JSON: {error}") from error
    if _is_delivery(document):
        return document
    events = document if isinstance(document, list) else [document]
    if not all(isinstance(event, dict) for event in events):
        raise click.ClickException(
            "The file holds neither an event, nor a list of events, nor a delivery."
        )
    return events


def _is_delivery(document: Any) -> bool:
    return isinstance(document, dict) and "data" in document
