from __future__ import annotations

import re
from typing import TYPE_CHECKING

from okta_hooks.cli.auditing import operator
from tests.support import claim, counts, fan_out

from .support import printed, states

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.testing import Result

    from okta_hooks.inbox import Inbox
    from okta_hooks.inbox.intake import NewDelivery
    from tests.support import Clock

    DeliveryFactory = Callable[..., NewDelivery]
    Run = Callable[..., Result]


def test_pause_and_resume(inbox: Inbox, delivery: DeliveryFactory, run: Run) -> None:
    """Its events wait, those of the others do not; both are audited, what changes nothing is not."""
    inbox.intake.store([delivery("u")])
    assert run("pause", "users", "--reason", "API down").output == (
        "The receiver users of the hook okta is paused.\n"
    )
    again = run("pause", "users").output

    assert re.fullmatch(r"It is paused since \S+ by \S.*: API down\.\n", again)
    drained = run("worker", "--drain").output
    assert drained == "1 attempt.\nusers of the hook okta is paused.\n"
    assert states(run) == {"u": "claimed"}
    assert run("resume", "users", "--hook", "okta").output == (
        "The receiver users of the hook okta goes on.\n"
    )
    assert run("resume", "users").output == "It is not paused.\n"
    assert run("worker", "--drain").output == "1 attempt.\n"
    assert states(run) == {"u": "done"}
    rows = printed(run("audit", "--json"))
    assert [(row["action"], row["subject"], row["number"], row["reason"]) for row in rows] == [
        ("resume", "users", 1, None),
        ("pause", "users", 1, "API down"),
    ]
    assert {row["who"] for row in rows} == {operator()}


def test_what_is_in_hand_is_told(inbox: Inbox, delivery: DeliveryFactory, run: Run) -> None:
    """It is let finish, so whoever pauses knows that something may still be running."""
    inbox.intake.store([delivery("u", "v")])
    fan_out(inbox, "users")
    inbox.workers.see_receivers([("okta", "users")])
    claim(inbox, "users")

    assert "2 receipts in hand: what has begun is let finish.\n" in run("pause", "users").output


def test_which_receiver_is_meant(inbox: Inbox, run: Run) -> None:
    """One that is connected nowhere can be paused; one of several hooks has to be told; others are a mistake in use."""
    inbox.workers.see_receivers([("okta", "gone"), ("other", "users"), ("dropped", "gone2")])

    assert "of the hook okta is paused" in run("pause", "gone").output
    assert "of the hook dropped is paused" in run("pause", "gone2").output
    assert "Say which --hook: okta, other." in run("pause", "users", status=2).output
    assert "of the hook other is paused" in run("pause", "users", "--hook", "other").output
    assert "Is 'users' meant?" in run("pause", "user", status=2).output
    assert "there are: okta" in run("resume", "audit", "--hook", "other", status=2).output
    run("pause", status=2)


def test_receivers_shows_it(inbox: Inbox, run: Run) -> None:
    """For programs always, for people in a column that is there while one is paused."""
    assert {row["paused"] for row in printed(run("receivers", "--json"))} == {None}
    assert "paused" not in run("receivers").output
    run("pause", "users")

    rows = {row["receiver"]: row["paused"] for row in printed(run("receivers", "--json"))}
    assert rows["audit"] is None
    assert str(rows["users"]).startswith("20")
    lines = run("receivers").output.splitlines()
    assert [line.split()[-1] for line in lines] == ["paused", "-", rows["users"]]


def test_the_backlog_of_a_paused_receiver_is_no_alarm(
    inbox: Inbox, delivery: DeliveryFactory, run: Run, clock: Clock
) -> None:
    """Somebody has wanted it. What another receiver, or nobody yet, has taken up is one."""
    clock.now -= 1000
    inbox.intake.store([delivery("old")])
    clock.now += 600
    inbox.intake.store([delivery("newer")])
    fan_out(inbox, "users", limit=1)
    fan_out(inbox, "audit")
    clock.now += 400
    run("inbox", "--check", status=1)
    run("pause", "users")

    run("inbox", "--check", status=1)
    result = run("inbox", "--check", "--max-age", "700")
    assert re.search(r"^paused: users of the hook okta, since \S+$", result.stdout, re.MULTILINE)
    found = printed(run("inbox", "--check", "--json", "--max-age", "700"))
    assert found["paused"] == [{"hook": "okta", "receiver": "users"}]
    assert found["oldest_pending_seconds"] > 900
    run("worker", "--drain")
    assert counts(inbox) == {"claimed": 1, "done": 1}
    assert run("inbox", "--check")
    run("resume", "users")
    run("inbox", "--check", status=1)
