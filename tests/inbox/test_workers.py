from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from okta_hooks.inbox import Inbox
from okta_hooks.inbox.claims import Settlement
from okta_hooks.work import member
from okta_hooks.work.member import beginning_of_id
from tests.support import DAY, claim, fan_out, receipts, settle, states, take_over

if TYPE_CHECKING:
    from collections.abc import Callable

    from okta_hooks.inbox.intake import NewDelivery
    from tests.support import Clock

    DeliveryFactory = Callable[..., NewDelivery]


def test_a_worker_that_is_gone(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """What it held is freed, and nothing else is."""
    inbox.intake.store([delivery("a", "b")])
    fan_out(inbox, "a")
    inbox.workers.beat("me", 30)
    inbox.workers.beat("another", 60)
    (mine, theirs) = claim(inbox, limit=1) + claim(inbox, worker="another", limit=1)
    assert inbox.workers.free({}) == []
    assert claim(inbox) == []

    beats, _ = inbox.workers.beats()
    assert inbox.workers.free({"me": beats["me"]}) == []

    (again,) = claim(inbox, worker="another")
    assert (again.event_id, again.claims, again.attempts) == (mine.event_id, 2, 0)
    assert len(inbox.claims.settle("another", [Settlement(claim=theirs, state="done")])[0]) == 1


@pytest.mark.parametrize("inbox_url", ["PostgreSQL"], indirect=True)
def test_a_worker_that_comes_back_while_it_is_freed(
    inbox: Inbox, delivery: DeliveryFactory
) -> None:
    """A heartbeat between the look at the list and what follows from it: it keeps what it has in hand."""
    inbox.intake.store([delivery("a")])
    fan_out(inbox, "a")
    inbox.workers.beat("me", 30)
    (mine,) = claim(inbox)
    beats, _ = inbox.workers.beats()
    inbox.workers.beat("me", 30)

    assert inbox.workers.free({"me": beats["me"]}) == []

    assert inbox.workers.is_listed("me")
    assert len(inbox.claims.settle("me", [Settlement(claim=mine, state="done")])[0]) == 1


def test_a_worker_that_left(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """Without its row a worker holds nothing: what it had is free at once."""
    inbox.intake.store([delivery("a")])
    fan_out(inbox, "a")
    inbox.workers.beat("me", 30)
    claim(inbox)
    inbox.workers.leave("me")

    inbox.workers.free({})

    assert len(claim(inbox)) == 1


def test_a_worker_that_is_not_listed_claims_nothing(
    inbox: Inbox, delivery: DeliveryFactory
) -> None:
    """Who was taken off the list while it was frozen, or lost the lock of the file, does nothing more."""
    inbox.intake.store([delivery("a")])
    fan_out(inbox, "a")
    inbox.workers.beat("me", 30)
    take_over(inbox)

    assert inbox.claims.claim("me", "okta", "a", limit=20) == []
    assert not inbox.workers.is_listed("me")
    assert len(claim(inbox)) == 1


def test_heartbeats(inbox: Inbox, clock: Clock) -> None:
    """Each changes the number, and those that were to be alive until a time that is past are named."""
    inbox.workers.beat("me", 30)
    inbox.workers.beat("another", -1)
    first, expired = inbox.workers.beats()
    clock.now += 1
    inbox.workers.beat("me", 30)
    second, _ = inbox.workers.beats()

    assert first["me"] != second["me"]
    assert first["another"] == second["another"]
    assert expired == {"another"}


def test_a_worker_that_was_stopped(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """What it had in hand counts no death, however often that happens."""
    inbox.intake.store([delivery("a")])
    fan_out(inbox, "a")
    for _ in range(10):
        (found,) = claim(inbox)
        assert found.deaths == 0
        inbox.workers.mark_stopping("me")
        assert take_over(inbox) == []


def test_processes_that_are_stopped(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of another start are not marked: containers may have one host name, and the same numbers of processes."""
    pid = os.getpid()
    ours = beginning_of_id(pid)
    monkeypatch.setattr(member, "_START", "another start")
    for worker in (f"{ours}1", f"{ours}2", f"{beginning_of_id(pid)}3"):
        inbox.workers.beat(worker, 30)

    inbox.workers.mark_processes_stopping([ours, "another process"])

    assert inbox.workers.is_stopping(f"{ours}1")
    assert inbox.workers.is_stopping(f"{ours}2")
    assert not inbox.workers.is_stopping(f"{beginning_of_id(pid)}3")


def test_what_kills_five_processes_is_dead(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """A receipt that was claimed five times more often than attempted is given up, and nothing else is."""
    inbox.intake.store([delivery("a", "b")])
    fan_out(inbox, "a", "b")
    (b,) = claim(inbox, "b", limit=1)
    settle(inbox, [b])
    for deaths in range(5):
        assert states(inbox)["a"] == "claimed", deaths
        (found,) = claim(inbox, limit=1)
        assert found.claims == deaths + 1
        inbox.workers.mark_alone("me", found)
        died = take_over(inbox)

    assert died == [("okta", "a", found.event_id)]
    assert states(inbox) == {"a": "dead", "b": "claimed"}
    assert inbox.overview.show("a")[0].receipts[0].error == "the process died here"
    assert [found.ordinal for found in claim(inbox)] == [1]


def test_only_what_ran_alone_is_given_up(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """However often a receipt was in hand beside others when a process died, it gets its chance alone."""
    inbox.intake.store([delivery("a")])
    fan_out(inbox, "killer", "beside")
    for _ in range(8):
        claim(inbox, "killer")
        claim(inbox, "beside")
        assert take_over(inbox) == []

    (killer,) = claim(inbox, "killer")
    (beside,) = claim(inbox, "beside")
    assert (killer.deaths, beside.deaths) == (8, 8)
    inbox.workers.mark_alone("me", killer)
    assert take_over(inbox) == [("okta", "killer", killer.event_id)]

    (again,) = claim(inbox, "beside")
    assert again.deaths == 8
    assert settle(inbox, [again]) == {killer.event_id: "dead"}


def test_who_is_alone_no_more(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """What began beside it counts again; and so does everything once that claim is settled."""
    inbox.intake.store([delivery("a", "b")])
    fan_out(inbox, "r", "s")
    (first,) = claim(inbox, "r", limit=1)
    inbox.workers.mark_alone("me", first)
    claim(inbox, "s", limit=1)
    inbox.workers.mark_alone("me", None)
    take_over(inbox)
    (again,) = claim(inbox, "s", limit=1)
    assert again.deaths == 1

    (first,) = claim(inbox, "r", limit=1)
    inbox.workers.mark_alone("me", first)
    settle(inbox, [first])
    take_over(inbox)
    (again,) = claim(inbox, "s", limit=1)
    assert again.deaths == 2


def test_who_leaves_has_not_died(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """What a worker that leaves the list still has in hand is given back, and not held against it."""
    inbox.intake.store([delivery("a")])
    fan_out(inbox, "a")
    for _ in range(10):
        (found,) = claim(inbox)
        assert found.deaths == 0
        inbox.workers.leave("me")
        assert receipts(inbox, "a") == {"a": ("pending", 0)}


def test_a_receiver_that_is_gone_for_a_day(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """Its receipts are dead when it was watched for so long without being there; those of another are not."""
    inbox.intake.store([delivery("a")])
    fan_out(inbox, "a", "b")
    inbox.workers.see_receivers([("okta", "a"), ("okta", "b")])
    inbox.workers.note_unconnected([], DAY / 2)
    inbox.workers.see_receivers([("okta", "b")])
    inbox.workers.see_receivers([])
    assert inbox.workers.dead_letter_orphans(DAY) == []
    inbox.workers.note_unconnected([("okta", "b")], DAY / 2)

    assert [found[:2] for found in inbox.workers.dead_letter_orphans(DAY)] == [("okta", "a")]

    assert receipts(inbox, "a") == {"a": ("dead", 0), "b": ("pending", 0)}
    assert "not been connected" in (inbox.overview.show("a")[0].receipts[0].error or "")
    assert settle(inbox, claim(inbox, "b")) == {1: "dead"}


def test_each_of_several_workers_adds_its_share(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """Two that watch at the same time do not make a day of half a day."""
    inbox.intake.store([delivery("a")])
    fan_out(inbox, "a")
    inbox.workers.see_receivers([("okta", "a")])
    inbox.workers.beat("one", 30)
    inbox.workers.beat("another", 30)
    inbox.workers.beat("a task", 30, "task")  # does not watch

    inbox.workers.note_unconnected([], DAY)
    assert inbox.workers.dead_letter_orphans(DAY) == []

    inbox.workers.note_unconnected([], DAY)
    assert len(inbox.workers.dead_letter_orphans(DAY)) == 1


def test_many_orphans(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """However many receipts are given up, each call takes a batch of them, until there are none."""
    inbox.intake.store([delivery(*(f"{number:04}" for number in range(1200)))])
    inbox.workers.see_receivers([("okta", "gone")])
    for _ in range(3):
        fan_out(inbox, "gone")
    inbox.workers.note_unconnected([], 2 * DAY)

    batches = [len(inbox.workers.dead_letter_orphans(DAY)) for _ in range(4)]

    assert batches == [500, 500, 200, 0]
    assert inbox.overview.counts().dead == 1200


def test_leases_run_to_the_database_s_clock(
    postgresql_url: str, delivery: DeliveryFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host whose clock is wrong frees nothing that belongs to a worker that lives."""
    here = Inbox(postgresql_url)
    here.intake.store([delivery("a")])
    fan_out(here, "r")
    here.workers.beat("here", 30)
    assert claim(here, "r", worker="here", limit=20)

    script = (
        "import sys, time; now = time.time; time.time = lambda: now() + 3600\n"
        "from okta_hooks.inbox import Inbox; inbox = Inbox(sys.argv[1])\n"
        "inbox.workers.beat('there', 30); inbox.workers.free({}); inbox.close()"
    )
    subprocess.run([sys.executable, "-c", script, postgresql_url], check=True)

    assert claim(here, "r", worker="other", limit=20) == []
    here.close()
