"""Dead letters by receiver and error, and what is done about them in batches."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from okta_hooks.inbox import dead_letters
from okta_hooks.inbox.dead_letters import DeadChoice
from okta_hooks.inbox.error_groups import grouped
from okta_hooks.inbox.selection import Selection
from tests.support import claim, counts, fan_out, receipts, settle, states

if TYPE_CHECKING:
    from collections.abc import Callable

    from okta_hooks.inbox import Inbox
    from okta_hooks.inbox.dead_letters import Step
    from okta_hooks.inbox.intake import NewDelivery
    from tests.support import Clock

    DeliveryFactory = Callable[..., NewDelivery]

OF_A = DeadChoice(hook="okta", receiver="a")


@pytest.fixture
def failed(inbox: Inbox, delivery: DeliveryFactory, clock: Clock) -> Inbox:
    """Return an inbox with five dead letters of a receiver in two groups, one of another, and one of nobody's."""
    inbox.intake.store([delivery(*"vwxyz")])
    fan_out(inbox, "a", "b")
    for number, one in enumerate(claim(inbox)):
        error = f"KeyError: {number}" if number % 2 else f"OSError: no answer for {number} s"
        clock.now += 1
        settle(inbox, [one], "dead", error=error, seconds=0.5)
    first, *others = claim(inbox, "b")
    settle(inbox, [first], "dead", error="no")
    settle(inbox, others)
    inbox.intake.store([delivery({"uuid": "odd"})])
    return inbox


def test_groups(failed: Inbox, clock: Clock) -> None:
    """By receiver, and by error without what differs; those of most come first."""
    of_a, of_b, of_nobody = sorted(failed.dead_letters.lanes(), key=lambda one: one.receiver or "c")

    assert (of_a.receiver, of_a.number, of_a.looked_at) == ("a", 5, 5)
    assert [(one.error, one.number) for one in of_a.groups] == [
        ("OSError: no answer for <number> s", 3),
        ("KeyError: <number>", 2),
    ]
    group = of_a.groups[0]
    assert group.sample == "OSError: no answer for 4 s"
    assert group.first_at == group.last_at == clock.now - 5
    assert (of_b.receiver, of_b.number, [one.error for one in of_b.groups]) == ("b", 1, ["no"])
    assert (of_nobody.receiver, of_nobody.number) == ("", 1)
    assert "eventType" in of_nobody.groups[0].error
    assert failed.dead_letters.lanes(["other"]) == []


