"""Tables, and text from elsewhere in them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from okta_hooks.cli.table import print_table
from tests.support import CREATED, SQLITE, claim, fan_out, settle

if TYPE_CHECKING:
    from collections.abc import Callable

    from okta_hooks.inbox import Inbox

    from .support import Run

ROWS: list[dict[str, Any]] = [
    {"uuid": "u1", "type": "user.session.start", "connected": True, "reason": None},
    {
        "uuid": "u2",
        "type": "user.lifecycle.create",
        "connected": False,
        "reason": "users: no no no no no no no no no",
    },
]


def table(capsys: pytest.CaptureFixture[str], rows: list[dict[str, Any]]) -> list[str]:
    print_table(rows)
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("columns", [None, "73"])
def test_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: str | None
) -> None:
    """What fits the terminal, or goes to no terminal, is in columns under the keys."""
    if columns is None:
        monkeypatch.delenv("COLUMNS", raising=False)
    else:
        monkeypatch.setenv("COLUMNS", columns)

    assert table(capsys, ROWS) == [
        "uuid  type                   connected  reason",
        "u1    user.session.start     yes        -",
        "u2    user.lifecycle.create  no         users: no no no no no no no no no",
    ]


def test_a_terminal_that_is_too_narrow(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each row is a paragraph then, without what it does not have, and as many values on a line as fit."""
    monkeypatch.setenv("COLUMNS", "50")

    lines = table(capsys, ROWS)

    assert lines == [
        "u1",
        "  type: user.session.start  connected: yes",
        "u2",
        "  type: user.lifecycle.create  connected: no",
        "  reason: users: no no no no no no no no no",
    ]
    assert max(map(len, lines)) <= 50


def test_wide_and_combining_characters(capsys: pytest.CaptureFixture[str]) -> None:
    """Columns stand below each other in any script."""
    rows = [{"name": name, "state": "done"} for name in ("王小明", "Zoe\u0308", "Anna Lee")]

    assert table(capsys, rows) == [
        "name      state",
        "王小明    done",
        "Zoe\u0308       done",
        "Anna Lee  done",
    ]


@SQLITE
def test_the_list_of_events_in_80_columns(
    filled: Inbox, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fits, and has for each event what the wide table has."""
    monkeypatch.setenv("COLUMNS", "80")

    output = run("events", "list").output

    assert max(map(len, output.splitlines())) <= 80
    assert "reason: users: not ours" in output
    assert f"type: {CREATED}" in output


@SQLITE
def test_text_from_elsewhere(inbox: Inbox, delivery: Callable[..., Any], run: Run) -> None:
    """Letters are shown as they are; what would move the cursor, or end the line, is escaped."""
    event = {
        "uuid": "u",
        "eventType": CREATED,
        "displayMessage": "\x1b[2J",
        "actor": {"displayName": "Zoë 王\u202e\x9b"},
    }
    inbox.intake.store([delivery(event)])
    fan_out(inbox, "audit")
    settle(inbox, claim(inbox, "audit"), "dead", error="no Zoë\n\x1b[31mhere")

    listed = run("events", "list").output
    shown = run("events", "show", "u", "--reveal").output

    assert "audit: no Zoë\\x0a\\x1b[31mhere" in listed
    assert len(listed.splitlines()) == 2
    assert "no Zoë\\x0a\\x1b[31mhere" in shown
    assert "Zoë 王\\u202e\\u009b" in shown
    assert not {"\x1b", "\x9b", "\u202e"} & {*listed, *shown}
    assert json.loads(shown[shown.index("{") :]) == event
