from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from tests.support import (
    DAY,
    PATIENCE,
    POSTGRESQL,
    SQLITE_FIRST,
    counts,
    receipts,
    take_over,
    until,
)

from .support import Heard, Held, await_

if TYPE_CHECKING:
    from collections.abc import Callable

    from okta_hooks.inbox import Inbox
    from tests.support import Clock

    from .support import System

    InboxFactory = Callable[..., Inbox]


@SQLITE_FIRST
def test_a_lane_that_holds_a_batch_gives_it_back(system: System) -> None:
    """The attempt that runs is let finish, and counts; what has not begun stays pending, and nothing against it."""
    held = Held()
    system.on("*", name="a")(held)
    system.store("u", "v", "w")
    worker = system.make_worker()
    drain = threading.Thread(target=worker.drain)
    drain.start()
    await_(held.has_begun)
    assert [each.claimed for each in system.inbox.overview.receivers()] == [3]

    system.inbox.pauses.pause("okta", "a", who="ada")
    # What begins within a moment of the last look is not looked at again.
    threading.Event().wait(0.3)
    held.may_end.set()
    drain.join(PATIENCE)

    assert not drain.is_alive()
    assert [receipts(system.inbox, uuid)["a"] for uuid in "uvw"] == [
        ("done", 1),
        ("pending", 0),
        ("pending", 0),
    ]
    assert take_over(system.inbox) == []
    system.inbox.pauses.resume("okta", "a")
    assert system.drain() == 2
    assert held.most_at_once == 1


def test_a_resumed_receiver_goes_on_by_itself(
    system: System, finished: threading.Semaphore
) -> None:
    """Its worker sees that at its next look; the others have never stopped, and its events had their receipts."""
    a, b = Heard(), Heard()
    system.on("*", name="a")(a)
    system.on("*", name="b")(b)
    system.inbox.pauses.pause("okta", "a", who="ada")
    system.make_worker().start()
    system.store("u", "v")
    until(lambda: receipts(system.inbox, "v").get("b") == ("done", 1))

    assert receipts(system.inbox, "v")["a"] == ("pending", 0)
    system.inbox.pauses.resume("okta", "a")
    await_(finished, 2)
    assert a.uuids == b.uuids == ["u", "v"]


def test_a_drain_leaves_what_is_paused(system: System) -> None:
    """It comes to its end, for whatever queues; the next that is due is none of a paused receiver."""
    heard = system.on("*", name="a", queue="slow")(Heard())
    system.store("u")
    system.inbox.pauses.pause("okta", "a", who="ada")
    worker = system.make_worker()
    worker.queues = frozenset({"slow"})

    assert worker.drain() == 0
    assert system.drain() == 0
    assert counts(system.inbox) == {"claimed": 1}
    assert worker.next_due() is None
    assert heard.uuids == []


def test_a_pause_waits_for_no_receiver(system: System) -> None:
    """One that is connected nowhere yet can be paused: when it is deployed, it does not begin."""
    system.inbox.pauses.pause("okta", "a", who="ada")
    heard = system.on("*", name="a")(Heard())
    system.store("u")

    assert system.drain() == 0
    system.inbox.pauses.resume("okta", "a")
    assert system.drain() == 1
    assert heard.uuids == ["u"]


@POSTGRESQL
def test_two_processes_obey(system: System, open_inbox: InboxFactory) -> None:
    """Whichever of them has paused it, neither begins anything of the receiver until one has resumed it."""
    held, free = Held(), Heard()
    system.on("*", name="a", concurrency=4)(held)
    system.on("*", name="b")(free)
    workers = [system.make_worker(open_inbox()) for _ in range(2)]
    for worker in workers:
        worker.start()
    system.store("u", "v")
    await_(held.has_begun)
    system.inbox.pauses.pause("okta", "a", who="ada")
    system.store(*(f"w{number}" for number in range(30)))
    until(lambda: len(free.uuids) == 32)
    held.may_end.set()
    until(lambda: held.at_once == 0)

    until(lambda: not any(each.claimed for each in system.inbox.overview.receivers()))
    (of_a,) = [each for each in system.inbox.overview.receivers() if each.receiver == "a"]
    assert of_a.pending >= 30
    system.inbox.pauses.resume("okta", "a")
    until(lambda: counts(system.inbox) == {"done": 32})


def test_the_audit_is_kept_for_400_days(system: System, clock: Clock) -> None:
    """A worker that runs for long forgets what is older, and nothing else."""

    def write(subject: str) -> None:
        system.inbox.audit.write(action="replay", subject=subject, who="ada", via="command")

    write("old")
    clock.now += 2 * DAY
    write("kept")
    clock.now += 399 * DAY
    housekeeping = system.make_worker(system.inbox).housekeeping
    elapsed = system.inbox.elapsed() + 700
    system.inbox.elapsed = lambda: elapsed
    clock.now += 700
    housekeeping.clean()

    assert [each.subject for each in system.inbox.audit.entries()] == ["kept"]