def test_the_groups_of_one_receiver(failed: Inbox) -> None:
    """Who asks for one receiver waits for no look at the dead letters of others."""
    asked: list[str] = []
    engine = failed.database._system.engine  # noqa: SLF001 - nothing else tells what is asked
    sa.event.listen(engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    of_all = failed.dead_letters.lanes()
    number = len(asked)

    for one in of_all:
        asked.clear()
        assert failed.dead_letters.lanes(["okta"], one.receiver) == [one]
        assert len(asked) < number
    assert failed.dead_letters.lanes(["okta"], "nobody") == []


def test_the_groups_of_many_receivers(failed: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """The more receivers have dead letters, the fewer of each are looked at; their number is exact all the same."""
    monkeypatch.setattr(dead_letters, "_MOST_GROUPED_IN_ALL", 6)

    of_a = failed.dead_letters.lanes()[0]

    assert (of_a.receiver, of_a.number, of_a.looked_at) == ("a", 5, 2)
    assert failed.dead_letters.lanes(["okta"], "a")[0].looked_at == 5


def test_a_count_looks_at_so_many(failed: Inbox) -> None:
    """It says that there may be more."""
    group = failed.dead_letters.lanes()[0].groups[0].key

    assert failed.dead_letters.count(replace(OF_A, group=group), most=2) == (1, True)


def test_the_letters_of_a_group(failed: Inbox, clock: Clock) -> None:
    """Newest first, page by page, each with what its receiver said."""
    group = failed.dead_letters.lanes()[0].groups[0]
    choice = DeadChoice(hook="okta", receiver="a", group=group.key)

    page = failed.dead_letters.find(choice, limit=2)
    rest = failed.dead_letters.find(choice, limit=2, before=page.older)

    assert [one.event.uuid for one in (*page.letters, *rest.letters)] == ["z", "x", "v"]
    assert (page.looked_to, rest.older, rest.looked_to) == (None, None, None)
    letter = page.letters[0]
    assert (letter.receiver, letter.error, letter.attempts, letter.ended_at) == (
        "a",
        "OSError: no answer for 4 s",
        1,
        clock.now,
    )
    assert failed.dead_letters.count(choice) == (3, False)
    assert failed.dead_letters.count(choice, up_to=2) == (2, True)
    of_nobody = failed.dead_letters.find(DeadChoice(hook="okta", receiver=""))
    assert [(one.event.uuid, one.receiver) for one in of_nobody.letters] == [("odd", "")]


def test_a_page_looks_at_so_many(failed: Inbox) -> None:
    """A group may be rare among many: then the page says how far it looked, and where to go on."""
    group = failed.dead_letters.lanes()[0].groups[1]
    choice = DeadChoice(hook="okta", receiver="a", group=group.key)

    page = failed.dead_letters.find(choice, most=1)

    assert page.letters == ()
    assert page.looked_to is not None
    page = failed.dead_letters.find(choice, before=page.older, most=2)
    assert [one.event.uuid for one in page.letters] == ["y"]


def replayed(inbox: Inbox, choice: DeadChoice, *, most: int = 500) -> list[int]:
    """Replay to the end; return how many each step was."""
    return _all(lambda after: inbox.dead_letters.replay(choice, after, most=most))


def pruned(inbox: Inbox, choice: DeadChoice, *, most: int = 500) -> list[int]:
    """Prune to the end; return how many each step was."""
    return _all(lambda after: inbox.dead_letters.prune(choice, after, most=most))


def _all(step: Callable[[str | None], Step]) -> list[int]:
    done = step(None)
    numbers = [done.number]
    while done.next is not None:
        done = step(done.next)
        numbers.append(done.number)
    return numbers


@pytest.mark.parametrize("text", ["", "x", "-1", "9" * 30])
def test_no_place(inbox: Inbox, text: str) -> None:
    """What a URL says may be anything."""
    with pytest.raises(ValueError, match=r"."):
        inbox.dead_letters.find(OF_A, before=text)
    with pytest.raises(ValueError, match=r"."):
        inbox.dead_letters.replay(OF_A, f"{text}-1")


def test_a_group_is_replayed(failed: Inbox) -> None:
    """In steps of so many; what another receiver has given up, and other groups, stay as they are."""
    group = failed.dead_letters.lanes()[0].groups[0]
    choice = DeadChoice(hook="okta", receiver="a", group=group.key)

    assert replayed(failed, choice, most=2) == [2, 1]

    assert receipts(failed, "v") == {"a": ("pending", 0), "b": ("dead", 1)}
    assert receipts(failed, "x") == {"a": ("pending", 0), "b": ("done", 1)}
    assert receipts(failed, "w") == {"a": ("dead", 1), "b": ("done", 1)}
    assert states(failed)["v"] == "claimed"
    settle(failed, claim(failed))
    assert (states(failed)["v"], states(failed)["x"]) == ("dead", "done")
    assert not failed.totals.recount()


def test_a_selection_is_replayed(failed: Inbox) -> None:
    """By uuids: only what is a dead letter of that receiver."""
    choice = DeadChoice(hook="okta", receiver="b", uuids=("w", "v", "nowhere"))

    assert replayed(failed, choice, most=2) == [1, 0]

    assert receipts(failed, "v") == {"a": ("dead", 1), "b": ("pending", 0)}
    assert receipts(failed, "w") == {"a": ("dead", 1), "b": ("done", 1)}
    assert [one.event.uuid for one in failed.dead_letters.find(choice).letters] == []


def test_what_nobody_could_read_is_replayed(failed: Inbox) -> None:
    """It is pending again, and no receipt of any receiver is touched."""
    assert replayed(failed, DeadChoice(hook="okta", receiver="")) == [1]

    assert states(failed)["odd"] == "pending"
    assert failed.dead_letters.lanes()[0].number == 5


def test_what_dies_meanwhile_is_left(failed: Inbox, delivery: DeliveryFactory) -> None:
    """A replay ends, although its receiver still fails: it goes on behind what it has seen, to what was there first."""
    step = failed.dead_letters.replay(OF_A, most=2)
    settle(failed, claim(failed), "dead", error="again")
    failed.intake.store([delivery("late")])
    fan_out(failed, "a")
    settle(failed, claim(failed), "dead", error="again")

    numbers = _all(lambda after: failed.dead_letters.replay(OF_A, after or step.next, most=2))

    assert (step.number, numbers) == (2, [2, 1])
    assert receipts(failed, "late") == {"a": ("dead", 1)}


def test_what_dies_after_a_time_is_left(failed: Inbox, clock: Clock) -> None:
    """A choice until a time has nothing that has died since, whenever its event was stored."""
    until = replace(OF_A, until=clock.now - 2)

    assert failed.dead_letters.count(until) == (3, False)
    failed.dead_letters.replay(until)
    clock.now += 1
    settle(failed, claim(failed), "dead", error="again")
    assert failed.dead_letters.prune(until) == (0, None)
    assert failed.dead_letters.prune(replace(until, uuids=("v",))) == (0, None)
    assert failed.dead_letters.count(OF_A) == (5, False)


def test_prune(failed: Inbox, delivery: DeliveryFactory) -> None:
    """An event goes with its last dead letter, but stays while another receiver has it open, or dead."""
    failed.intake.store([delivery("open")])
    fan_out(failed, "a", "b")
    settle(failed, claim(failed), "dead", error="no")

    assert pruned(failed, OF_A, most=4) == [4, 2]

    assert states(failed) == {"v": "dead", "odd": "dead", "open": "claimed"}
    assert receipts(failed, "v") == {"b": ("dead", 1)}
    (v,) = failed.overview.find(Selection(uuids=("v",)))
    timeline = failed.attempts.timeline(v.id)
    assert timeline is not None
    assert [one.receiver for one in timeline.attempts] == ["b"]
    settle(failed, claim(failed, "b"))
    assert states(failed)["open"] == "done"
    assert pruned(failed, DeadChoice(hook="okta", receiver="b")) == [1]
    assert pruned(failed, DeadChoice(hook="okta", receiver="")) == [1]
    assert counts(failed) == {"done": 1}
    assert not failed.totals.recount()
    assert failed.dead_letters.lanes() == []


@pytest.mark.parametrize(
    ("error", "group"),
    [
        ("no user ann@example.com", "no user <address>"),
        ("no 0f8fad5b-d9cb-469f-a165-70867728950e here", "no <uuid> here"),
        ("user 00u1abcd2EFGH3ijkl4 is gone", "user <id> is gone"),
        ("HTTP 503 after 17.5 s", "HTTP 503 after <number> s"),
        ("404 Client Error: /users/17", "404 Client Error: /users/<number>"),
        (
            "20 attempts; the last: OSError: 10.0.0.1:443",
            "<number> attempts; the last: OSError: <number>",
        ),
        ("attempt v2 of user17", "attempt v<number> of user<number>"),
        ("<X object at 0x7f00aa>", "<X object at <number>>"),
        ("an_internal_error_without_digits", "an_internal_error_without_digits"),
        (None, ""),
    ],
)
def test_what_differs_from_event_to_event(error: str | None, group: str) -> None:
    """It does not make another group; the status of an answer does."""
    assert grouped(error) == group
