"""Names and patterns that nobody knows, and their completion in a shell."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from okta_hooks.inbox import Inbox
from tests.support import SQLITE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from okta_hooks import EventHook

    from .support import Run

HOST = """
from flask import Flask
from okta_hooks import EventHook

okta = EventHook("okta")
okta.on("*", name="sync-users")(lambda sender, **extra: None)
okta.on("*", name="audit", queue="slow")(lambda sender, **extra: None)

app = Flask("host")
app.config.from_prefixed_env()
app.register_blueprint(okta)
"""


@SQLITE
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--type", "user.lifecycle.craete"], "Is 'user.lifecycle.create' meant?"),
        (["--type", "user.lifecylce.*"], "Is 'user.lifecycle.*' meant?"),
        (
            ["--type", "user.session.start", "--type", "nothing.of.the.kind"],
            "'nothing.of.the.kind' is known, to Okta",
        ),
        (["--type", "user*"], "'user*' is no pattern"),
        (["--type", ""], "'' is no pattern"),
        (["--hook", "otka"], "No hook 'otka' is known; there are: okta. Is 'okta' meant?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
@pytest.mark.parametrize("command", [["events", "list"], ["replay"]], ids=" ".join)
def test_what_nobody_knows(
    filled: Inbox, run: Run, command: list[str], options: list[str], said: str
) -> None:
    """It is a mistake in use, with what may be meant, and no search that finds nothing."""
    assert said in run(*command, *options, status=2).output


@SQLITE
def test_a_receiver_that_nobody_knows(filled: Inbox, run: Run) -> None:
    """The error has the receivers that there are, and which may be meant."""
    said = run("replay", "--receiver", "user", status=2).output

    assert "No receiver 'user' is known; there are: audit, users. Is 'users' meant?" in said


def test_what_the_inbox_or_the_app_knows(
    inbox: Inbox, okta: EventHook, delivery: Callable[..., Any], run: Run
) -> None:
    """What is stored, and what a receiver is connected to, may be unknown to Okta's list; old hooks count, too."""
    inbox.intake.store([delivery("new", type="brand.new.type", hook="old")])
    okta.signal("acme.custom.*")

    assert "new" in run("events", "list", "--type", "brand.new.*").output
    assert "new" in run("events", "list", "--hook", "old").output
    assert run("events", "list", "--type", "user.session.start").output == "(none)\n"

    run("events", "list", "--type", "acme.custom.*", status=2)
    okta.signal("acme.custom.*").connect(str, weak=False)
    assert run("events", "list", "--type", "acme.custom.*").output == "(none)\n"


@pytest.fixture
def completed(tmp_path: Path) -> Callable[..., list[str]]:
    """Return a function that completes the last of some words as Bash does, in a process of its own."""

    def complete(*words: str, host: str = HOST) -> list[str]:
        (tmp_path / "host.py").write_text(host, encoding="utf-8")
        line = ["flask", "--app", "host", "okta-hooks", *words]
        environment = {
            "_FLASK_COMPLETE": "bash_complete",
            "COMP_WORDS": " ".join(word or "''" for word in line),
            "COMP_CWORD": str(len(line) - 1),
            "FLASK_OKTA_HOOKS_SECRET": "correct horse",
            "FLASK_OKTA_HOOKS_INBOX": f"sqlite:///{tmp_path}/inbox.sqlite3",
        }
        command = "import sys; sys.argv[0] = 'flask'; from flask.cli import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", command],
            cwd=tmp_path,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stderr == ""
        return [found.partition(",")[2] for found in done.stdout.split()]

    return complete


def test_types_are_completed(completed: Callable[..., list[str]]) -> None:
    """Okta's types and the patterns above them are offered, of every command that chooses events."""
    found = completed("events", "list", "--type", "user.session.")

    assert "user.session.start" in found
    assert "user.session.*" in found
    assert all(name.startswith("user.session.") for name in found)
    assert completed("replay", "--type", "user.lifecycle.crea") == ["user.lifecycle.create"]


def test_receivers_queues_and_hooks_are_completed(
    completed: Callable[..., list[str]], tmp_path: Path
) -> None:
    """So are the names of receivers, those that only the inbox remembers included, of queues and of hooks."""
    inbox = Inbox(f"sqlite:///{tmp_path}/inbox.sqlite3")
    inbox.workers.see_receivers([("okta", "sync-groups")])
    inbox.close()

    assert completed("replay", "--receiver", "sync") == ["sync-groups", "sync-users"]
    assert completed("worker", "--queue", "") == ["slow"]
    assert completed("events", "list", "--hook", "") == ["okta"]
    assert completed("plan", "--hook", "o") == ["okta"]


def test_completion_says_nothing_of_an_app_that_cannot_be_made(
    completed: Callable[..., list[str]],
) -> None:
    """A shell that waits for a word is not told of errors: nothing is offered."""
    assert completed("replay", "--receiver", "sync", host="raise LookupError") == []
