from __future__ import annotations

import logging
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask

from okta_hooks import Reject, RetryLater, signals
from okta_hooks.exceptions import InboxUnavailable
from okta_hooks.inbox.claims import Claim, Settlement
from okta_hooks.work.retry import LONGEST_WAIT, back_off, outcome
from tests.support import DAY, HOUR, receipts, states

from .support import Heard

if TYPE_CHECKING:
    from collections.abc import Callable

    import sqlalchemy as sa
    from blinker import NamedSignal
    from flask import Flask

    from tests.support import Calls, Clock

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


def outcome_of(error: BaseException | None, **values: Any) -> Settlement:
    arguments: dict[str, Any] = {"claim": CLAIM, "max_attempts": 3, "jitter": 1.0} | values
    return outcome(error=error, **arguments)


def test_the_outcome_of_a_success() -> None:
    """A receiver that returned has done it."""
    assert outcome_of(None) == Settlement(claim=CLAIM, state="done")


def test_the_outcome_of_a_failure() -> None:
    """An error is another attempt after the back-off."""
    expected = Settlement(claim=CLAIM, state="pending", wait=2.0, error="KeyError: 'x'")

    assert outcome_of(KeyError("x")) == expected


def test_the_outcome_of_retry_later() -> None:
    """The receiver knows better when: its seconds stand instead of the back-off."""
    settlement = outcome_of(RetryLater(77), jitter=0.0)

    assert (settlement.state, settlement.wait) == ("pending", 77.0)


@pytest.mark.parametrize("error", [LookupError("gone"), RetryLater(5)], ids=repr)
def test_the_outcome_of_the_last_attempt(error: Exception) -> None:
    """After as many attempts as are allowed it is dead, and the last error is told."""
    tired = Claim(
        event_id=1, delivery_id=1, ordinal=0, hook="okta", receiver="a", attempts=2, claims=3
    )

    settlement = outcome_of(error, claim=tired)

    assert settlement.state == "dead"
    assert settlement.error is not None
    assert settlement.error.startswith("3 attempts; the last: ")
    assert type(error).__name__ in settlement.error


def test_the_outcome_of_a_rejection() -> None:
    """A rejected event is dead at the first attempt, for the receiver's reason."""
    assert outcome_of(Reject("not ours")) == Settlement(claim=CLAIM, state="dead", error="not ours")


def test_the_outcome_of_what_has_no_text() -> None:
    """An exception that cannot be printed is a failure like any other."""

    class Unprintable(Exception):
        def __str__(self) -> str:
            raise ZeroDivisionError

    assert outcome_of(Unprintable()).error == "Unprintable: (no text)"
    assert outcome_of(Reject(LookupError("no"))).error == "no"  # type: ignore[arg-type]
    assert outcome_of(RetryLater(Decimal(5))).wait == 5.0  # type: ignore[arg-type]


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
    hear: Callable[[NamedSignal], Calls],
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
    assert [arguments["attempt"] for arguments in failed.arguments] == [1, 2, 3]
    (arguments,) = dead.arguments
    assert arguments["receiver"] == "never"
    assert arguments["event"].uuid == "a"
    assert arguments["delivery"].event_id == "delivery-1"
    assert arguments["reason"].startswith("3 attempts")


def test_a_rejected_event(system: System, app: Flask, hear: Callable[[NamedSignal], Calls]) -> None:
    """``Reject`` is dead at once for this receiver; the other one is not concerned."""
    system.on("*", name="rejects")(Heard(Reject("not ours")))
    working = system.on("*", name="works")(Heard())
    dead, done = hear(signals.event_dead), hear(signals.event_done)
    system.store("a", "b")

    system.drain()

    assert states(system.inbox) == {"a": "dead", "b": "done"}
    assert working.uuids == ["a", "b"]
    assert [(row["receiver"], row["reason"]) for row in dead.arguments] == [("rejects", "not ours")]
    assert (done.senders, done.events) == ([app], ["b"])


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
    assert system.inbox.overview.counts().dead == 1


class _Raises(RetryLater):
    """An exception whose attribute does anything."""

    def __init__(self) -> None:
        pass

    @property
    def seconds(self) -> float:  # type: ignore[override]
        raise KeyboardInterrupt


class _Forgets(RetryLater):
    """An exception that does not say when."""

    def __init__(self) -> None:
        pass


def _with(seconds: Any) -> RetryLater:
    """Return one that was changed after it was made."""
    made = RetryLater(1)
    made.seconds = seconds
    return made


