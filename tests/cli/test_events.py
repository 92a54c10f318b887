from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.support import CREATED, DAY, claim, fan_out, settle

from .support import printed, uuids

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.testing import Result

    from okta_hooks.inbox import Inbox
    from okta_hooks.inbox.intake import NewDelivery
    from tests.support import Clock

    DeliveryFactory = Callable[..., NewDelivery]
    Run = Callable[..., Result]


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
        "id",
    ]
    assert (rows[0]["type"], rows[0]["via"], rows[0]["hook"]) == (CREATED, "hook", "okta")
    assert "not a JSON object" in rows[1]["reason"]
    lines = run("events", "list").output.splitlines()
    assert lines[0].split() == list(rows[0])[:-1]
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
        (["--hook", "okta", "--state", "pending"], ["new"]),
        (["--until", "24h"], ["group", "old"]),
        (["--since", "1440m", "--type", "*"], ["new", "SHA", "dead"]),
        (["--since", "2026-01-01", "--until", "2026-01-02T00:00:00+01:00"], []),
        (["--unreceived"], []),
        (["--receiver", "users"], ["dead", "old"]),
        (["--receiver", "users", "--state", "dead"], ["dead"]),
        (["--receiver", "audit", "--state", "dead"], []),
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
        ["--limit", "0"],
        ["--limit", "-1"],
    ],
    ids=" ".join,
)
def test_options_that_cannot_be_right(run: Run, options: list[str]) -> None:
    """They are a mistake in use: status 2, and nothing happens."""
    assert "Invalid value" in run("events", "list", *options, status=2).output


def test_a_receiver_that_nobody_knows(filled: Inbox, run: Run) -> None:
    """It is told, with what may be meant, instead of an empty list."""
    assert "'users'" in run("events", "list", "--receiver", "user", status=2).output


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
    (shown,) = printed(run("events", "show", "dead", "--reveal", "--json"))

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
    assert "1 delivery is pruned." in run("prune").output

    assert "(its body is gone)" in run("events", "show", "old").output


def test_the_list_says_who_gave_up(filled: Inbox, run: Run) -> None:
    """An event that is dead because of a receiver has that receiver and its error; programs get them from ``show``."""
    lines = run("events", "list", "--state", "dead").output.splitlines()

    assert any(line.endswith("  users: not ours") for line in lines)
    assert [row["reason"] for row in printed(run("events", "list", "dead", "--json"))] == [None]


def test_a_long_error_is_cut(inbox: Inbox, delivery: DeliveryFactory, run: Run) -> None:
    """The list has its beginning, ``show`` all of it."""
    inbox.intake.store([delivery("a")])
    fan_out(inbox, "audit")
    settle(inbox, claim(inbox, "audit"), "dead", error="x" * 300)

    (_, line) = run("events", "list").output.splitlines()

    assert line.endswith("  audit: " + "x" * 160 + "...")
    assert "x" * 300 in run("events", "show", "a").output


def test_events_show_what_there_is_not(
    filled: Inbox, inbox: Inbox, delivery: DeliveryFactory, run: Run
) -> None:
    """What an event lacks, type, receipts or delivery id, is said in words."""
    (unreadable,) = uuids(run("events", "list", "--json", "--state", "dead"))[:1]
    dead = run("events", "show", unreadable).output
    assert dead.startswith("(no type)  sha256:")
    assert "(no receipts: it went to no receiver)" in dead
    inbox.intake.store([delivery("anonymous", eventId=None)])
    waiting = run("events", "show", "anonymous").output
    assert "(no receipts: no worker has taken it up yet)" in waiting
    assert " via hook\n" in waiting
    assert "None" not in dead + waiting


def test_page_after_page(filled: Inbox, run: Run) -> None:
    """Where the list goes on is said where there may be more, and each event is on one page."""
    whole = uuids(run("events", "list", "--json"))
    first = run("events", "list", "--limit", "2")
    (place,) = re.findall(r"There may be more: --before (\d+)", first.stderr)
    page = printed(run("events", "list", "--json", "--limit", "2"))
    assert page[-1]["id"] == int(place)

    rest = run("events", "list", "--limit", "9", "--json", "--before", place)

    assert [row["uuid"] for row in page] + uuids(rest) == whole
    assert "more" not in run("events", "list", "--before", place).stderr
    assert uuids(run("events", "list", "--json", "--before", "99999")) == []


def test_a_list_without_an_index(filled: Inbox, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said that it takes long, where there is much."""
    monkeypatch.setattr("okta_hooks.cli.events._MANY_EVENTS", 3)

    assert "every event is looked at" in run("events", "list", "--type", "group.*").stderr
    assert "looked at" not in run("events", "list", "--state", "dead", "--type", "user.*").stderr
