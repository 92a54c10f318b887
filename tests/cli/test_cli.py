from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import click
import pytest

from okta_hooks import EventHook, Reject
from okta_hooks.cli import group
from okta_hooks.inbox.tables import STATES
from tests.support import PATIENCE, claim, fan_out, settle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from click.testing import Result
    from flask import Flask

    from okta_hooks.inbox import Inbox
    from okta_hooks.inbox.intake import NewDelivery
    from tests.support import Clock

    AppFactory = Callable[..., Flask]
    DeliveryFactory = Callable[..., NewDelivery]
    Run = Callable[..., Result]


CREATED = "user.lifecycle.create"
DAY = 24 * 3600.0


@pytest.fixture
def clock(clock: Clock) -> Clock:
    """Return a clock that shows the real time when it is made: commands have no other."""
    clock.now = time.time()
    return clock


@pytest.fixture
def okta(okta: EventHook) -> EventHook:
    """Return a hook with two receivers, of which one rejects what it is told to."""

    @okta.on("user.lifecycle.*", name="users")
    def users(sender: Flask, event: Any, **extra: Any) -> None:
        if event.raw.get("reject"):
            raise Reject("not ours")

    @okta.on("*", name="audit")
    def audit(sender: Flask, **extra: Any) -> None:
        """Handle every event."""

    return okta


@pytest.fixture
def app(make_app: AppFactory, okta: EventHook, inbox_url: str) -> Iterator[Flask]:
    """Return an app over the database of this test."""
    app = make_app(okta, INBOX=inbox_url)
    yield app
    app.extensions["okta_hooks"].runtime().inbox.close()


@pytest.fixture
def run(app: Flask) -> Run:
    """Return a function that runs a command, and by default expects it to succeed."""

    def run(*arguments: str, status: int = 0) -> Result:
        result = app.test_cli_runner().invoke(group, arguments)
        assert result.exit_code == status, result.output
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result

    return run


@pytest.fixture
def filled(inbox: Inbox, delivery: DeliveryFactory, run: Run, clock: Clock) -> Inbox:
    """Return an inbox with events that are done, dead, unwanted, unreadable and pending."""
    clock.now -= 2 * DAY
    inbox.intake.store([delivery("old")])
    inbox.intake.store([delivery("group", type="group.lifecycle.create")])
    clock.now += 2 * DAY
    inbox.intake.store([delivery({"uuid": "dead", "eventType": CREATED, "reject": True})])
    inbox.intake.store([delivery(None)])
    run("worker", "--drain")
    inbox.intake.store([delivery("new")])
    return inbox


def printed(result: Result) -> Any:
    return json.loads(result.stdout)


def uuids(result: Result) -> list[str]:
    return [row["uuid"] for row in printed(result)]


def states(run: Run) -> dict[str, str]:
    rows = printed(run("events", "list", "--json"))
    return {row["uuid"]: row["state"] for row in rows if not row["uuid"].startswith("sha256:")}


def commands(found: click.Group, *path: str) -> Iterator[tuple[str, ...]]:
    context = click.Context(found)
    for name in found.list_commands(context):
        command = found.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, *path, name)
        yield (*path, name)


@pytest.mark.parametrize("path", [*commands(group)], ids=" ".join)
def test_every_command_has_help(path: tuple[str, ...], make_app: AppFactory) -> None:
    """``--help`` needs no inbox, and says something of every option."""
    result = make_app().test_cli_runner().invoke(group, [*path, "--help"])

    assert result.exit_code == 0
    assert "Usage:" in result.output
    assert result.output.count("\n") > 5


@pytest.mark.parametrize("name", group.lazy)
def test_the_line_of_a_command_is_the_beginning_of_its_help(name: str) -> None:
    """The group's help, which imports no command, says of each what its own help begins with."""
    context = click.Context(group)
    command = group.get_command(context, name)
    assert command is not None
    assert command.help is not None

    assert command.help.startswith(group.lazy[name].help)
    assert group.lazy[name].help in group.get_help(
        click.Context(group, max_content_width=200, terminal_width=200)
    )


def test_a_command_that_is_not_there() -> None:
    """The group says so, as click does."""
    assert group.get_command(click.Context(group), "worcker") is None


DATA = [
    ("inbox",),
    ("events", "list"),
    ("events", "show", "new"),
    ("replay", "old", "--dry-run"),
    ("receivers",),
]


@pytest.mark.parametrize("arguments", DATA, ids=" ".join)
def test_json(filled: Inbox, run: Run, arguments: tuple[str, ...]) -> None:
    """What prints data prints it for programs, too: one JSON document, and nothing else."""
    assert printed(run(*arguments, "--json"))
    assert run(*arguments).stdout.strip()


