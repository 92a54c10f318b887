"""What is told of an inbox that many ask about at once."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from okta_hooks.state import trial
from okta_hooks.state.trial import Outcome, Trial

from .support import PATIENCE, until

if TYPE_CHECKING:
    from collections.abc import Iterator


class Database:
    """One that does not answer before a test lets it, and then does what the test says."""

    def __init__(self) -> None:
        self.answers = threading.Event()
        self.asked = 0
        self.error: Exception | None = None

    def write(self, *, seconds: float) -> None:
        """Wait, and fail if there is an error."""
        assert 0 < seconds <= PATIENCE
        self.asked += 1
        self.answers.wait(PATIENCE)
        if self.error is not None:
            raise self.error


@pytest.fixture
def database() -> Iterator[Database]:
    """Return a database, which answers in the end."""
    made = Database()
    yield made
    made.answers.set()


def openers() -> int:
    return sum(thread.name == "okta-hooks-opener" for thread in threading.enumerate())


@pytest.mark.parametrize("error", [None, ConnectionError("it is away")])
def test_all_who_ask_share_one_attempt(database: Database, error: Exception | None) -> None:
    """One thread tries it for everybody, and one of them is to tell of it."""
    database.error = error
    asked = Trial(database.write)

    with ThreadPoolExecutor(10) as pool:
        waiting = [pool.submit(asked.outcome, PATIENCE) for _ in range(10)]
        until(lambda: database.asked)
        assert openers() == 1
        database.answers.set()
        outcomes = [each.result() for each in waiting]

    assert database.asked == 1
    assert {outcome.reason for outcome in outcomes} == {None if error is None else "it is away"}
    assert [outcome.is_new for outcome in outcomes].count(True) == 1


def test_an_outcome_counts_for_a_while(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within it nothing is tried again; after it, it is."""
    database.answers.set()
    asked = Trial(database.write)
    assert asked.outcome(PATIENCE) == Outcome(None, is_new=True)
    database.error = ConnectionError("it is away")
    assert asked.outcome(PATIENCE) == Outcome(None, is_new=False)
    assert database.asked == 1

    monkeypatch.setattr(trial, "_SECONDS", 0.0)
    assert asked.outcome(PATIENCE) == Outcome("it is away", is_new=True)


def test_a_database_that_is_silent(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks first waits, and no longer than asked; others wait for nothing while that thread hangs."""
    monkeypatch.setattr(trial, "_SECONDS", 0.0)
    asked = Trial(database.write)
    late = "it was not written in time"
    assert asked.outcome(0.1) == Outcome(late, is_new=True)

    began = time.monotonic()
    assert asked.outcome(PATIENCE) == Outcome(late, is_new=False)
    assert time.monotonic() - began < PATIENCE / 2
    assert (database.asked, openers()) == (1, 1)


def test_while_a_failure_is_tried_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One waits for the new attempt; others get the failure that is known, at once."""
    monkeypatch.setattr(trial, "_SECONDS", 0.0)
    asked = Trial(database.write)
    database.error = ConnectionError("it is away")
    database.answers.set()
    assert asked.outcome(PATIENCE).reason == "it is away"

    database.answers.clear()
    database.error = None
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(asked.outcome, PATIENCE)
        until(lambda: database.asked == 2)
        began = time.monotonic()
        assert asked.outcome(PATIENCE) == Outcome("it is away", is_new=False)
        assert time.monotonic() - began < PATIENCE / 2
        database.answers.set()
        assert first.result() == Outcome(None, is_new=True)
