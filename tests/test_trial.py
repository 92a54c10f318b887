"""What is told of an inbox that many ask about at once."""

from __future__ import annotations

import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from okta_hooks.in_time import InTime
from okta_hooks.state import trial
from okta_hooks.state.trial import Trial

from .support import PATIENCE, until

if TYPE_CHECKING:
    from collections.abc import Iterator

LATE = "it was not written in time"


class Database:
    """One that does not answer before a test lets it, and then does what the test says."""

    def __init__(self) -> None:
        self.answers = threading.Event()
        self.asked = 0
        self.error: Exception | None = None

    def write(self) -> None:
        """Wait, and fail if there is an error."""
        self.asked += 1
        self.answers.wait(PATIENCE)
        if self.error is not None:
            raise self.error


def how_many_wait() -> int:
    """Return how many threads wait for an answer."""
    wait = [threading.Condition.wait.__code__, threading.Event.wait.__code__, InTime.ask.__code__]
    stacks = [
        [frame.f_code for frame, _ in traceback.walk_stack(innermost)][: len(wait)]
        for innermost in sys._current_frames().values()  # noqa: SLF001 - documented, in spite of its name
    ]
    return stacks.count(wait)


@pytest.fixture
def database() -> Iterator[Database]:
    """Return a database, which answers in the end."""
    made = Database()
    yield made
    made.answers.set()


@pytest.mark.parametrize("error", [None, ConnectionError("it is away")])
def test_all_who_ask_share_one_attempt(database: Database, error: Exception | None) -> None:
    """It is tried once for everybody who asks at the same time."""
    database.error = error
    asked = Trial(database.write)

    with ThreadPoolExecutor(10) as pool:
        waiting = [pool.submit(asked.why_closed, PATIENCE) for _ in range(10)]
        until(lambda: how_many_wait() == 10)
        database.answers.set()
        reasons = {each.result() for each in waiting}

    assert database.asked == 1
    assert reasons == {None if error is None else "it is away"}


def test_a_failure_counts_for_a_while(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within it nothing is tried again; after it, it is. That it has worked is found out each time."""
    database.answers.set()
    asked = Trial(database.write)
    assert asked.why_closed(PATIENCE) is None
    database.error = ConnectionError("it is away")
    assert asked.why_closed(PATIENCE) == "it is away"
    database.error = None
    assert asked.why_closed(PATIENCE) == "it is away"
    assert database.asked == 2

    monkeypatch.setattr(trial, "_SECONDS", -1.0)
    assert asked.why_closed(PATIENCE) is None


def test_a_database_that_is_silent(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks first waits, and no longer than asked; others wait for nothing while that hangs."""
    monkeypatch.setattr(trial, "_SECONDS", -1.0)
    asked = Trial(database.write)
    assert asked.why_closed(0.1) == LATE

    began = time.monotonic()
    assert asked.why_closed(PATIENCE) == LATE
    assert time.monotonic() - began < PATIENCE / 2
    assert database.asked == 1


def test_while_a_failure_is_tried_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One waits for the new attempt; others get the failure that is known, at once."""
    monkeypatch.setattr(trial, "_SECONDS", -1.0)
    asked = Trial(database.write)
    database.error = ConnectionError("it is away")
    database.answers.set()
    assert asked.why_closed(PATIENCE) == "it is away"

    database.answers.clear()
    database.error = None
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(asked.why_closed, PATIENCE)
        until(lambda: database.asked == 2)
        began = time.monotonic()
        assert asked.why_closed(PATIENCE) == "it is away"
        assert time.monotonic() - began < PATIENCE / 2
        database.answers.set()
        assert first.result() is None
