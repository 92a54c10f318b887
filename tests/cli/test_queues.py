"""``worker --queue``: only the receivers of some queues."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from okta_hooks import EventHook
from okta_hooks.cli import group
from tests.support import SQLITE, claim, fan_out, receipts, settle

from .support import printed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flask import Flask

    from okta_hooks.inbox import Inbox
    from okta_hooks.inbox.intake import NewDelivery

    from .conftest import Run

    DeliveryFactory = Callable[..., NewDelivery]


@pytest.fixture
def okta(okta: EventHook) -> EventHook:
    """Return a hook with receivers in two queues and in none, beside that of every event."""
    for name, queue in (("slow", "slow"), ("fast", "fast"), ("faster", "fast")):
        okta.on("group.*", name=name, queue=queue)(lambda sender, **extra: None)
    return okta


@pytest.fixture
def stored(inbox: Inbox, delivery: DeliveryFactory) -> Inbox:
    """Return an inbox with an event that each receiver is to have, but for ``users``."""
    inbox.intake.store([delivery("a", type="group.lifecycle.create")])
    return inbox


def done(inbox: Inbox) -> set[str]:
    return {name for name, (state, _) in receipts(inbox, "a").items() if state == "done"}


def test_one_queue(stored: Inbox, run: Run) -> None:
    """Its receivers are run, the receipts of all others are there, and the next command may be for others."""
    assert run("worker", "--drain", "--queue", "fast").stdout == "2 attempts.\n"

    assert receipts(stored, "a").keys() == {"audit", "slow", "fast", "faster"}
    assert done(stored) == {"fast", "faster"}
    assert run("worker", "--drain").stdout == "2 attempts.\n"


def test_afterwards_all_are_run(app: Flask, stored: Inbox, run: Run) -> None:
    """What the command was told holds for the command: a test that drains the same runtime runs all receivers."""
    run("worker", "--drain", "--queue", "fast")

    assert app.extensions["okta_hooks"].runtime().worker.drain() == 2
    assert done(stored) == {"audit", "slow", "fast", "faster"}


def test_several_queues(stored: Inbox, run: Run) -> None:
    """The option may be given several times."""
    assert run("worker", "--drain", "--queue", "slow", "--queue", "fast").stdout == "3 attempts.\n"

    assert done(stored) == {"slow", "fast", "faster"}


def test_what_is_due_later(stored: Inbox, run: Run) -> None:
    """Of that, too, only what is in the queues is told."""
    fan_out(stored, "audit", "slow", "fast")
    for receiver, wait in (("audit", 60), ("slow", 1800), ("fast", 3600)):
        settle(stored, claim(stored, receiver), "pending", wait=wait, error="later")

    assert "\n3 receipts are due later" in run("worker", "--drain").stdout
    assert "\n1 receipt is due later" in run("worker", "--drain", "--queue", "slow").stdout


def test_on_sqlite_the_others_wait(app: Flask, stored: Inbox, run: Run) -> None:
    """One process runs receivers there: a worker that is to go on says what that means for other queues."""
    app.extensions["okta_hooks"].runtime().worker.stopping.set()
    said = "those of other queues wait"

    assert (said in run("worker", "--queue", "slow").stderr) == (stored.path is not None)
    assert said not in run("worker").stderr
    assert said not in run("worker", "--drain", "--queue", "slow").stderr


@SQLITE
def test_no_bar(stored: Inbox, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bar would count events that also wait for other queues, and never be full."""
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")

    assert "Draining" not in run("worker", "--drain", "--queue", "slow").stderr
    assert "Draining" in run("worker", "--drain").stderr


@SQLITE
@pytest.mark.parametrize("more", [[], ["--queue", "fast"]], ids=["alone", "with another"])
def test_a_queue_that_nobody_is_in(stored: Inbox, run: Run, more: list[str]) -> None:
    """It is wrong use, before anything is run: the queues that there are are named, and which may be meant."""
    result = run("worker", "--drain", *more, "--queue", "slwo", status=2)

    assert "No queue 'slwo' is known; there are: fast, slow. Is 'slow' meant?" in result.output
    assert stored.overview.counts().pending == 1


def test_an_app_without_queues(make_app: Callable[..., Flask], tmp_path: Path) -> None:
    """Where no receiver is in a queue, it says so."""
    okta = EventHook("okta")
    okta.on("*", name="a")(lambda sender, **extra: None)
    app = make_app(okta, INBOX=f"sqlite:///{tmp_path}/inbox.sqlite3")

    result = app.test_cli_runner().invoke(group, ["worker", "--queue", "slow"])

    assert result.exit_code == 2
    assert "No queue 'slow' is known; there are none." in result.output


@SQLITE
def test_receivers(stored: Inbox, run: Run) -> None:
    """The list has the queue of each receiver; of one that is not connected here nothing is known."""
    stored.workers.see_receivers([("okta", "gone")])

    rows = printed(run("receivers", "--json"))

    assert {row["receiver"]: row["queue"] for row in rows} == {
        "audit": None,
        "fast": "fast",
        "faster": "fast",
        "gone": None,
        "slow": "slow",
        "users": None,
    }
    lines = run("receivers").output.splitlines()
    assert [line.split()[-1] for line in lines] == [
        "queue",
        "-",
        "fast",
        "fast",
        "-",
        "slow",
        "-",
    ]
