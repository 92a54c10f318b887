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
    """Each has what was received, handled and failed in it, if anything was; the one that goes on, too."""
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


def test_by_day(inbox: Inbox, clock: Clock, run: Run) -> None:
    """Days are those of UTC; what happened while nobody wrote hours down counts in the next that was.

    Of what was received, as much is looked at as a page has time for.
    """
    begin = clock.now
    run(begin + HOUR, 1)
    clock.now = begin + 23 * HOUR
    inbox.attempt_hours.write_down()
    run(begin + 23.5 * HOUR, 1)
    clock.now = begin + 30 * HOUR
    inbox.attempt_hours.write_down()
    run(begin + DAY + 8 * HOUR, 4)

    assert [one.received for one in inbox.attempt_hours.chart(begin, clock.now, "day")] == [1, 4]
    inbox.hours.write_down()
    inbox.hours.write_down()
    found = inbox.attempt_hours.chart(begin + HOUR, clock.now, "day")

    assert [(one.begin, one.end) for one in found] == [
        (begin, begin + DAY),
        (begin + DAY, begin + 2 * DAY),
    ]
    assert [one.handled for one in found] == [1, 5]
    assert [one.received for one in found] == [2, 4]


def test_by_receiver(inbox: Inbox, clock: Clock, run: Run) -> None:
    """In all of a time, or in each hour of it, where it had any attempts."""
    begin = clock.now
    run(begin, 3, 1)
    clock.now = begin + HOUR
    inbox.attempt_hours.write_down()
    run(begin + HOUR + 1, 1, receiver="b")
    run(begin + HOUR + 2, 0, 2)

    whole = inbox.attempt_hours.receivers(begin, clock.now)
    parts = inbox.attempt_hours.receivers(begin, clock.now, "hour")

    assert [(one.receiver, one.done, one.failed, one.calls) for one in whole] == [
        ("a", 3, 3, 6),
        ("b", 1, 0, 1),
    ]
    assert whole[0].seconds == pytest.approx(6.06)
    assert [(one.receiver, one.begin - begin, one.number) for one in parts] == [
        ("a", 0.0, 4),
        ("a", HOUR, 2),
        ("b", HOUR, 1),
    ]
    last = inbox.attempt_hours.receivers(begin + HOUR, clock.now)
    assert [(one.receiver, one.number) for one in last] == [("a", 2), ("b", 1)]


@pytest.mark.parametrize(
    ("within", "share", "seconds"),
    [
        ((0, 10, 10, 10, 10, 10, 10, 10, 10), 0.5, 0.02),
        ((4, 10, 10, 10, 10, 10, 10, 10, 10), 0.2, 0.005),
        ((0, 0, 0, 0, 0, 9, 9, 9, 10), 0.9, 3.0),
        ((0, 0, 0, 0, 0, 0, 0, 0, 9), 0.99, 100.0),
        ((0,) * 9, 0.5, 100.0),
    ],
)
def test_a_quantile(within: tuple[int, ...], share: float, seconds: float) -> None:
    """It is estimated within the span of durations that it lies in; above the last of them nothing is known."""
    assert attempted(calls=10, within=within).quantile(share) == pytest.approx(seconds)


def test_without_calls() -> None:
    """What was given up without a call took no time."""
    assert attempted(calls=0, dead=1).quantile(0.5) is None


def attempted(**values: Any) -> Attempted:
    """Return what attempts came to."""
    empty = {"done": 0, "retried": 0, "dead": 0, "seconds": 0.0, "within": (0,) * 9}
    made: dict[str, Any] = {"hook": "okta", "receiver": "a", "begin": 0.0, "end": HOUR}
    return Attempted(**(made | empty | values))


def test_hours_are_thinned_out(inbox: Inbox, clock: Clock, run: Run) -> None:
    """Of days that are long past the last is kept, and nothing after 100 days but where the rest begins."""
    begin = clock.now
    for day in (0, 1, 100, 110, 116):
        run(begin + day * DAY, 1)
        for hour in (1, 2):
            run(begin + day * DAY + (hour - 0.5) * HOUR, 1)
            clock.now = begin + day * DAY + hour * HOUR
            inbox.attempt_hours.write_down()

    assert [(number - int(begin // HOUR)) / 24 for number in written(inbox)] == pytest.approx(
        [1 + 1 / 24, 100 + 1 / 24, 110, 110 + 1 / 24, 116, 116 + 1 / 24], abs=0.01
    )
    found = inbox.attempt_hours.chart(begin + 105 * DAY, clock.now, "day")
    assert [one.handled for one in found if one.handled] == [3, 3]


def test_an_hour_without_attempts(inbox: Inbox, clock: Clock, run: Run) -> None:
    """It has no rows, and so an inbox in which nothing happens does not grow; nor does it if many write."""
    run(clock.now, 1)
    for _ in range(5):
        clock.now += HOUR
        inbox.attempt_hours.write_down()
        inbox.attempt_hours.write_down()

    assert len(written(inbox)) == 1


def test_a_clock_that_went_ahead(inbox: Inbox, clock: Clock, run: Run) -> None:
    """What it has written down of hours to come is forgotten."""
    begin = clock.now
    run(begin, 1)
    clock.now = begin + 40 * DAY
    inbox.attempt_hours.write_down()
    clock.now = begin + HOUR
    inbox.attempt_hours.write_down()

    assert written(inbox) == [int(begin // HOUR)]


def test_too_many_steps(inbox: Inbox, clock: Clock) -> None:
    """A URL may ask for any time: nobody counts the hours of years."""
    with pytest.raises(ValueError, match="steps"):
        inbox.attempt_hours.chart(0.0, clock.now)
    with pytest.raises(ValueError, match="steps"):
        inbox.attempt_hours.chart(clock.now, clock.now - DAY)
    with pytest.raises(ValueError, match="no times"):
        inbox.attempt_hours.receivers(float("-inf"), clock.now)


def written(inbox: Inbox) -> list[int]:
    """Return the hours that are written down."""
    with inbox.database.reading() as connection:
        query = sa.select(attempt_hour.c.hour).distinct().order_by(attempt_hour.c.hour)
        return list(connection.scalars(query))
