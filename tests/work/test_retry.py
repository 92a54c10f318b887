from __future__ import annotations

import logging
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask

from okta_hooks import Reject, RetryLater, signals
from okta_hooks.inbox.claims import Claim, Settlement
from okta_hooks.work.worker import back_off, judge
from tests.support import DAY, HOUR, receipts, states

from .support import Heard

if TYPE_CHECKING:
    from collections.abc import Callable

    from blinker import NamedSignal
    from flask import Flask

    from tests.support import Clock

    from .support import System


CLAIM = Claim(event_id=1, delivery_id=1, ordinal=0, hook="okta", receiver="a", attempts=0, claims=1)


@pytest.mark.parametrize(
    ("attempts", "seconds"),
    [(1, 2), (2, 8), (3, 32), (4, 128), (5, 512), (6, 2048), (7, 3600), (20, 3600), (9999, 3600)],
)
def test_back_off(attempts: int, seconds: float) -> None:
    """It quadruples up to an hour, and chance takes up to half of it away."""
    assert back_off(attempts, 1.0) == seconds
    assert back_off(attempts, 0.0) == seconds / 2
    assert back_off(attempts, 0.5) == seconds * 0.75


def test_twenty_attempts_take_about_half_a_day() -> None:
    """That is what the default of ``MAX_ATTEMPTS`` means."""
    total = [sum(back_off(attempts, chance) for attempts in range(1, 20)) for chance in (0, 1)]

    assert [round(seconds / HOUR, 1) for seconds in total] == [6.9, 13.8]


def judged(error: BaseException | None, **values: Any) -> Settlement:
    arguments = {"now": 1000.0, "max_attempts": 3, "jitter": 1.0} | values
    claim = arguments.pop("claim", CLAIM)
    return judge(claim, error, **arguments)


def test_judging_a_success() -> None:
    """A receiver that returned has done it."""
    assert judged(None) == Settlement(claim=CLAIM, state="done")


def test_judging_a_failure() -> None:
    """An error is another attempt after the back-off."""
    expected = Settlement(claim=CLAIM, state="pending", due=1002.0, error="KeyError: 'x'")

    assert judged(KeyError("x")) == expected


def test_judging_retry_later() -> None:
    """The receiver knows better when: its seconds stand instead of the back-off."""
    settlement = judged(RetryLater(77), jitter=0.0)

    assert (settlement.state, settlement.due) == ("pending", 1077.0)


@pytest.mark.parametrize("error", [LookupError("gone"), RetryLater(5)], ids=repr)
def test_judging_the_last_attempt(error: Exception) -> None:
    """After as many attempts as are allowed it is dead, and the last error is told."""
    tired = Claim(
        event_id=1, delivery_id=1, ordinal=0, hook="okta", receiver="a", attempts=2, claims=3
    )

    settlement = judged(error, claim=tired)

    assert settlement.state == "dead"
    assert settlement.error is not None
    assert settlement.error.startswith("3 attempts; the last: ")
    assert type(error).__name__ in settlement.error


def test_judging_a_rejection() -> None:
    """A rejected event is dead at the first attempt, for the receiver's reason."""
    assert judged(Reject("not ours")) == Settlement(claim=CLAIM, state="dead", error="not ours")


def test_judging_what_has_no_text() -> None:
    """An exception that cannot be printed is a failure like any other."""

    class Unprintable(Exception):
        def __str__(self) -> str:
            raise ZeroDivisionError

    assert judged(Unprintable()).error == "Unprintable: (no text)"
    assert judged(Reject(LookupError("no"))).error == "no"  # type: ignore[arg-type]
    assert judged(RetryLater(Decimal(5))).due == 1005.0  # type: ignore[arg-type]


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), 10**400])
def test_retry_later_takes_seconds(seconds: float) -> None:
    """What is no number of seconds is an error where it is raised, in the receiver."""
    with pytest.raises((ValueError, OverflowError)):
        RetryLater(seconds)