@pytest.mark.parametrize("arguments", [*DATA, ("worker",), ("init-db",), ("prune",)], ids=" ".join)
def test_without_a_hook_or_an_inbox(
    make_app: AppFactory, okta: EventHook, arguments: tuple[str, ...]
) -> None:
    """A command that cannot work says why in one line, with status 1."""
    runner = make_app().test_cli_runner()
    result = runner.invoke(group, arguments)
    assert (result.exit_code, "No hook is registered" in result.output) == (1, True)

    if arguments != ("receivers",):
        result = make_app(okta).test_cli_runner().invoke(group, arguments)
        assert (result.exit_code, "OKTA_HOOKS_INBOX is None" in result.output) == (1, True)
    assert isinstance(result.exception, SystemExit)


@pytest.mark.parametrize("arguments", [*DATA, ("worker", "--drain"), ("init-db",)], ids=" ".join)
def test_a_database_that_is_not_there(
    make_app: AppFactory, okta: EventHook, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    """It is told in one line, without a traceback; ``receivers`` lists what is connected all the same."""
    (tmp_path / "file").touch()
    app = make_app(okta, INBOX=f"sqlite:///{tmp_path}/file/inbox.sqlite3")

    result = app.test_cli_runner().invoke(group, arguments)

    assert "The inbox cannot be used: " in result.output
    assert "Traceback" not in result.output
    if arguments == ("receivers",):
        assert result.exit_code == 0
        assert "audit" in result.output
    else:
        assert result.exit_code == 1


def test_inbox_as_json(filled: Inbox, run: Run) -> None:
    """Exactly these keys, events and not receipts."""
    counts = printed(run("inbox", "--json"))

    age = counts.pop("oldest_pending_seconds")
    assert counts == {"pending": 1, "claimed": 0, "done": 2, "dead": 2}
    assert 0 <= age < PATIENCE


def test_inbox_with_nothing_in_it(run: Run) -> None:
    """Nothing is open, so nothing has an age."""
    assert printed(run("inbox", "--json", "--check")) == {
        "pending": 0,
        "claimed": 0,
        "done": 0,
        "dead": 0,
        "oldest_pending_seconds": None,
        "inconsistencies": [],
    }
    assert "oldest open event: none" in run("inbox").output


def test_inbox_check(inbox: Inbox, delivery: DeliveryFactory, run: Run, clock: Clock) -> None:
    """It fails on a dead letter, and on an open event that is too old; the counts are printed all the same."""
    clock.now -= 100
    inbox.intake.store([delivery("old")])
    run("inbox", "--check")
    run("inbox", "--check", "--max-age", "99", status=1)
    run("inbox", "--max-age", "99")
    run("inbox", "--check", "--max-age", "200")
    run("worker", "--drain")
    clock.now -= 201
    inbox.intake.store([delivery("older")])
    run("inbox", "--check", status=1)
    run("worker", "--drain")
    run("inbox", "--check")
    inbox.intake.store([delivery(None)])
    assert printed(run("inbox", "--check", "--json", status=1))["dead"] == 1


def test_init_db(app: Flask, run: Run, engine: Any) -> None:
    """The tables are created without any delivery; a second time there is nothing to do."""
    for _ in range(2):
        assert "The tables are there." in run("init-db").output
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM okta_hooks_event").scalar() == 0


def test_events_list(filled: Inbox, run: Run) -> None:
    """Newest first, with what a person wants to know of each."""
    rows = printed(run("events", "list", "--json"))

    assert [row["uuid"] for row in rows if "sha256" not in row["uuid"]] == [
        "new",
        "dead",
        "group",
        "old",
    ]
    assert list(rows[0]) == [
        "uuid",
        "hook",
        "type",
        "state",
        "via",
        "received",
        "published",
        "reason",
    ]
    assert (rows[0]["type"], rows[0]["via"], rows[0]["hook"]) == (CREATED, "hook", "okta")
    assert "not a JSON object" in rows[1]["reason"]
    lines = run("events", "list").output.splitlines()
    assert lines[0].split() == list(rows[0])
    assert len(lines) == 6


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--limit", "1"], ["new"]),
        (["old", "new", "nowhere"], ["new", "old"]),
        (["--state", "done"], ["group", "old"]),
        (["--state", "done", "--state", "pending"], ["new", "group", "old"]),
        (["--type", "group.*"], ["group"]),
        (["--type", "group.lifecycle.create", "--type", "user.*"], ["new", "dead", "group", "old"]),
        (["--hook", "other"], []),
        (["--hook", "okta", "--state", "pending"], ["new"]),
        (["--until", "24h"], ["group", "old"]),
        (["--since", "1440m", "--type", "*"], ["new", "SHA", "dead"]),
        (["--since", "2026-01-01", "--until", "2026-01-02T00:00:00+01:00"], []),
        (["--unreceived"], []),
    ],
    ids=" ".join,
)
def test_choosing_events(filled: Inbox, run: Run, options: list[str], expected: list[str]) -> None:
    """Events are chosen by uuid, state, type, hook and time, all together."""
    found = uuids(run("events", "list", "--json", *options))

    assert ["SHA" if uuid.startswith("sha256:") else uuid for uuid in found] == expected


