from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from okta_hooks.exceptions import InboxUnavailable
from okta_hooks.inbox import Inbox
from tests.support import PATIENCE, Clock, receipts, states

from .support import Heard, await_

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

    from .support import System


class Flaky(Inbox):
    """An inbox whose database goes away at a given call, as it does when it is restarted."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.fails: dict[str, int] = {}
        self.failed = threading.Semaphore(0)
        claims: Any = self.claims
        for part, name in (
            (self.deliveries, "load"),
            (claims, "settle"),
            (claims, "release"),
            (self.assignments, "unassigned"),
            (self.assignments, "assign"),
        ):
            setattr(part, name, self._failing_before(name, getattr(part, name)))
        claims.claim = self._failing_after("claim", claims.claim, lambda found: found)
        claims.settle_and_claim = self._failing_before(
            "settle",
            self._failing_after(
                "settle_and_claim", claims.settle_and_claim, lambda found: found[2]
            ),
        )

    def _may_fail(self, method: str) -> None:
        if self.fails.get(method, 0):
            self.fails[method] -= 1
            self.failed.release()
            raise InboxUnavailable("the database is away")

    def _failing_before(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def fail_or_do(*arguments: Any, **options: Any) -> Any:
            self._may_fail(name)
            return method(*arguments, **options)

        return fail_or_do

    def _failing_after(
        self, name: str, method: Callable[..., Any], claims: Callable[[Any], Any]
    ) -> Callable[..., Any]:
        """Do it, and lose the answer if something was claimed."""

        def do_and_fail(*arguments: Any, **options: Any) -> Any:
            answer = method(*arguments, **options)
            if claims(answer):
                self._may_fail(name)
            return answer

        return do_and_fail


@pytest.mark.parametrize(
    "fails",
    [
        {"claim": 1},
        {"load": 1},
        {"load": 1, "release": 1},
        {"settle": 1},
        {"assign": 1},
        {"unassigned": 1, "assign": 1, "claim": 1, "load": 1, "settle": 1},
    ],
    ids=str,
)
def test_a_database_that_goes_away_for_a_moment(
    system: System,
    inbox_url: str,
    clock: Clock,
    finished: threading.Semaphore,
    fails: dict[str, int],
) -> None:
    """Nothing stays in the hands of a worker that lives, and nothing that has run is run again."""
    heard = system.on("*", name="a")(Heard())
    system.inbox.intake.store([system.delivery("a"), system.delivery("b"), system.delivery("c")])
    flaky = Flaky(inbox_url, clock=clock, elapsed=clock)
    flaky.fails = dict(fails)
    worker = system.make_worker(flaky)
    # The first load is the fan-out's only for events without a type: these have one.
    worker.start()

    await_(flaky.failed, sum(fails.values()))
    await_(finished, 3)

    assert sorted(heard.uuids) == ["a", "b", "c"]
    assert set(states(system.inbox).values()) == {"done"}
    assert worker.stop(PATIENCE)
    flaky.close()


def test_a_lost_answer_leaves_nothing_in_hand(system: System, inbox_url: str, clock: Clock) -> None:
    """What was settled stays so, and what was claimed with it is found, run, and run once."""
    uuids = [f"uuid-{number}" for number in range(5)]
    ran = threading.Semaphore(0)
    heard: list[str] = []

    @system.on("*", name="a")
    def hear(sender: Flask, event: Any, **extra: object) -> None:
        heard.append(event.uuid)
        ran.release()

    system.store(*uuids)
    flaky = Flaky(inbox_url, clock=clock, elapsed=clock)
    flaky.fails = {"settle_and_claim": 1}
    worker = system.make_worker(flaky)
    worker.start()

    await_(flaky.failed)
    await_(ran, 5)
    assert worker.stop(PATIENCE)

    assert heard == uuids
    assert set(states(system.inbox).values()) == {"done"}
    flaky.close()


def test_what_cannot_be_written_down_is_not_run_again_before_the_stop(
    system: System, inbox_url: str, clock: Clock
) -> None:
    """A worker that is told to stop does not wait for ever for a database that is away."""
    heard = system.on("*", name="a")(Heard())
    system.store("a")
    flaky = Flaky(inbox_url, clock=clock, elapsed=clock)
    flaky.fails = {"settle": 10**9}
    worker = system.make_worker(flaky)
    worker.start()
    await_(flaky.failed)

    assert worker.stop(PATIENCE)

    assert heard.uuids == ["a"]
    assert receipts(system.inbox, "a") == {"a": ("pending", 0)}
    flaky.close()


def test_all_threads_tell_of_one_outage(
    system: System, inbox_url: str, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """However many lanes find the database away, there is one line for all of them."""
    tries = threading.Semaphore(0)
    for name in "abcdef":
        system.on("*", name=name)(Heard())
    system.store("a")
    flaky = Flaky(inbox_url, clock=clock, elapsed=clock)

    def fail(*_: Any, **__: Any) -> Any:
        tries.release()
        raise InboxUnavailable("the database is away")

    worker = system.make_worker(flaky)
    flaky.claims.claim = fail  # type: ignore[method-assign]
    flaky.claims.with_work = list  # type: ignore[method-assign, assignment]
    flaky.assignments.unassigned = fail  # type: ignore[method-assign]
    worker.start()
    await_(tries, 3)

    assert worker.stop(PATIENCE)
    assert caplog.text.count("cannot use the inbox") == 1
    flaky.close()
