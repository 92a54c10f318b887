from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from okta_hooks.exceptions import InboxUnavailable
from okta_hooks.work.alone import Permit, Permits
from tests.support import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SHORT = 0.05
LONG = 1000.0


class Runner:
    """A run in a thread of its own: it takes a permit, and keeps it until it is told to end."""

    def __init__(self, permits: Permits, *, alone: bool = False) -> None:
        self.permit: Permit | None = None
        self.has_permit = threading.Event()
        self._may_end = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(permits, alone), daemon=True)
        self._thread.start()

    def _run(self, permits: Permits, alone: bool) -> None:
        with permits.granted(alone=alone) as permit:
            self.permit = permit
            self.has_permit.set()
            assert self._may_end.wait(PATIENCE)

    def begun(self) -> Permit | None:
        """Wait until it has its permit, and return what it got."""
        assert self.has_permit.wait(PATIENCE)
        return self.permit

    def end(self) -> None:
        """Let it end."""
        self._may_end.set()
        self._thread.join(PATIENCE)


@pytest.fixture
def begin() -> Iterator[Callable[..., Runner]]:
    """Return a function that lets a run wait for its permit; all of them end with the test."""
    made = []

    def begin(permits: Permits, **options: Any) -> Runner:
        made.append(Runner(permits, **options))
        return made[-1]

    yield begin
    for runner in made:
        runner.end()


def test_runs_go_on_side_by_side(begin: Callable[..., Runner]) -> None:
    """As long as nothing is suspected nobody waits."""
    permits = Permits(patience=LONG)

    assert [begin(permits).begun() for _ in range(3)] == [Permit()] * 3


def test_a_suspect_waits_for_the_others_and_they_for_it(begin: Callable[..., Runner]) -> None:
    """It begins when nothing else runs, and nothing else begins from when it waits until it ends."""
    permits = Permits(patience=LONG)
    before = begin(permits)
    before.begun()
    suspect = begin(permits, alone=True)
    assert not suspect.has_permit.wait(SHORT)
    after = begin(permits)
    assert not after.has_permit.wait(SHORT)

    before.end()
    assert suspect.begun() == Permit(is_alone=True)
    assert not after.has_permit.wait(SHORT)

    suspect.end()
    assert after.begun() == Permit()


def test_another_suspect_does_not_wait(begin: Callable[..., Runner]) -> None:
    """It is sent away at once, and gets its permit when the first has ended."""
    permits = Permits(patience=LONG)
    first = begin(permits, alone=True)
    first.begun()

    assert begin(permits, alone=True).begun() is None

    first.end()
    assert begin(permits, alone=True).begun() == Permit(is_alone=True)


def test_one_that_was_sent_away_takes_nothing(begin: Callable[..., Runner]) -> None:
    """What ends without having run does not end the permit of who runs."""
    permits = Permits(patience=LONG)
    begin(permits, alone=True).begun()
    away = begin(permits, alone=True)
    away.begun()
    away.end()

    assert not begin(permits).has_permit.wait(SHORT)


def test_a_suspect_that_never_returns(begin: Callable[..., Runner]) -> None:
    """Others wait no longer than is stated; the first marks that the suspect is alone no more."""
    permits = Permits(patience=SHORT)
    marked: list[bool] = []
    permits.mark(begin(permits, alone=True).begun() or Permit(), marked.append)
    began = time.monotonic()

    other = begin(permits).begun()
    assert other == Permit(ends_alone=True)
    assert time.monotonic() - began < PATIENCE / 2
    permits.mark(other, marked.append)
    assert marked == [True, False]
    assert begin(permits).begun() == Permit()


def test_a_mark_is_undone_by_the_next(begin: Callable[..., Runner]) -> None:
    """A suspect that has ended may not be settled yet: whatever runs next marks that none is alone."""
    permits = Permits(patience=LONG)
    marked: list[bool] = []
    suspect = begin(permits, alone=True)
    permits.mark(suspect.begun() or Permit(), marked.append)
    suspect.end()

    permits.mark(begin(permits).begun() or Permit(), marked.append)

    assert marked == [True, False]
    assert begin(permits).begun() == Permit()


@pytest.mark.parametrize("is_alone", [True, False])
def test_a_mark_that_failed_may_have_been_committed(
    begin: Callable[..., Runner], is_alone: bool
) -> None:
    """If the database does not answer, the next run marks that none is alone, whatever was to be marked."""
    permits = Permits(patience=SHORT)
    marked: list[bool] = []

    def fail(_: bool) -> None:
        raise InboxUnavailable("away")

    permit = begin(permits, alone=True).begun() or Permit()
    if not is_alone:
        permits.mark(permit, marked.append)
        permit = begin(permits).begun() or Permit()
    with pytest.raises(InboxUnavailable, match="away"):
        permits.mark(permit, fail)

    permits.mark(begin(permits).begun() or Permit(), marked.append)

    assert marked[-1] is False


def test_a_suspect_that_is_slow_to_mark_that_it_is_alone(begin: Callable[..., Runner]) -> None:
    """It marks nothing if another has begun beside it meanwhile."""
    permits = Permits(patience=SHORT)
    marked: list[bool] = []
    suspect = begin(permits, alone=True).begun()
    assert suspect == Permit(is_alone=True)
    permits.mark(begin(permits).begun() or Permit(), marked.append)

    permits.mark(suspect, marked.append)

    assert marked == []


def test_others_that_never_return(begin: Callable[..., Runner]) -> None:
    """A suspect waits no longer than is stated, and is not alone then."""
    permits = Permits(patience=SHORT)
    begin(permits).begun()

    assert begin(permits, alone=True).begun() == Permit(is_alone=False)


def test_a_suspect_that_never_returns_and_another(begin: Callable[..., Runner]) -> None:
    """After a longer time the other goes on beside it, and marks that the first is alone no more."""
    permits = Permits(patience=SHORT, longest_alone=0.0)
    first = begin(permits, alone=True).begun()
    assert first == Permit(is_alone=True)
    permits.mark(first, lambda _: None)

    assert begin(permits, alone=True).begun() == Permit(ends_alone=True)


def test_a_run_that_goes_on_beyond_its_timeout(begin: Callable[..., Runner]) -> None:
    """Its permit has ended, but it may still end the process: until it has returned, no suspect is alone."""
    permits = Permits()
    may_end = threading.Event()
    overdue = threading.Thread(target=may_end.wait, args=(PATIENCE,), daemon=True)
    overdue.start()
    permits.add_overdue(overdue)

    beside = begin(permits, alone=True)
    permit = beside.begun()
    beside.end()
    may_end.set()
    overdue.join(PATIENCE)
    afterwards = begin(permits, alone=True).begun()

    assert permit is not None
    assert not permit.is_alone
    assert afterwards is not None
    assert afterwards.is_alone
