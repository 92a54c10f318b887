from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click
import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from flask.cli import ScriptInfo

from okta_hooks import EventHook
from okta_hooks.cli import group
from okta_hooks.inbox.tables import STATES, total
from tests.support import PATIENCE, claim, fan_out, settle

from .support import printed, states

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


@pytest.mark.parametrize("arguments", [["inbox"], ["events", "list", "--json"], ["plan"]])
def test_a_configuration_that_cannot_be_right(
    make_app: AppFactory, okta: EventHook, arguments: list[str]
) -> None:
    """Flask makes the app within the command: what is wrong with it is one line, and no traceback."""
    info = ScriptInfo(create_app=lambda: make_app(okta, SECRET=None))

    result = CliRunner().invoke(group, arguments, obj=info)

    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: OKTA_HOOKS_SECRET is not set")


def test_an_error_of_the_host_is_left_alone() -> None:
    """What else fails while the app is made keeps its traceback."""

    def broken() -> Flask:
        raise RuntimeError("of the host")

    result = CliRunner().invoke(group, ["inbox"], obj=ScriptInfo(create_app=broken))

    assert isinstance(result.exception, RuntimeError)


DATA = [
    ("inbox",),
    ("events", "list"),
    ("events", "show", "new"),
    ("replay", "old", "--dry-run"),
    ("receivers",),
]
UNLISTED = [*DATA, ("audit",), ("pause", "audit"), ("resume", "audit"), ("init-db",)]


@pytest.mark.parametrize("arguments", DATA, ids=" ".join)
def test_json(filled: Inbox, run: Run, arguments: tuple[str, ...]) -> None:
    """What prints data prints it for programs, too: one JSON document, and nothing else."""
    assert printed(run(*arguments, "--json"))
    assert run(*arguments).stdout.strip()


@pytest.mark.parametrize("arguments", [*UNLISTED, ("worker",), ("prune",)], ids=" ".join)
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


@pytest.mark.parametrize("arguments", [*UNLISTED, ("worker", "--drain")], ids=" ".join)
def test_a_database_that_is_not_there(
    make_app: AppFactory, okta: EventHook, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    """It is told in one line, without a traceback; ``receivers`` lists what is connected all the same."""
    app = make_app(okta, INBOX=f"sqlite:///{tmp_path}/inbox.sqlite3")
    (tmp_path / "inbox.sqlite3").mkdir()

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
    now, later = counts.pop("bytes"), counts.pop("bytes_in_100_days")
    assert counts == {"pending": 1, "claimed": 0, "done": 2, "dead": 2, "paused": []}
    assert 10_000 < now < later
    assert 0 <= age < PATIENCE


def test_inbox_with_nothing_in_it(run: Run) -> None:
    """Nothing is open, so nothing has an age."""
    found = printed(run("inbox", "--json", "--check"))
    assert found.pop("bytes") > 0
    assert found == {
        "pending": 0,
        "claimed": 0,
        "done": 0,
        "dead": 0,
        "oldest_pending_seconds": None,
        "bytes_in_100_days": None,
        "inconsistencies": [],
        "paused": [],
    }
    assert "oldest open event: none" in run("inbox").output


def test_inbox_names_its_database(inbox: Inbox, run: Run) -> None:
    """People see which inbox was read, without a password: the app's may be another."""
    first = run("inbox").output.splitlines()[0]

    if inbox.path is not None:
        assert first == f"inbox: the SQLite file {inbox.path}"
    else:
        assert first.startswith("inbox: the database postgresql")
        assert "?" not in first


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
        "queue",
        "paused",
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


def test_receivers_on_a_narrow_terminal(
    filled: Inbox, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each row begins with the receiver: the hook is the same in most."""
    monkeypatch.setenv("COLUMNS", "40")

    lines = run("receivers").output.splitlines()

    assert [line for line in lines if not line.startswith(" ")] == ["audit", "users"]
    assert lines[1].startswith("  hook: okta  patterns: *")


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


def test_worker_drain_says_what_is_left(
    inbox: Inbox, delivery: DeliveryFactory, run: Run, clock: Clock
) -> None:
    """What is due later is not waited for: how much that is, and when the next is due, is told."""
    inbox.intake.store([delivery("a")])
    fan_out(inbox, "audit", "gone")
    for receiver in ("audit", "gone"):
        settle(inbox, claim(inbox, receiver), "pending", wait=3600, error="later")

    first, second = run("worker", "--drain").stdout.splitlines()

    assert first == "0 attempts."
    assert second.startswith("1 receipt is due later, the next at 20")


def test_worker_without_receivers(make_app: AppFactory, tmp_path: Path) -> None:
    """It says so, and not even a file is made."""
    app = make_app(EventHook("okta"), INBOX=f"sqlite:///{tmp_path}/new/inbox.sqlite3")

    result = app.test_cli_runner().invoke(group, ["worker", "--drain"])

    assert result.exit_code == 0
    assert "No receivers are connected" in result.output
    assert list(tmp_path.iterdir()) == []


def test_inbox_recount(filled: Inbox, run: Run) -> None:
    """What an older version has not counted is put right, and only then something is said."""
    with filled.database.transaction() as connection:
        connection.execute(sa.update(total).values(events=17))

    assert "are right now" in run("inbox", "--recount").stderr

    assert printed(run("inbox", "--json"))["done"] == 2
    assert run("inbox", "--recount").stderr == ""


def test_the_size_of_an_inbox(filled: Inbox, run: Run) -> None:
    """People read it with a unit, and what it will be."""
    assert re.search(
        r"^size: \d+ kB; at this rate .* in 100 days$", run("inbox").output, re.MULTILINE
    )


def test_a_hook_that_is_silent(
    inbox: Inbox, delivery: DeliveryFactory, run: Run, clock: Clock
) -> None:
    """It fails if no delivery has come for so long, or ever; what a backfill has brought is none."""
    inbox.intake.store([delivery("a", via="backfill")])
    ever = run("inbox", "--check", "--max-silence", "6h", status=1)
    assert "silent: no delivery of the hook okta ever" in ever.stdout

    clock.now -= 7 * 3600
    inbox.intake.store([delivery("b")])
    since = run("inbox", "--check", "--max-silence", "6h", "--json", "--max-age", "99999", status=1)
    assert list(printed(since)["silent"]) == ["okta"]
    assert (
        printed(run("inbox", "--check", "--max-silence", "8h", "--json", "--max-age", "99999"))[
            "silent"
        ]
        == {}
    )
    run("inbox", "--max-silence", "6h", status=2)