ODD = {
    "nan": _with(float("nan")),
    "inf": _with(float("inf")),
    "-inf": _with(float("-inf")),
    "1e308": RetryLater(1e308),
    "negative": _with(-5),
    "text": _with("soon"),
    "digits": _with("5"),
    "None": _with(None),
    "Decimal": RetryLater(Decimal(10) ** 300),  # type: ignore[arg-type]
    "signalling NaN": _with(Decimal("sNaN")),
    "huge int": _with(10**400),
    "itself": _with(RetryLater),
    "a property that raises": _Raises(),
    "no base": _Forgets(),
}


@pytest.mark.parametrize("error", ODD.values(), ids=ODD)
def test_no_receiver_can_ask_for_too_long_a_wait(
    system: System, clock: Clock, error: RetryLater
) -> None:
    """Whatever it raises, its receipt is due again in a week at most, and its lane goes on."""
    heard = system.on("*", name="a")(Heard(error))
    system.store("a", "b")

    system.drain()

    due = system.inbox.overview.next_due([("okta", "a")])
    if due is not None:  # otherwise it was not to wait
        assert clock.now < due <= clock.now + LONGEST_WAIT
        clock.now = due
        assert system.drain() == 1
    assert heard.uuids == ["a", "b", "a"]
    assert heard.attempts == [1, 1, 2]


#: A constraint that no update to this error meets; what went before does.
REFUSE = {
    "sqlite": (
        """CREATE TRIGGER refuse BEFORE UPDATE ON okta_hooks_receipt
           WHEN NEW.error LIKE '%poison%' OR (NEW.state = 'done' AND NEW.event_id = 2)
           BEGIN SELECT RAISE(ABORT, 'refused'); END""",
    ),
    "postgresql": (
        "ALTER TABLE okta_hooks_receipt ADD CHECK (error NOT LIKE '%%poison%%')",
        "ALTER TABLE okta_hooks_receipt ADD CHECK (state != 'done' OR event_id != 2)",
    ),
}


def test_a_settlement_that_the_database_refuses(
    system: System, clock: Clock, engine: sa.Engine, caplog: pytest.LogCaptureFixture
) -> None:
    """It becomes a failure of that receipt alone, and a dead letter in the end; the others are settled."""
    heard = system.on("*", name="a")(Heard(LookupError("poison")))
    for uuid in "abcd":
        system.store(uuid)
    with engine.begin() as connection:
        for statement in REFUSE[engine.dialect.name]:
            connection.exec_driver_sql(statement)
    worker = system.make_worker(max_attempts=3)

    assert worker.drain() == 4

    assert receipts(system.inbox, "a") == {"a": ("pending", 1)}
    assert receipts(system.inbox, "b") == {"a": ("pending", 1)}
    assert [states(system.inbox)[uuid] for uuid in "cd"] == ["done", "done"]
    assert caplog.text.count("cannot be settled") == 2
    for _ in range(3):
        clock.now += HOUR
        worker.drain()
    assert heard.uuids[:4] == ["a", "b", "c", "d"]
    assert sorted(heard.uuids[4:]) == ["a", "b", "b"]
    assert states(system.inbox) == {"a": "done", "b": "dead", "c": "done", "d": "done"}
    (receipt,) = system.inbox.overview.show("b")[0].receipts
    assert "the database refused" in str(receipt.error)


def test_a_database_that_goes_away_among_refusals(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is settled one by one waits for the database as anything else: nothing stays in hand."""
    system.on("*", name="a")(Heard())
    system.store("a", "b", "c")
    inbox = system.inbox
    settle = inbox.claims.settle
    errors = [
        InboxUnavailable("refused", is_transient=False),
        InboxUnavailable("away"),
        InboxUnavailable("away"),
    ]

    def refuse(*arguments: Any) -> Any:
        if errors:
            raise errors.pop(0)
        return settle(*arguments)

    monkeypatch.setattr(inbox.claims, "settle", refuse)

    assert system.make_worker(inbox).drain() == 3

    assert errors == []
    assert set(states(inbox).values()) == {"done"}


def test_a_value_that_a_driver_does_not_take(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error that is none of the database's leaves nothing in hand either."""
    system.on("*", name="a")(Heard())
    system.store("a", "b")
    inbox = system.inbox
    settle = inbox.claims.settle

    def refuse(worker_id: str, settlements: Any) -> Any:
        if any(item.state == "done" and item.claim.ordinal == 0 for item in settlements):
            raise OverflowError
        return settle(worker_id, settlements)

    monkeypatch.setattr(inbox.claims, "settle", refuse)

    system.make_worker(inbox, max_attempts=1).drain()

    assert states(inbox) == {"a": "dead", "b": "done"}
