from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from okta_hooks.exceptions import InboxUnavailable
from okta_hooks.work.alone import Turn, Turns
from tests.support import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SHORT = 0.05
LONG = 1000.0


class Runner:
    """A run in a thread of its own: it takes its turn, and keeps it until it is told to end."""

    def __init__(self, turns: Turns, *, alone: bool = False) -> None:
        self.turn: Turn | None = None
        self.has_turn = threading.Event()
        self._may_end = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(turns, alone), daemon=True)
        self._thread.start()

    def _run(self, turns: Turns, alone: bool) -> None:
        with turns.taken(alone=alone) as turn:
            self.turn = turn
            self.has_turn.set()
            assert self._may_end.wait(PATIENCE)

    def begun(self) -> Turn | None:
        """Wait until it has its turn, and return what it got."""
        assert self.has_turn.wait(PATIENCE)
        return self.turn

    def end(self) -> None:
        """Let it end."""
        self._may_end.set()
        self._thread.join(PATIENCE)


@pytest.fixture
def begin() -> Iterator[Callable[..., Runner]]:
    """Return a function that lets a run wait for its turn; all of them end with the test."""
    made = []

    def begin(turns: Turns, **options: Any) -> Runner:
        made.append(Runner(turns, **options))
        return made[-1]

    yield begin
    for runner in made:
        runner.end()


def test_runs_go_on_side_by_side(begin: Callable[..., Runner]) -> None:
    """As long as nothing is suspected nobody waits."""
    turns = Turns(longest_wait=LONG)

    assert [begin(turns).begun() for _ in range(3)] == [Turn()] * 3


def test_a_suspect_waits_for_the_others_and_they_for_it(begin: Callable[..., Runner]) -> None:
    """It begins when nothing else runs, and nothing else begins from when it waits until it ends."""
    turns = Turns(longest_wait=LONG)
    before = begin(turns)
    before.begun()
    suspect = begin(turns, alone=True)
    assert not suspect.has_turn.wait(SHORT)
    after = begin(turns)
    assert not after.has_turn.wait(SHORT)

    before.end()
    assert suspect.begun() == Turn(is_alone=True)
    assert not after.has_turn.wait(SHORT)

    suspect.end()
    assert after.begun() == Turn()


def test_another_suspect_does_not_wait(begin: Callable[..., Runner]) -> None:
    """It is sent away at once, and gets its turn when the first has ended."""
    turns = Turns(longest_wait=LONG)
    first = begin(turns, alone=True)
    first.begun()

    assert begin(turns, alone=True).begun() is None

    first.end()
    assert begin(turns, alone=True).begun() == Turn(is_alone=True)


def test_one_that_was_sent_away_takes_nothing(begin: Callable[..., Runner]) -> None:
    """What ends without having run does not end the turn of who runs."""
    turns = Turns(longest_wait=LONG)
    begin(turns, alone=True).begun()
    away = begin(turns, alone=True)
    away.begun()
    away.end()

    assert not begin(turns).has_turn.wait(SHORT)


def test_a_suspect_that_never_returns(begin: Callable[..., Runner]) -> None:
    """Others wait no longer than is stated; the first says that the suspect is alone no more."""
    turns = Turns(longest_wait=SHORT)
    said: list[bool] = []
    turns.announce(begin(turns, alone=True).begun() or Turn(), said.append)
    began = time.monotonic()

    other = begin(turns).begun()
    assert other == Turn(ends_alone=True)
    assert time.monotonic() - began < PATIENCE / 2
    turns.announce(other, said.append)
    assert said == [True, False]
    assert begin(turns).begun() == Turn()


def test_what_was_said_is_taken_back_by_the_next(begin: Callable[..., Runner]) -> None:
    """A suspect that has ended may not be settled yet: whatever runs next says that it is alone no more."""
    turns = Turns(longest_wait=LONG)
    said: list[bool] = []
    suspect = begin(turns, alone=True)
    turns.announce(suspect.begun() or Turn(), said.append)
    suspect.end()

    turns.announce(begin(turns).begun() or Turn(), said.append)

    assert said == [True, False]
    assert begin(turns).begun() == Turn()


@pytest.mark.parametrize("is_alone", [True, False])
def test_what_could_not_be_said_may_have_been_heard(
    begin: Callable[..., Runner], is_alone: bool
) -> None:
    """If the database does not answer, the next run says that none is alone, whatever was to be said."""
    turns = Turns(longest_wait=SHORT)
    said: list[bool] = []

    def fail(_: bool) -> None:
        raise InboxUnavailable("away")

    turn = begin(turns, alone=True).begun() or Turn()
    if not is_alone:
        turns.announce(turn, said.append)
        turn = begin(turns).begun() or Turn()
    with pytest.raises(InboxUnavailable, match="away"):
        turns.announce(turn, fail)

    turns.announce(begin(turns).begun() or Turn(), said.append)

    assert said[-1] is False


def test_who_is_slow_to_say_that_it_is_alone(begin: Callable[..., Runner]) -> None:
    """It says nothing if another has begun beside it meanwhile."""
    turns = Turns(longest_wait=SHORT)
    said: list[bool] = []
    suspect = begin(turns, alone=True).begun()
    assert suspect == Turn(is_alone=True)
    turns.announce(begin(turns).begun() or Turn(), said.append)

    turns.announce(suspect, said.append)

    assert said == []


def test_others_that_never_return(begin: Callable[..., Runner]) -> None:
    """A suspect waits no longer than is stated, and is not alone then."""
    turns = Turns(longest_wait=SHORT)
    begin(turns).begun()

    assert begin(turns, alone=True).begun() == Turn(is_alone=False)


def test_a_suspect_that_never_returns_and_another(begin: Callable[..., Runner]) -> None:
    """After a longer time the other goes on beside it, and says that the first is alone no more."""
    turns = Turns(longest_wait=SHORT, longest_alone=0.0)
    first = begin(turns, alone=True).begun()
    assert first == Turn(is_alone=True)
    turns.announce(first, lambda _: None)

    assert begin(turns, alone=True).begun() == Turn(ends_alone=True)
