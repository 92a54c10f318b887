from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from okta_hooks import signals
from okta_hooks.audit import doing
from okta_hooks.exceptions import InboxUnavailable
from tests.support import SQLITE

if TYPE_CHECKING:
    from collections.abc import Callable

    from blinker import NamedSignal
    from flask import Flask

    from okta_hooks import EventHook
    from okta_hooks.inbox import Inbox
    from tests.support import Calls

    AppFactory = Callable[..., Flask]
    Hear = Callable[[NamedSignal], Calls]


def test_what_is_done_is_told(
    inbox: Inbox, make_app: AppFactory, okta: EventHook, hear: Hear
) -> None:
    """It is written down before it is done; then the number is, and the signal is sent."""
    app, calls = make_app(okta), hear(signals.audited)
    with doing(app, inbox, "replay", "dead", who="ada", via="command", reason="cured") as it:
        assert [each.number for each in inbox.audit.entries()] == [None]
        it.number = 3

    assert calls.arguments == [
        {
            "hook": None,
            "action": "replay",
            "subject": "dead",
            "number": 3,
            "who": "ada",
            "reason": "cured",
            "via": "command",
        }
    ]
    (entry,) = inbox.audit.entries()
    assert (entry.number, entry.reason, entry.via) == (3, "cured", "command")


def test_what_fails_is_told_all_the_same(
    inbox: Inbox, make_app: AppFactory, okta: EventHook, hear: Hear
) -> None:
    """Part of it may have been done."""
    app, calls = make_app(okta), hear(signals.audited)
    with (
        pytest.raises(KeyboardInterrupt),
        doing(app, inbox, "prune", "dead", who="ada", via="console", hook="okta"),
    ):
        raise KeyboardInterrupt

    assert [(each["action"], each["number"]) for each in calls.arguments] == [("prune", None)]
    assert [each.number for each in inbox.audit.entries()] == [None]


@SQLITE
def test_what_cannot_be_written_down_is_not_done(
    inbox: Inbox, make_app: AppFactory, okta: EventHook
) -> None:
    """Nothing is revealed of which nobody would know."""
    with inbox.database.transaction() as connection:
        connection.exec_driver_sql("DROP TABLE okta_hooks_audit")

    with (
        pytest.raises(InboxUnavailable),
        doing(make_app(okta), inbox, "reveal", "uuid", who="ada", via="console"),
    ):
        raise AssertionError("It was done")