@pytest.mark.parametrize(
    "options",
    [
        ["--since", "yesterday"],
        ["--until", "99999999999999d"],
        ["--since", ""],
        ["--state", "lost"],
        ["--limit", "many"],
    ],
    ids=" ".join,
)
def test_options_that_cannot_be_right(run: Run, options: list[str]) -> None:
    """They are a mistake in use: status 2, and nothing happens."""
    assert "Invalid value" in run("events", "list", *options, status=2).output


def test_events_list_with_nothing_in_it(run: Run) -> None:
    """Nothing is said so for people, and an empty list for programs."""
    assert run("events", "list").output == "(none)\n"
    assert printed(run("events", "list", "--json")) == []


def test_times_beyond_the_calendar(
    inbox: Inbox, delivery: DeliveryFactory, run: Run, clock: Clock
) -> None:
    """A time that no calendar has, of Okta's or a receiver's, keeps nobody from looking."""
    far = {"uuid": "far", "eventType": CREATED, "published": "9999-12-31T23:59:59-23:00"}
    inbox.intake.store([delivery(far)])
    fan_out(inbox, "audit")
    settle(inbox, claim(inbox, "audit"), "pending", wait=1e300, error="later")

    assert "far" in run("events", "list").output
    assert "later" in run("events", "show", "far").output


def test_events_show(filled: Inbox, run: Run) -> None:
    """One event with its receipts and its body, for people and for programs."""
    (shown,) = printed(run("events", "show", "dead", "--json"))

    assert shown["state"] == "dead"
    assert shown["raw"] == {"uuid": "dead", "eventType": CREATED, "reject": True}
    found = {row["receiver"]: (row["state"], row["error"]) for row in shown["receipts"]}
    assert found == {"audit": ("done", None), "users": ("dead", "not ours")}
    output = run("events", "show", "dead").output
    assert "not ours" in output
    assert '"reject": true' in output
    assert "There is no event 'nowhere'" in run("events", "show", "nowhere", status=1).output
    (unreadable,) = uuids(run("events", "list", "--json", "--state", "dead"))[:1]
    assert "reason: " in run("events", "show", unreadable).output


def test_events_show_without_a_body(
    inbox: Inbox, delivery: DeliveryFactory, run: Run, clock: Clock
) -> None:
    """What retention has taken is told."""
    clock.now -= 31 * DAY
    inbox.intake.store([delivery("old")])
    run("worker", "--drain")
    assert "1 deliveries are pruned." in run("prune").output

    assert "(its body is gone)" in run("events", "show", "old").output


def test_replay(filled: Inbox, run: Run) -> None:
    """Events go to their receivers again, or are only counted."""
    assert run("replay", "old", "--dry-run").output == "1 events would be replayed.\n"
    assert states(run)["old"] == "done"

    assert run("replay", "old").output == "1 events are replayed.\n"

    assert states(run)["old"] == "pending"
    assert printed(run("replay", "--state", "dead", "--dry-run", "--json")) == {
        "events": 2,
        "dry_run": True,
    }
    assert printed(run("replay", "--type", "group.*", "--since", "3d", "--json")) == {
        "events": 1,
        "dry_run": False,
    }
    assert states(run) == {"old": "pending", "group": "pending", "dead": "dead", "new": "pending"}


def test_replay_for_one_receiver(filled: Inbox, run: Run) -> None:
    """Its receipts alone are reset."""
    assert run("replay", "--receiver", "users").output == "2 events are replayed.\n"

    (shown,) = printed(run("events", "show", "old", "--json"))
    found = {row["receiver"]: row["state"] for row in shown["receipts"]}
    assert found == {"audit": "done", "users": "pending"}
    assert states(run)["group"] == "done"


def test_replay_of_what_nobody_received(inbox: Inbox, delivery: DeliveryFactory, run: Run) -> None:
    """After a receiver was forgotten, ``--unreceived`` finds what it would have got."""
    inbox.intake.store([delivery("a", "b")])
    fan_out(inbox, "audit", limit=1)
    fan_out(inbox)

    assert run("replay", "--unreceived").output == "1 events are replayed.\n"

    assert states(run) == {"a": "claimed", "b": "pending"}


