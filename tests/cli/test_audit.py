"""What is written down of commands, and what ``events show`` shows before it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from okta_hooks import signals
from okta_hooks.cli.auditing import operator
from tests.support import CREATED, claim, fan_out, settle

from .support import printed

if TYPE_CHECKING:
    from collections.abc import Callable

    from blinker import NamedSignal
    from click.testing import Result

    from okta_hooks.inbox import Inbox
    from okta_hooks.inbox.intake import NewDelivery
    from tests.support import Calls

    DeliveryFactory = Callable[..., NewDelivery]
    Run = Callable[..., Result]


@pytest.fixture
def personal(inbox: Inbox, delivery: DeliveryFactory) -> Inbox:
    """Return an inbox with an event about somebody, which a receiver has failed at."""
    event = {"uuid": "u", "eventType": CREATED, "actor": {"alternateId": "ada@example.com"}}
    inbox.intake.store([delivery(event)])
    fan_out(inbox, "audit")
    settle(inbox, claim(inbox, "audit"), "dead", error="404: no ada@example.com at 10.0.0.1")
    return inbox


def test_events_are_masked_until_they_are_revealed(personal: Inbox, run: Run) -> None:
    """Neither the payload nor a receiver's error has an address in it, for people and for programs."""
    (shown,) = printed(run("events", "show", "u", "--json"))
    output = run("events", "show", "u").output

    assert shown["masked"]
    assert shown["raw"] == {"uuid": "***", "eventType": CREATED, "actor": {"alternateId": "***"}}
    assert shown["receipts"][0]["error"] == "404: no *** at ***"
    assert "404: no *** at ***" in output
    assert "ada" not in output
    assert personal.audit.entries() == []


def test_a_reveal_is_audited(
    personal: Inbox, run: Run, hear: Callable[[NamedSignal], Calls]
) -> None:
    """Who has seen it and why is known, and told, before it is shown."""
    calls = hear(signals.audited)
    (shown,) = printed(run("events", "show", "u", "--reveal", "--reason", "ticket 7", "--json"))
    assert "ada@example.com" in run("events", "show", "u", "--reveal").output

    assert not shown["masked"]
    assert shown["raw"]["actor"] == {"alternateId": "ada@example.com"}
    assert shown["receipts"][0]["error"] == "404: no ada@example.com at 10.0.0.1"
    second, first = printed(run("audit", "--json"))
    at, number = first.pop("at"), first.pop("id")
    assert at.startswith("20")
    assert number < second["id"]
    assert first == {
        "hook": "okta",
        "action": "reveal",
        "subject": "u",
        "number": 1,
        "who": operator(),
        "reason": "ticket 7",
        "via": "command",
    }
    assert [each["reason"] for each in calls.arguments] == ["ticket 7", None]
    assert "--reveal" in run("events", "show", "u", "--reason", "x", status=2).output


def test_what_changes_the_inbox_is_audited(filled: Inbox, run: Run) -> None:
    """With what has chosen the events, and how many they were; what is only counted is not."""
    run("replay", "--state", "dead", "--dry-run")
    run("prune", "--dead", "--older-than", "1h", "--dry-run")
    run("replay", "--state", "dead", "--type", "user.*", "--receiver", "users", "--reason", "cured")
    run("replay", *(f"u{number}" for number in range(12)), "--hook", "okta", status=1)
    run("prune", "--dead", "--older-than", "2026-01-01")
    run("prune")

    rows = printed(run("audit", "--json"))
    assert [(row["action"], row["hook"], row["number"], row["reason"]) for row in rows] == [
        ("prune", None, 0, None),
        ("prune", None, 0, None),
        ("replay", "okta", 0, None),
        ("replay", None, 1, "cured"),
    ]
    assert [row["subject"] for row in rows] == [
        "OKTA_HOOKS_RETENTION",
        "--dead --older-than 2026-01-01T00:00:00+00:00",
        "u0 u1 u2 u3 u4 u5 u6 u7 u8 u9 and 2 more",
        "--state dead --type user.* --receiver users",
    ]


def test_a_user_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container the process may be one's that the system does not know: its number is better than nothing."""
    monkeypatch.setattr("os.getuid", lambda: 3_999_999_999)

    assert operator() == "user 3999999999"


def test_the_audit_is_paged(inbox: Inbox, run: Run) -> None:
    """It says where to go on, as the list of events does."""
    for number in range(3):
        inbox.audit.write(action="replay", subject=f"s{number}", who="ada", via="console")

    result = run("audit", "--limit", "2")
    assert "s2" in result.output
    assert "s0" not in result.output
    (option, before) = result.stderr.split()[-2:]
    assert "s0" in run("audit", option, before).output
    assert run("audit", "--before", "1").output == "(none)\n"
