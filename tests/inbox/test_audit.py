from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support import DAY

if TYPE_CHECKING:
    from okta_hooks.inbox import Inbox
    from tests.support import Clock


def write(inbox: Inbox, subject: str, hook: str | None = None, action: str = "replay") -> int:
    return inbox.audit.write(action=action, subject=subject, who="ada", via="command", hook=hook)


def test_entries_are_paged_newest_first(inbox: Inbox, clock: Clock) -> None:
    """By key: what is written meanwhile shifts no page. A hook's have those that are of no one hook, too."""
    ids = [write(inbox, str(number), ("okta", "other", None)[number % 3]) for number in range(6)]
    first = inbox.audit.entries(limit=2)
    write(inbox, "new")
    second = inbox.audit.entries(limit=2, before=first[-1].id)

    assert [each.id for each in (*first, *second)] == ids[:1:-1]
    assert (first[0].at, first[0].who, first[0].number) == (clock.now, "ada", None)
    of_okta = inbox.audit.entries(hooks=["okta"], before=ids[-1] + 1)
    assert [each.subject for each in of_okta] == ["5", "3", "2", "0"]


def test_what_does_not_show_is_escaped(inbox: Inbox) -> None:
    """Whoever reads it later sees on one line what was given, which no database refuses."""
    inbox.audit.write(
        action="prune", subject="a\x00\ud800", who="x" * 999, via="console", reason="\u202e\n"
    )

    (entry,) = inbox.audit.entries()
    assert (entry.subject, entry.reason) == ("a\\x00\\ud800", "\\u202e\\x0a")
    assert len(entry.who) == 200


def test_reveals_are_counted(inbox: Inbox, clock: Clock) -> None:
    """How often something was done lately is known without a look at all entries."""
    write(inbox, "long ago", "okta", action="reveal")
    clock.now += DAY
    write(inbox, "today", "okta", action="reveal")
    write(inbox, "of another", "other", action="reveal")
    write(inbox, "today", "okta")

    assert inbox.audit.number("reveal", since=clock.now - 60, hooks=["okta"]) == 1


def test_what_is_old_is_forgotten(inbox: Inbox, clock: Clock) -> None:
    """And nothing else."""
    write(inbox, "old")
    clock.now += DAY
    write(inbox, "new")

    assert inbox.audit.prune(before=clock.now) == 1
    assert inbox.audit.prune(before=clock.now) == 0
    assert [each.subject for each in inbox.audit.entries()] == ["new"]
