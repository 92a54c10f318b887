from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support import DAY, claim, fan_out, settle

from .support import printed, states

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.testing import Result

    from okta_hooks.inbox import Inbox
    from okta_hooks.inbox.intake import NewDelivery
    from tests.support import Clock

    DeliveryFactory = Callable[..., NewDelivery]
    Run = Callable[..., Result]


def test_replay(filled: Inbox, run: Run) -> None:
    """Events go to their receivers again, or are only counted."""
    assert run("replay", "old", "--dry-run").output == "1 event would be replayed.\n"
    assert states(run)["old"] == "done"

    assert run("replay", "old").output == "1 event is replayed.\n"

    assert states(run)["old"] == "pending"
    assert printed(run("replay", "--state", "dead", "--dry-run", "--json")) == {
        "events": 2,
        "dry_run": True,
    }
    assert printed(run("replay", "--type", "group.*", "--since", "3d", "--json")) == {
        "events": 1,
        "dry_run": False,
    }
    assert states(run) == {"old": "pending", "group": "pending", "dead": "dead", "new": "pending"}


def test_replay_for_one_receiver(filled: Inbox, run: Run) -> None:
    """Its receipts alone are reset."""
    assert run("replay", "--receiver", "users").output == "2 events are replayed.\n"

    (shown,) = printed(run("events", "show", "old", "--json"))
    found = {row["receiver"]: row["state"] for row in shown["receipts"]}
    assert found == {"audit": "done", "users": "pending"}
    assert states(run)["group"] == "done"


def test_replay_of_what_nobody_received(inbox: Inbox, delivery: DeliveryFactory, run: Run) -> None:
    """After a receiver was forgotten, ``--unreceived`` finds what it would have got."""
    inbox.intake.store([delivery("a", "b")])
    fan_out(inbox, "audit", limit=1)
    fan_out(inbox)

    assert run("replay", "--unreceived").output == "1 event is replayed.\n"

    assert states(run) == {"a": "claimed", "b": "pending"}


def test_replay_of_everything_must_be_meant(filled: Inbox, run: Run) -> None:
    """Without any choice nothing is replayed: the whole inbox would be."""
    before = states(run)

    assert "Say which events" in run("replay", status=2).output
    run("replay", "--dry-run", status=2)

    assert states(run) == before


def test_replay_of_nothing(filled: Inbox, run: Run) -> None:
    """A uuid that has nothing to replay fails; a search that finds nothing does not."""
    run("replay", "nowhere", status=1)
    run("replay", "--type", "app.*")


def test_why_an_event_is_not_replayed(
    filled: Inbox, run: Run, delivery: DeliveryFactory, clock: Clock
) -> None:
    """Each uuid that was named and is left alone has a line, beside what is printed for programs, too."""
    filled.intake.store([delivery("held")])
    clock.now += 1
    fan_out(filled, "audit", "users", limit=1)
    events = {uuid: run("replay", uuid, status=1).stderr for uuid in ("abc", "new", "held")}

    assert events["abc"] == "There is no event 'abc'.\n"
    assert events["held"] == "held is still open: no worker has taken it up yet.\n"
    assert events["new"].startswith("new is still open: audit is due at 20")
    assert "; users is due at 20" in events["new"]
    some = run("replay", "abc", "old", "--dry-run", "--json")
    assert (printed(some)["events"], some.stderr) == (1, "There is no event 'abc'.\n")


def test_why_a_receipt_is_not_replayed(filled: Inbox, run: Run, delivery: DeliveryFactory) -> None:
    """With ``--receiver`` it is that receiver's receipt that counts."""
    fan_out(filled, "audit", limit=1)
    assert (
        "new did not go to users." in run("replay", "new", "--receiver", "users", status=1).output
    )
    waiting = run("replay", "new", "--receiver", "audit", status=1).output
    assert "new is still open: audit is due at 20" in waiting
    claim(filled, "audit")
    in_hand = run("replay", "new", "--receiver", "audit", status=1).output
    assert "new is still open: audit has it in hand." in in_hand
    other = run("replay", "old", "--type", "group.*", status=1).output
    assert "old of the hook okta is not what the other options choose." in other


def test_an_event_without_its_body_is_not_replayed(
    inbox: Inbox, run: Run, delivery: DeliveryFactory, clock: Clock
) -> None:
    """What retention has taken cannot go to a receiver again."""
    clock.now -= 31 * DAY
    inbox.intake.store([delivery("ancient")])
    run("worker", "--drain")
    run("prune")

    assert "The body of ancient is gone" in run("replay", "ancient", status=1).output


def test_a_receiver_that_is_not_known(filled: Inbox, run: Run, delivery: DeliveryFactory) -> None:
    """A name that nobody has or had is a mistake in use; that of a receiver that is gone is none."""
    refused = run("replay", "--receiver", "app:nope", status=2).output
    assert "No receiver 'app:nope' is known; there are: audit, users." in refused

    fan_out(filled, "gone", limit=1)
    settle(filled, claim(filled, "gone"))
    assert run("replay", "--receiver", "gone").output == "1 event is replayed.\n"


def test_prune(inbox: Inbox, delivery: DeliveryFactory, run: Run, clock: Clock) -> None:
    """What retention does not keep goes at once, in as many batches as it takes."""
    clock.now -= 101 * DAY
    inbox.intake.store([delivery(f"uuid-{number}") for number in range(600)])
    clock.now += 101 * DAY
    inbox.intake.store([delivery("new")])
    run("worker", "--drain")

    run("prune")

    assert states(run) == {"new": "done"}


def test_prune_dead(filled: Inbox, run: Run, delivery: DeliveryFactory, clock: Clock) -> None:
    """Dead letters go by hand only, older than what is said."""
    clock.now -= 10 * DAY
    filled.intake.store([delivery({"uuid": "older", "eventType": []})])
    run("prune")
    assert states(run)["older"] == "dead"

    output = run("prune", "--dead", "--older-than", "7d", "--dry-run").output
    assert output == "1 dead letter would be deleted.\n"
    assert states(run)["older"] == "dead"
    output = run("prune", "--dead", "--older-than", "7d").output
    assert output == "1 dead letter is deleted.\n"
    assert "older" not in states(run)
    assert states(run)["dead"] == "dead"


@pytest.mark.parametrize(
    "options",
    [["--dead"], ["--older-than", "7d"], ["--dry-run"], ["--dead", "--dry-run"]],
    ids=" ".join,
)
def test_prune_used_wrongly(filled: Inbox, run: Run, options: list[str]) -> None:
    """``--dead`` and ``--older-than`` go together; ``--dry-run`` is for them."""
    before = states(run)

    run("prune", *options, status=2)

    assert states(run) == before
