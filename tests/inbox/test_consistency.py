"""What must not be in the inbox: found, put right where that is safe, told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from okta_hooks.inbox import consistency
from okta_hooks.inbox.consistency import Inconsistency, Kind
from okta_hooks.inbox.tables import attempt, event, receipt
from okta_hooks.work.retry import LONGEST_WAIT
from tests.support import DAY, claim, counts, fan_out, settle, states

if TYPE_CHECKING:
    from collections.abc import Callable

    from okta_hooks.inbox import Inbox
    from okta_hooks.inbox.intake import NewDelivery
    from tests.support import Clock

    DeliveryFactory = Callable[..., NewDelivery]


def check(inbox: Inbox, *hooks: str, repair: bool = False) -> dict[Kind, tuple[int, bool]]:
    """Return what is found by kind: how many, and whether it was put right."""
    found = inbox.consistency.check(hooks or ["okta"], longest_wait=LONGEST_WAIT, repair=repair)
    assert len({item.kind for item in found}) == len(found)
    return {item.kind: (item.number, item.repaired) for item in found}


@pytest.fixture
def stored(inbox: Inbox, delivery: DeliveryFactory) -> Inbox:
    """Return an inbox with four events, one of each kind of receipt."""
    inbox.intake.store([delivery("new", "retried", "done", "dead")])
    inbox.workers.see_receivers([("okta", "a")])
    fan_out(inbox, "a")
    _, *others = claims = claim(inbox)
    settle(inbox, [others[0]], "pending", wait=100.0)
    settle(inbox, [others[1]])
    settle(inbox, [others[2]], "dead", error="no")
    inbox.claims.release("me", [claims[0]])
    return inbox


def change(inbox: Inbox, *statements: Any) -> None:
    with inbox.database.transaction() as connection:
        for statement in statements:
            connection.execute(statement)


def test_nothing_is_found_where_nothing_is_wrong(stored: Inbox) -> None:
    """Events in every state, and receipts that wait, are as they should be."""
    assert check(stored, repair=True) == {}
    assert counts(stored) == {"claimed": 2, "done": 1, "dead": 1}


def test_events_in_the_hands_of_nobody(stored: Inbox) -> None:
    """An event that is claimed without an open receipt is closed, or gets its receivers anew."""
    change(
        stored,
        event.update().values(state="claimed"),
        receipt.delete().where(
            receipt.c.event_id.in_(sa.select(event.c.id).where(event.c.key == "new"))
        ),
    )

    assert check(stored) == {Kind.NO_OPEN_RECEIPT: (3, False)}
    assert check(stored, repair=True) == {Kind.NO_OPEN_RECEIPT: (3, True)}

    assert states(stored) == {
        "new": "pending",
        "retried": "claimed",
        "done": "done",
        "dead": "dead",
    }
    assert check(stored) == {}


def test_receipts_that_are_due_too_late(stored: Inbox, clock: Clock) -> None:
    """What was to wait for a minute is due in a minute, though the clock was set back since."""
    clock.now -= 400 * DAY

    assert check(stored) == {Kind.DUE_TOO_LATE: (1, False)}
    assert check(stored, repair=True) == {Kind.DUE_TOO_LATE: (1, True)}

    assert stored.overview.next_due([("okta", "a")]) is not None
    assert len(claim(stored, limit=1)) == 1
    clock.now += 100.0
    assert len(claim(stored, limit=1)) == 1
    assert check(stored) == {}


def test_a_wait_of_unknown_length(stored: Inbox, clock: Clock) -> None:
    """A receipt of version 0.1 does not say how long it was to wait: it may be as long as any."""
    change(stored, receipt.update().values(wait=None, due=clock.now + LONGEST_WAIT))
    assert check(stored) == {}

    change(stored, receipt.update().values(due=clock.now + 2 * LONGEST_WAIT))
    assert check(stored, repair=True) == {Kind.DUE_TOO_LATE: (2, True)}
    assert claim(stored) == []
    clock.now += LONGEST_WAIT
    assert len(claim(stored)) == 2


def test_receipts_without_their_event(stored: Inbox) -> None:
    """They are deleted, with their attempts, and nothing else is."""
    change(stored, event.delete().where(event.c.key == "retried"))

    assert check(stored) == {Kind.NO_EVENT: (1, False)}
    assert check(stored, repair=True) == {Kind.NO_EVENT: (1, True)}

    assert check(stored) == {}
    with stored.database.reading() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(receipt)) == 3
        assert connection.scalars(sa.select(attempt.c.outcome)).all() == ["dead"]


def test_events_of_a_hook_that_nobody_has(stored: Inbox, delivery: DeliveryFactory) -> None:
    """They are told of and left alone: the app may get its hook back. Another app's are none."""
    stored.intake.store([delivery("x", "y", hook="renamed"), delivery("z", hook="other app's")])
    stored.workers.see_receivers([("other app's", "r")])

    expected = Inconsistency(kind=Kind.UNKNOWN_HOOK, hook="renamed", number=2, repaired=False)
    for repair in (False, True):
        assert stored.consistency.check(["okta"], longest_wait=LONGEST_WAIT, repair=repair) == [
            expected
        ]
    assert check(stored, "okta", "renamed") == {}

    stored.workers.note_unconnected([], 2 * DAY)
    assert check(stored, "okta", "renamed") == {Kind.UNKNOWN_HOOK: (1, False)}


def test_a_large_backlog_is_not_gone_through(
    stored: Inbox, delivery: DeliveryFactory, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    """A look costs the same however much waits; what is later than any wait is found all the same."""
    monkeypatch.setattr(consistency, "_MOST_LOOKED_AT", 50)
    stored.intake.store([delivery(*(f"uuid-{number}" for number in range(400)))])
    fan_out(stored, "a")
    change(
        stored,
        receipt.update().where(receipt.c.state == "pending").values(due=clock.now + 10, wait=10.0),
        receipt.update()
        .where(receipt.c.event_id == sa.select(sa.func.max(event.c.id)).scalar_subquery())
        .values(due=clock.now + 400 * DAY),
    )

    assert check(stored, repair=True) == {Kind.DUE_TOO_LATE: (1, True)}
    assert check(stored) == {}