def test_a_failing_receiver_beside_a_working_one(system: System, clock: Clock) -> None:
    """One fails three times and then works: it makes 4 attempts, the other exactly 1, across a restart."""
    failing = system.on("*", name="failing")(Heard(*(LookupError() for _ in range(3))))
    working = system.on("*", name="working")(Heard())
    system.store("a")

    worker = system.make_worker()
    assert worker.drain() == 2
    assert receipts(system.inbox, "a") == {"failing": ("pending", 1), "working": ("done", 1)}
    clock.now += 2
    assert worker.drain() == 1
    restarted = system.make_worker()
    assert restarted.drain() == 0
    clock.now += 8
    assert restarted.drain() == 1
    clock.now += 32
    assert restarted.drain() == 1

    assert failing.attempts == [1, 2, 3, 4]
    assert working.attempts == [1]
    assert states(system.inbox) == {"a": "done"}


def test_the_back_off_is_waited_for(system: System, clock: Clock) -> None:
    """Nothing is tried again before half of the back-off has passed."""
    heard = system.on("*")(Heard(LookupError(), RetryLater(100)))
    system.store("a")
    worker = system.make_worker()

    worker.drain()
    clock.now += 0.99
    assert worker.drain() == 0
    clock.now += 1.01
    assert worker.drain() == 1
    clock.now += 99.9
    assert worker.drain() == 0
    clock.now += 0.1
    assert worker.drain() == 1
    assert heard.attempts == [1, 2, 3]


def test_a_receiver_that_never_works(
    system: System,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    hear: Callable[[NamedSignal], list[dict[str, Any]]],
) -> None:
    """After the last attempt it is a dead letter: one ERROR with the traceback, one signal, no more runs."""
    heard = system.on("*", name="never")(Heard(*(LookupError("no such user") for _ in range(9))))
    dead, failed = hear(signals.event_dead), hear(signals.receiver_failed)
    system.store("a")
    worker = system.make_worker(max_attempts=3)

    for _ in range(6):
        worker.drain()
        clock.now += DAY

    assert heard.attempts == [1, 2, 3]
    assert receipts(system.inbox, "a") == {"never": ("dead", 3)}
    assert states(system.inbox) == {"a": "dead"}
    (error,) = (record for record in caplog.records if record.levelno == logging.ERROR)
    assert "never" in error.getMessage()
    assert "LookupError: no such user" in caplog.text
    assert [record.levelno for record in caplog.records].count(logging.WARNING) == 2
    assert [arguments["attempt"] for arguments in failed] == [1, 2, 3]
    (arguments,) = dead
    assert arguments["receiver"] == "never"
    assert arguments["event"].uuid == "a"
    assert arguments["delivery"].event_id == "delivery-1"
    assert arguments["reason"].startswith("3 attempts")


def test_a_rejected_event(
    system: System, app: Flask, hear: Callable[[NamedSignal], list[dict[str, Any]]]
) -> None:
    """``Reject`` is dead at once for this receiver; the other one is not concerned."""
    system.on("*", name="rejects")(Heard(Reject("not ours")))
    working = system.on("*", name="works")(Heard())
    dead, done = hear(signals.event_dead), hear(signals.event_done)
    system.store("a", "b")

    system.drain()

    assert states(system.inbox) == {"a": "dead", "b": "done"}
    assert working.uuids == ["a", "b"]
    assert [(row["receiver"], row["reason"]) for row in dead] == [("rejects", "not ours")]
    assert [(row["sender"], row["event"].uuid) for row in done] == [(app, "b")]


def test_retry_later_that_forgot_its_base(system: System, clock: Clock) -> None:
    """An attempt counts, and waits, whatever is wrong with the exception that ended it."""

    class Later(RetryLater):
        def __init__(self) -> None:
            pass

    attempts: list[int] = []

    @system.on("*")
    def receiver(sender: object, attempt: int, **extra: Any) -> None:
        attempts.append(attempt)
        raise Later

    system.store("a")
    worker = system.make_worker(system.inbox, max_attempts=3)
    for _ in range(5):
        worker.drain()
        clock.now += 3600

    assert attempts == [1, 2, 3]
    assert system.inbox.counts()["dead"] == 1
