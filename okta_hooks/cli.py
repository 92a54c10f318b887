"""``flask okta-hooks ...``: parse, call one function, print.

Exit status: 0 fine, 1 failed or something is missing, 2 used wrongly.
"""

from __future__ import annotations

import functools
import json
import signal
import sys
import threading
import warnings
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

import click
from flask import current_app
from flask.cli import AppGroup

from .exceptions import InboxUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .blueprint import AppState
    from .runtime import Runtime

    _ParamType = click.ParamType[float]
else:
    _ParamType = click.ParamType  # generic from click 8.4 on only, and Flask is content with 8.1

F = TypeVar("F", bound="Callable[..., Any]")

STATES: Final = ("pending", "claimed", "done", "dead")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

_MEANINGS: Final[Mapping[int, str]] = {
    204: "accepted: what has an inbox has stored it, what has none has run its receivers.",
    301: "a redirect, which Okta does not follow: register the URL it leads to.",
    302: "a redirect, which Okta does not follow. A login wall?",
    307: "a redirect, which Okta does not follow: register the URL it leads to.",
    308: "a redirect, which Okta does not follow: register the URL it leads to.",
    400: "refused: the body holds no events. Okta would not send it again.",
    401: "refused: the secret is wrong. Okta would not send it again.",
    404: "no hook at that URL.",
    405: "something is at that URL, and it is no hook.",
    413: "refused: the body is larger than OKTA_HOOKS_MAX_BODY. Okta would not send it again.",
    500: "a receiver failed (without an inbox). Okta may send it once more.",
    503: "the inbox did not take it in time. Okta may send it once more.",
}

group = AppGroup("okta-hooks", help="Receive Okta event hooks: the inbox and its worker.")


class _Moment(_ParamType):
    """A time: ISO 8601 (UTC if it names no zone), or an age such as 90m, 24h or 7d."""

    name = "time"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:  # noqa: ARG002
        if isinstance(value, float):
            return value
        try:
            if value[-1:] in _UNITS and value[:-1].isdigit():
                age = timedelta(**{_UNITS[value[-1]]: int(value[:-1])})
                return (datetime.now(UTC) - age).timestamp()
            moment = datetime.fromisoformat(value)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            self.fail(
                f"{value!r} is neither a time such as 2026-11-23T10:00 nor an age such as 24h."
            )