def test_replay_of_everything_must_be_meant(filled: Inbox, run: Run) -> None:
    """Without any choice nothing is replayed: the whole inbox would be."""
    before = states(run)

    assert "Say which events" in run("replay", status=2).output
    run("replay", "--dry-run", status=2)

    assert states(run) == before


def test_replay_of_nothing(filled: Inbox, run: Run) -> None:
    """A uuid that has nothing to replay fails; a search that finds nothing does not."""
    run("replay", "nowhere", status=1)
    run("replay", "--type", "nowhere.*")


def test_prune(inbox: Inbox, delivery: DeliveryFactory, run: Run, clock: Clock) -> None:
    """What retention does not keep goes at once, in as many batches as it takes."""
    clock.now -= 101 * DAY
    inbox.intake.store([delivery(f"uuid-{number}") for number in range(600)])
    clock.now += 101 * DAY
    inbox.intake.store([delivery("new")])
    run("worker", "--drain")

    run("prune")

    assert states(run) == {"new": "done"}


def test_prune_dead(filled: Inbox, run: Run, delivery: DeliveryFactory, clock: Clock) -> None:
    """Dead letters go by hand only, older than what is said."""
    clock.now -= 10 * DAY
    filled.intake.store([delivery({"uuid": "older", "eventType": []})])
    run("prune")
    assert states(run)["older"] == "dead"

    output = run("prune", "--dead", "--older-than", "7d", "--dry-run").output
    assert output == "1 dead letters would be deleted.\n"
    assert states(run)["older"] == "dead"
    output = run("prune", "--dead", "--older-than", "7d").output
    assert output == "1 dead letters are deleted.\n"
    assert "older" not in states(run)
    assert states(run)["dead"] == "dead"


@pytest.mark.parametrize(
    "options",
    [["--dead"], ["--older-than", "7d"], ["--dry-run"], ["--dead", "--dry-run"]],
    ids=" ".join,
)
def test_prune_used_wrongly(filled: Inbox, run: Run, options: list[str]) -> None:
    """``--dead`` and ``--older-than`` go together; ``--dry-run`` is for them."""
    before = states(run)

    run("prune", *options, status=2)

    assert states(run) == before


def test_receivers(filled: Inbox, run: Run, okta: EventHook) -> None:
    """What is connected, and what the inbox knows of it, also of what is connected no more."""
    filled.workers.see_receivers([("okta", "gone"), ("dropped", "gone")])

    rows = printed(run("receivers", "--json"))

    assert list(rows[0]) == [
        "hook",
        "receiver",
        "patterns",
        "connected",
        "last_seen",
        *STATES,
    ]
    assert [(row["hook"], row["receiver"], row["patterns"], row["connected"]) for row in rows] == [
        ("dropped", "gone", None, False),
        ("okta", "audit", "*", True),
        ("okta", "gone", None, False),
        ("okta", "users", "user.lifecycle.*", True),
    ]
    assert [(row["done"], row["dead"]) for row in rows] == [(0, 0), (3, 0), (0, 0), (1, 1)]
    lines = run("receivers").output.splitlines()
    assert [line.split()[3] for line in lines[1:]] == ["no", "yes", "no", "yes"]


def test_receivers_without_an_inbox(make_app: AppFactory, okta: EventHook) -> None:
    """They are connected, and that is all there is to say."""
    result = make_app(okta).test_cli_runner().invoke(group, ["receivers", "--json"])

    assert [(row["receiver"], row["connected"]) for row in printed(result)] == [
        ("audit", True),
        ("users", True),
    ]


def test_worker_drain(inbox: Inbox, delivery: DeliveryFactory, run: Run) -> None:
    """It works until nothing is due, and says how much it was; no bar where there is no terminal."""
    inbox.intake.store([delivery("a", "b"), delivery("c", type="group.lifecycle.create")])

    result = run("worker", "--drain")

    assert result.stdout == "5 attempts.\n"
    assert "%" not in result.output
    assert set(states(run).values()) == {"done"}
    assert run("worker", "--drain").stdout == "0 attempts.\n"


def test_worker_without_receivers(make_app: AppFactory, tmp_path: Path) -> None:
    """It says so, and not even a file is made."""
    app = make_app(EventHook("okta"), INBOX=f"sqlite:///{tmp_path}/new/inbox.sqlite3")

    result = app.test_cli_runner().invoke(group, ["worker", "--drain"])

    assert result.exit_code == 0
    assert "No receivers are connected" in result.output
    assert list(tmp_path.iterdir()) == []
