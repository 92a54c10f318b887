from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from okta_hooks.inbox.claims import Inbox, Settlement
from tests.support import DAY, claim, fan_out, receipts, settle, states

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from okta_hooks.inbox.claims import NewDelivery
    from tests.support import Clock

    DeliveryFactory = Callable[..., NewDelivery]


def test_a_lease_that_ran_out(inbox: Inbox, delivery: DeliveryFactory, clock: Clock) -> None:
    """What a worker holds is freed when its lease has run out, and not before."""
    inbox.store([delivery("a", "b")])
    fan_out(inbox, "a")
    inbox.keep_alive("me", 30)
    inbox.keep_alive("another", 60)
    (mine, theirs) = claim(inbox, limit=1) + claim(inbox, worker="another", limit=1)
    clock.now += 29
    assert inbox.free() == []
    assert claim(inbox) == []

    clock.now += 1
    assert inbox.free() == []

    (again,) = claim(inbox, worker="another")
    assert (again.event_id, again.claims, again.attempts) == (mine.event_id, 2, 0)
    assert len(inbox.settle("another", [Settlement(claim=theirs, state="done")])[0]) == 1


def test_a_worker_that_left(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """Without its row a worker holds nothing: what it had is free at once."""
    inbox.store([delivery("a")])
    fan_out(inbox, "a")
    inbox.keep_alive("me", 30)
    claim(inbox)
    inbox.leave("me")

    inbox.free()

    assert len(claim(inbox)) == 1


def test_a_lease_is_prolonged(inbox: Inbox, delivery: DeliveryFactory, clock: Clock) -> None:
    """A heartbeat moves the end of the lease."""
    inbox.store([delivery("a")])
    fan_out(inbox, "a")
    inbox.keep_alive("me", 30)
    claim(inbox)
    clock.now += 20
    inbox.keep_alive("me", 30)
    clock.now += 20

    inbox.free()

    assert claim(inbox, worker="another") == []


def test_what_kills_five_processes_is_dead(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """A receipt that was claimed five times more often than attempted is given up, and nothing else is."""
    inbox.store([delivery("a", "b")])
    fan_out(inbox, "a", "b")
    (b,) = claim(inbox, "b", limit=1)
    settle(inbox, [b])
    for deaths in range(5):
        assert states(inbox)["a"] == "claimed", deaths
        (found,) = claim(inbox, limit=1)
        assert found.claims == deaths + 1
        died = inbox.free(all_workers=True)

    assert died == [("okta", "a", found.event_id)]
    assert states(inbox) == {"a": "dead", "b": "claimed"}
    assert inbox.show("a")[0]["receipts"][0]["error"] == "the process died here"
    assert [found.ordinal for found in claim(inbox)] == [1]


def test_a_receiver_that_is_gone_for_a_day(
    inbox: Inbox, delivery: DeliveryFactory, clock: Clock
) -> None:
    """Its receipts are dead; those of a receiver that was seen since are not."""
    inbox.store([delivery("a")])
    fan_out(inbox, "a", "b")
    inbox.see_lanes([("okta", "a"), ("okta", "b")])
    clock.now += DAY
    assert inbox.bury_orphans(DAY) == []
    clock.now += 1
    inbox.see_lanes([("okta", "b")])
    inbox.see_lanes([])

    assert [found[:2] for found in inbox.bury_orphans(DAY)] == [("okta", "a")]

    assert receipts(inbox, "a") == {"a": ("dead", 0), "b": ("pending", 0)}
    assert "not been connected" in inbox.show("a")[0]["receipts"][0]["error"]
    assert settle(inbox, claim(inbox, "b")) == {1: "dead"}


def test_many_orphans(inbox: Inbox, delivery: DeliveryFactory, clock: Clock) -> None:
    """However many receipts are given up, each call takes a batch of them, until there are none."""
    inbox.store([delivery(*(f"{number:04}" for number in range(1200)))])
    inbox.see_lanes([("okta", "gone")])
    for _ in range(3):
        inbox.fan_out(["okta"], lambda row: ["gone"])
    clock.now += 2 * 24 * 3600

    batches = [len(inbox.bury_orphans(24 * 3600)) for _ in range(4)]

    assert batches == [500, 500, 200, 0]
    assert inbox.counts()["dead"] == 1200


def test_leases_run_to_the_database_s_clock(
    postgresql_url: str, delivery: DeliveryFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host whose clock is wrong frees nothing that belongs to a worker that lives."""
    here = Inbox(postgresql_url)
    here.store([delivery("a")])
    here.fan_out(["okta"], lambda row: ["r"])
    here.keep_alive("here", 30)
    assert here.claim("here", "okta", "r", 20)

    script = (
        "import sys, time; now = time.time; time.time = lambda: now() + 3600\n"
        "from okta_hooks.inbox import Inbox; inbox = Inbox(sys.argv[1])\n"
        "inbox.keep_alive('there', 30); inbox.free(); inbox.close()"
    )
    subprocess.run([sys.executable, "-c", script, postgresql_url], check=True)

    assert here.claim("other", "okta", "r", 20) == []
    here.close()
