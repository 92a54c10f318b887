"""What was attempted by hour and by day: differences between what the totals had come to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from okta_hooks.inbox.attempt_hours import Attempted
from okta_hooks.inbox.tables import attempt_hour
from tests.support import DAY, HOUR, claim, fan_out, settle

if TYPE_CHECKING:
    from collections.abc import Callable

    from okta_hooks.inbox import Inbox
    from okta_hooks.inbox.intake import NewDelivery
    from tests.support import Clock

    DeliveryFactory = Callable[..., NewDelivery]
    Run = Callable[..., None]


@pytest.fixture
def run(inbox: Inbox, delivery: DeliveryFactory, clock: Clock) -> Run:
    """Return a function that lets a receiver have new events at a time, some of which it fails at."""
    numbers = iter(range(10_000))

    def run(at: float, done: int, failed: int = 0, receiver: str = "a", **values: Any) -> None:
        clock.now = at
        inbox.intake.store([delivery(*(f"{next(numbers)}" for _ in range(done + failed)))])
        fan_out(inbox, receiver)
        claims = claim(inbox, receiver, limit=500)
        settle(inbox, claims[:done], seconds=0.02, **values)
        settle(inbox, claims[done:], "dead", error="no", seconds=2.0)

    return run


def test_by_hour(inbox: Inbox, clock: Clock, run: Run) -> None:
    """Each has what was received, handled and failed in it, the one that goes on, too; one without anything has zeros."""
    begin = clock.now
    run(begin + 60, 3)
    clock.now = begin + HOUR + 1
    inbox.attempt_hours.write_down()
    run(begin + HOUR + 60, 2, 1)
    clock.now = begin + 2 * HOUR + 1
    inbox.attempt_hours.write_down()
    clock.now = begin + 3 * HOUR + 1
    inbox.attempt_hours.write_down()
    run(begin + 3 * HOUR + 60, 1, 2, receiver="b")

    found = inbox.attempt_hours.chart(begin - HOUR, clock.now)

    assert [one.begin for one in found] == [begin + number * HOUR for number in range(-1, 4)]
    assert [(one.received, one.handled, one.failed) for one in found] == [
        (0, 0, 0),
        (3, 3, 0),
        (3, 2, 1),
        (0, 0, 0),
        (3, 1, 2),
    ]
    inbox.hours.write_down()
    assert inbox.attempt_hours.chart(begin - HOUR, clock.now) == found
    assert not any(
        (one.received, one.handled, one.failed) != (0, 0, 0)
        for one in inbox.attempt_hours.chart(begin, clock.now, hooks=["other"])
    )
