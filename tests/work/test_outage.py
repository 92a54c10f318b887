from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from okta_hooks.exceptions import InboxUnavailable
from okta_hooks.inbox.claims import Claim, Inbox, Settlement
from tests.support import PATIENCE, receipts, states

from .support import Heard, await_

if TYPE_CHECKING:
    from flask import Flask

    from tests.support import Clock

    from .support import System


class Flaky(Inbox):
    """An inbox whose database goes away at a given call, as it does when it is restarted."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.fails: dict[str, int] = {}
        self.failed = threading.Semaphore(0)

    def _may_fail(self, method: str) -> None:
        if self.fails.get(method, 0):
            self.fails[method] -= 1
            self.failed.release()
            raise InboxUnavailable("the database is away")

    def claim(self, *arguments: Any, **options: Any) -> list[Claim]:
        """Claim, and lose the answer."""
        claims = super().claim(*arguments, **options)
        if claims:
            self._may_fail("claim")
        return claims

    def load(self, delivery_id: int) -> tuple[Any, str | None]:
        """Fail to read a delivery."""
        self._may_fail("load")
        return super().load(delivery_id)

    def settle(self, *arguments: Any) -> tuple[list[Settlement], dict[int, str]]:
        """Fail to write down what was done."""
        self._may_fail("settle")
        return super().settle(*arguments)

    def settle_and_claim(
        self, *arguments: Any
    ) -> tuple[list[Settlement], dict[int, str], list[Claim]]:
        """Fail to write down what was done, or do it, claim, and lose the answer."""
        self._may_fail("settle")
        answer = super().settle_and_claim(*arguments)
        if answer[2]:
            self._may_fail("settle_and_claim")
        return answer

    def release(self, *arguments: Any) -> None:
        """Fail to give back."""
        self._may_fail("release")
        super().release(*arguments)

    def fan_out(self, *arguments: Any, **options: Any) -> set[tuple[str, str]]:
        """Fail to hand out."""
        self._may_fail("fan_out")
        return super().fan_out(*arguments, **options)


@pytest.mark.parametrize(
    "fails",
    [
        {"claim": 1},
        {"load": 1},
        {"load": 1, "release": 1},
        {"settle": 1},
        {"fan_out": 1},
        {"fan_out": 1, "claim": 1, "load": 1, "settle": 1},
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
    system.inbox.store([system.delivery("a"), system.delivery("b"), system.delivery("c")])
    flaky = Flaky(inbox_url, clock=clock)
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
    flaky = Flaky(inbox_url, clock=clock)
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
    flaky = Flaky(inbox_url, clock=clock)
    flaky.fails = {"settle": 10**9}
    worker = system.make_worker(flaky)
    worker.start()
    await_(flaky.failed)

    assert worker.stop(PATIENCE)

    assert heard.uuids == ["a"]
    assert receipts(system.inbox, "a") == {"a": ("claimed", 0)}
    flaky.close()