def _check_url(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    if value is None:
        return None
    try:
        parts = urlsplit(value)
        is_one = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:  # such as a port that is no number
        is_one = False
    if not is_one:
        raise click.BadParameter(
            f"{value!r} is no URL such as https://app.example.com/okta/events."
        )
    return value


_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def _selection(command: F) -> F:
    """Add the options that choose events."""
    for option in reversed(
        [
            click.argument("uuids", nargs=-1),
            click.option("--state", "states", multiple=True, type=click.Choice(STATES)),
            click.option("--type", "patterns", multiple=True, help="An event type, a.b.* or *."),
            click.option("--hook", help="Only of the hook of this name."),
            click.option("--since", type=_Moment(), help="Received at or after this time, or age."),
            click.option("--until", type=_Moment(), help="Received before this time, or age."),
            click.option(
                "--unreceived",
                is_flag=True,
                help="Only done events that no receiver was connected for.",
            ),
        ]
    ):
        command = option(command)
    return command


def _with_inbox(command: F) -> F:
    """Pass the runtime of the current app, and tell of the inbox's troubles in one line."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        state = _state()
        if state.settings.inbox is None:
            raise click.ClickException("This app has no inbox: OKTA_HOOKS_INBOX is None.")
        try:
            return command(state.runtime(), *args, **kwargs)
        except InboxUnavailable as error:
            raise click.ClickException(f"The inbox cannot be used: {error}") from error

    return wrapped  # type: ignore[return-value]


def _state() -> AppState:
    state: AppState | None = current_app.extensions.get("okta_hooks")
    if state is None:
        raise click.ClickException(
            "No hook is registered in this app: app.register_blueprint(EventHook(name))."
        )
    return state


@group.command()
@click.option("--drain", is_flag=True, help="Stop when nothing is due any more.")
@_with_inbox
def worker(runtime: Runtime, drain: bool) -> None:  # noqa: FBT001 - click passes flags
    """Hand stored events to the receivers, until SIGTERM or SIGINT.

    The first signal finishes what is in hand; a second one does not wait for that.
    """
    at_work = runtime.worker

    def on_signal(number: int, _: object) -> None:
        if at_work.stopping.is_set():
            sys.exit(128 + number)
        at_work.stopping.set()
        at_work.wake()
        click.echo("Finishing what is in hand.", err=True)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    if not at_work.has_receivers():
        click.echo("No receivers are connected in this app, so there is nothing to do.", err=True)
        if drain:
            return
    if not drain:
        click.echo(f"The worker {at_work.id} has started.", err=True)
        _in_thread(at_work.run)
        return
    counts = runtime.inbox.counts()
    length = counts["pending"] + counts["claimed"]
    with click.progressbar(length=length, label="Draining", file=sys.stderr) as bar:
        total = _in_thread(lambda: at_work.drain(bar.update))
    click.echo(f"{total} attempts.")


def _in_thread(work: Callable[[], Any]) -> Any:
    """Do the work in another thread than the main one, whose signal handlers need the worker's locks.

    What a handler interrupts may hold a lock, and would never get to release it.
    """
    outcome: Future[Any] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised again in the main thread
            outcome.set_exception(error)

    threading.Thread(target=run, name="okta-hooks-worker", daemon=True).start()
    return outcome.result()


@group.command("init-db")
@_with_inbox
def init_db(runtime: Runtime) -> None:
    """Create the inbox's tables, or what is missing of them."""
    runtime.inbox.open()
    click.echo("The tables are there.")


@group.command()
@click.option("--check", is_flag=True, help="Exit 1 on dead letters or a backlog.")
@click.option(
    "--max-age",
    default=300.0,
    show_default=True,
    help="Seconds from which on an open event is a backlog.",
)
@_as_json
@_with_inbox
def inbox(runtime: Runtime, check: bool, max_age: float, as_json: bool) -> None:  # noqa: FBT001
    """Count events by state, and tell how old the oldest open one is."""
    counts = runtime.inbox.counts()
    age = counts["oldest_pending_seconds"]
    if as_json:
        click.echo(json.dumps(counts))
    else:
        _table([{"events": state, "": counts[state]} for state in STATES])
        click.echo(f"oldest open event: {'none' if age is None else f'{age:.0f} s'}")
    if check and (counts["dead"] or (age or 0.0) > max_age):
        sys.exit(1)


@group.group()
def events() -> None:
    """Look at stored events."""


@events.command("list")
@_selection
@click.option("--limit", default=50, show_default=True)
@_as_json
@_with_inbox
def list_events(runtime: Runtime, limit: int, as_json: bool, **chosen: Any) -> None:  # noqa: FBT001
    """List events, newest first."""
    found = runtime.inbox.find(_select(chosen), limit=limit)
    rows = [
        {
            "uuid": row["uuid"],
            "hook": row["hook"],
            "type": row["type"],
            "state": row["state"],
            "via": row["via"],
            "received": _iso(row["received_at"]),
            "published": _iso(row["published"]),
            "reason": row["reason"],
        }
        for row in found
    ]
    _print(rows, as_json=as_json)


@events.command("show")
@click.argument("uuid")
@_as_json
@_with_inbox
def show_event(runtime: Runtime, uuid: str, as_json: bool) -> None:  # noqa: FBT001
    """Show an event: its receipts, and all that Okta sent of it. That is personal data."""
    found = runtime.inbox.show(uuid)
    if not found:
        raise click.ClickException(f"There is no event {uuid!r}.")
    if as_json:
        click.echo(json.dumps(found))
        return
    for item in found:
        click.echo(f"{item['type']}  {item['uuid']}  hook {item['hook']}  {item['state']}")
        click.echo(f"received {_iso(item['received_at'])} via {item['via']}, {item['event_id']}")
        if item["reason"]:
            click.echo(f"reason: {item['reason']}")
        _table([{**row, "due": _iso(row["due"] or None)} for row in item["receipts"]])
        click.echo(json.dumps(item["raw"], indent=2) if item["has_body"] else "(its body is gone)")


@group.command()
@_selection
@click.option("--receiver", help="Reset the receipt of this receiver, and nothing else.")
@click.option("--dry-run", is_flag=True, help="Only count.")
@_as_json
@_with_inbox
def replay(
    runtime: Runtime,
    receiver: str | None,
    dry_run: bool,  # noqa: FBT001
    as_json: bool,  # noqa: FBT001
    **chosen: Any,
) -> None:
    """Send done or dead events to their receivers again.

    A dead event gets its dead receipts back; a done event goes to all receivers anew.
    """
    if not any(chosen.values()) and receiver is None:
        raise click.UsageError(
            "Say which events: uuids, --state, --type, --since, --unreceived ..."
        )
    number = runtime.inbox.replay(_select(chosen), receiver=receiver, dry_run=dry_run)
    if as_json:
        click.echo(json.dumps({"events": number, "dry_run": dry_run}))
    else:
        click.echo(f"{number} events {'would be' if dry_run else 'are'} replayed.")
    if chosen["uuids"] and not number:
        sys.exit(1)


@group.command()
@click.option("--dead", is_flag=True, help="Delete dead letters instead.")
@click.option("--older-than", type=_Moment(), help="With --dead: a time, or an age such as 30d.")
@click.option("--dry-run", is_flag=True, help="With --dead: only count.")
@_with_inbox
def prune(runtime: Runtime, dead: bool, older_than: float | None, dry_run: bool) -> None:  # noqa: FBT001
    """Forget what OKTA_HOOKS_RETENTION does not keep. The worker does this by itself."""
    if dead:
        if older_than is None:
            raise click.UsageError("--dead needs --older-than.")
        number = runtime.inbox.prune_dead(before=older_than, dry_run=dry_run)
        click.echo(f"{number} dead letters {'would be' if dry_run else 'are'} deleted.")
        return
    if older_than is not None or dry_run:
        raise click.UsageError("--older-than and --dry-run go with --dead.")
    total = 0
    while number := runtime.worker.prune_batch():
        total += number
    click.echo(f"{total} deliveries are pruned.")


@group.command()
@_as_json
def receivers(as_json: bool) -> None:  # noqa: FBT001
    """List the connected receivers, and what the inbox knows of each."""
    state = _state()
    app = current_app._get_current_object()  # type: ignore[attr-defined] # noqa: SLF001
    known: dict[tuple[str, str], Mapping[str, Any]] = {}
    if state.settings.inbox is not None:
        try:
            known = {(row["hook"], row["receiver"]): row for row in state.runtime().inbox.lanes()}
        except InboxUnavailable as error:
            click.echo(f"The inbox cannot be used: {error}", err=True)
    connected = {
        (name, receiver.name): receiver
        for name, hook in state.hooks.items()
        for receiver in hook.receivers.connected(app)
    }
    rows = []
    for key in sorted({*connected, *known}):
        seen = known.get(key, {})
        receiver = connected.get(key)
        rows.append(
            {
                "hook": key[0],
                "receiver": key[1],
                "patterns": " ".join(state.hooks[key[0]].receivers.patterns_of(receiver, app))
                if receiver
                else None,
                "connected": receiver is not None,
                "last_seen": _iso(seen.get("seen_at")),
                **{name: seen.get(name, 0) for name in STATES},
            }
        )
    _print(rows, as_json=as_json)


@group.command()
@click.argument("event_type", metavar="[TYPE]", required=False)
@click.option("--count", type=click.IntRange(1, 10_000), help="How many events; 1 by default.")
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
    callback=_check_url,
    help="Send it there over HTTP, rather than to this app without a server.",
)
@_as_json
def send(
    event_type: str | None,
    count: int | None,
    targets: tuple[str, ...],
    file: Any,
    hook: str | None,
    url: str | None,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Send a sample delivery, and tell what the answer means.

    It has the right secret. Each call makes new uuids; what a file holds is sent as it is.
    """
    from . import testing  # noqa: PLC0415
    from .simulator import HttpSender, Request, app_sender  # noqa: PLC0415

    if (event_type is None) == (file is None):
        raise click.UsageError("Say a TYPE or a --file.")
    if file is not None and (count is not None or targets):
        raise click.UsageError("--count and --target go with a TYPE.")
    events = _read_json(file) if event_type is None else _samples(event_type, count or 1, targets)
    delivery = events if _is_delivery(events) else testing.make_delivery(events)

    state = _state()
    name = _one_hook(state, hook)
    headers = {"Content-Type": "application/json"}
    for secret in state.secrets[name][:1]:
        headers[state.settings.auth_header] = secret
    request = Request(
        method="POST",
        url=url or f"https://localhost{state.path_of(name)}",
        headers=headers,
        body=json.dumps(delivery, separators=(",", ":")).encode(),
    )
    before = state.settings
    try:
        if url is None:
            # A command must not dispatch beside the app's worker.
            state.configure(inbox=before.inbox, worker="external")
            app = current_app._get_current_object()  # type: ignore[attr-defined] # noqa: SLF001
            answer = app_sender(app)(request)
        else:
            answer = HttpSender()(request)
    except OSError as error:
        reason = str(error) or "it took longer than Okta's 3 s"
        raise click.ClickException(f"No answer from {request.url}: {reason}.") from error
    finally:
        state.configure(inbox=before.inbox, worker=before.worker)
    meaning = _MEANINGS.get(answer.status, "not an answer of this library: what is in front of it?")
    if as_json:
        click.echo(json.dumps({"status": answer.status, "meaning": meaning}))
    else:
        click.echo(f"{answer.status}: {meaning}")
    if answer.status != HTTPStatus.NO_CONTENT:
        sys.exit(1)


def _samples(event_type: str, count: int, targets: tuple[str, ...]) -> list[dict[str, Any]]:
    from . import testing  # noqa: PLC0415

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


def _one_hook(state: AppState, hook: str | None) -> str:
    if hook is None and len(state.hooks) == 1:
        return next(iter(state.hooks))
    if hook not in state.hooks:
        raise click.UsageError(f"Say which --hook: {', '.join(state.hooks)}.")
    return hook


def _select(chosen: Mapping[str, Any]) -> Any:
    from .inbox import Selection  # noqa: PLC0415 - SQLAlchemy

    return Selection(**chosen)


def _print(rows: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(rows))
    else:
        _table(rows)


def _table(rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        click.echo("(none)")
        return
    cells = [list(rows[0]), *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        padded = (text.ljust(width) for text, width in zip(line, widths, strict=True))
        click.echo("  ".join(padded).rstrip())


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _iso(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):  # no calendar has it
        return f"{seconds:g} s"
