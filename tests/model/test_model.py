"""The model in the suite: a short run, and that it finds what is wrong."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from tests.support import LONG

from .history import play
from .model import Bench, Model
from .mutants import MUTANTS
from .simulation import Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

_HISTORIES = 100 if LONG else 12
_MOST_HISTORIES = 60
_NUMBER = st.integers(0, 23)


@pytest.fixture
def bench(inbox_url: str) -> Iterator[Bench]:
    """Return a database for models."""
    made = Bench(inbox_url)
    yield made
    made.close()


def histories(bench: Bench) -> type[RuleBasedStateMachine]:  # noqa: C901 - one method for each kind of rule
    """Return what lets Hypothesis write histories, and shorten those that end badly."""

    class Histories(RuleBasedStateMachine):
        """The rules of the model."""

        def __init__(self) -> None:
            super().__init__()
            self.model = Model(bench)
            self.model.start(0)

        @rule(picks=st.lists(_NUMBER, min_size=1, max_size=20))
        def step(self, picks: list[int]) -> None:
            for pick in picks:
                self._do("step", pick)

        @rule(pick=_NUMBER, outcome=_NUMBER)
        def finish(self, pick: int, outcome: int) -> None:
            self._do("finish", pick, outcome)

        @rule(host=_NUMBER, size=st.integers(0, 3), kind=_NUMBER, known=st.integers(0, 5))
        def deliver(self, host: int, size: int, kind: int, known: int) -> None:
            self._do("deliver", host, size, kind, known)

        @rule(name=st.sampled_from(["start", "pass_time", "die", "stop", "freeze"]), to=_NUMBER)
        def happen(self, name: str, to: int) -> None:
            self._do(name, to)

        @rule(name=st.sampled_from(["cut_off", "sleep_long"]), to=_NUMBER)
        def happen_seldom(self, name: str, to: int) -> None:
            self._do(name, to)

        @rule(
            name=st.sampled_from(
                ["fail", "jump", "poison", "replay", "change_receiver", "change_handlers"]
            ),
            to=_NUMBER,
            what=_NUMBER,
        )
        def change(self, name: str, to: int, what: int) -> None:
            self._do(name, to, what)

        @rule(name=st.sampled_from(["remove_lock", "prune_dead"]))
        def tidy(self, name: str) -> None:
            self._do(name)

        def _do(self, name: str, *given: int) -> None:
            getattr(self.model, name)(*given)
            self.model.check()

        def teardown(self) -> None:
            try:
                if self.model.world.violation is None:
                    self.model.settle_down()
            finally:
                self.model.close()

    return Histories


@pytest.mark.long
def test_no_history_breaks_a_guarantee(bench: Bench) -> None:
    """Whatever happens to processes, clocks and connections, in any order, what is guaranteed holds.

    Hypothesis writes the histories, the same ones each time, and shortens one that breaks something.
    """
    run_state_machine_as_test(
        histories(bench),
        settings=settings(
            max_examples=_HISTORIES,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1, 11) if LONG else [3])
def test_no_long_history_breaks_a_guarantee(bench: Bench, seed: int) -> None:
    """Nor does one of hundreds of steps, such as ``make model`` plays by the thousand."""
    model = play(bench, seed)

    assert model.reference.settlements
    assert model.faults_happened


@pytest.mark.parametrize(
    ("inbox_url", "name"),
    [pytest.param(mutant.database, name, id=name) for name, mutant in MUTANTS.items()],
    indirect=["inbox_url"],
)
def test_the_model_finds(bench: Bench, name: str) -> None:
    """Each guarantee can be seen to break: with the package changed to break it, a history ends by that."""
    mutant = MUTANTS[name]

    def play_many() -> None:
        # Whatever else the package does now may have made another history of the first seed.
        for seed in (mutant.seed, *range(_MOST_HISTORIES)):
            play(bench, seed, steps=400, prefer=mutant.prefer)

    with mutant.change(), pytest.raises(Violation) as found:
        play_many()

    assert re.search(mutant.rules_broken, str(found.value))


def test_a_seed_brings_a_history_back(bench: Bench) -> None:
    """The same seed leads to the same steps, so that whatever was found can be found again."""
    said: list[list[str]] = [[], []]

    for lines in said:
        play(bench, 7, steps=250, trace=lines.append)

    assert said[0] == said[1]


def test_a_history_is_told(bench: Bench) -> None:
    """Whoever looks into a violation is told each step, with the time at which it was."""
    lines: list[Any] = []

    play(bench, 1, steps=5, trace=lines.append)

    assert lines[0].startswith("0 1000.00 ")
    assert lines[-1] == "settle down"
