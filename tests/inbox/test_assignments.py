from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from okta_hooks.inbox.assignments import Assignment
from tests.support import counts, fan_out, receipts, states

if TYPE_CHECKING:
    from collections.abc import Callable

    from okta_hooks.inbox import Inbox
    from okta_hooks.inbox.intake import NewDelivery

    DeliveryFactory = Callable[..., NewDelivery]


def test_each_receiver_gets_a_receipt(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """Every receiver that an event is assigned to gets a receipt, and the event is claimed."""
    inbox.intake.store([delivery("a", "b")])
    first, second = sorted(inbox.assignments.unassigned(["okta"]), key=lambda event: event.ordinal)
    assignments = [
        Assignment(event=first, receivers=("x",)),
        Assignment(event=second, receivers=("x", "y")),
    ]

    assert inbox.assignments.assign(assignments) == assignments

    assert receipts(inbox, "a") == {"x": ("pending", 0)}
    assert receipts(inbox, "b") == {"x": ("pending", 0), "y": ("pending", 0)}
    assert counts(inbox) == {"claimed": 2}
    assert inbox.assignments.unassigned(["okta"]) == []


def test_what_another_worker_has_assigned_does_not_count(
    inbox: Inbox, delivery: DeliveryFactory
) -> None:
    """Two may decide on the same events: those of the second are left as the first has them."""
    inbox.intake.store([delivery("a")])
    (event,) = inbox.assignments.unassigned(["okta"])
    fan_out(inbox, "x")

    assert inbox.assignments.assign([Assignment(event=event, receivers=("y",))]) == []

    assert receipts(inbox, "a") == {"x": ("pending", 0)}
    assert inbox.assignments.assign([]) == []


def test_an_event_that_nobody_wants_is_done(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """No receiver matches: the event is done, without a receipt."""
    inbox.intake.store([delivery("a")])

    fan_out(inbox)

    assert states(inbox) == {"a": "done"}
    assert receipts(inbox, "a") == {}


def test_an_event_that_turns_out_to_be_unreadable(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """It is dead with its reason; the others go their way."""
    inbox.intake.store([delivery("a", "b")])
    unreadable, other = sorted(
        inbox.assignments.unassigned(["okta"]), key=lambda event: event.ordinal
    )

    inbox.assignments.assign(
        [
            Assignment(event=unreadable, reason="It is not what it seemed."),
            Assignment(event=other, receivers=("x",)),
        ]
    )

    assert states(inbox) == {"a": "dead", "b": "claimed"}
    assert inbox.overview.show("a")[0].event.reason == "It is not what it seemed."


def test_readings_are_counted(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """What is read before its receivers are known is counted each time, until it is assigned."""
    inbox.intake.store([delivery("a")])
    (event,) = inbox.assignments.unassigned(["okta"])

    for number in (1, 2, 3):
        assert inbox.assignments.count_readings([event.event_id]) == {event.event_id: number}
        assert inbox.assignments.unassigned(["okta"])[0].readings == number

    fan_out(inbox, "a")
    assert inbox.assignments.count_readings([event.event_id]) == {}


def test_fan_out_takes_the_oldest_of_its_hooks(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """No more than asked for, oldest first, and nothing of a hook that was not asked for."""
    inbox.intake.store([delivery("elsewhere", hook="other")])
    inbox.intake.store([delivery("a")])
    inbox.intake.store([delivery("b", "c")])

    fan_out(inbox, "x", limit=2)

    assert states(inbox) == {
        "elsewhere": "pending",
        "a": "claimed",
        "b": "claimed",
        "c": "pending",
    }


def test_the_events_of_many_hooks(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """Of any number of hooks the oldest come first, whatever hook they are of."""
    inbox.intake.store([delivery("a", hook="hook 300"), delivery("b", hook="hook 7")])
    inbox.intake.store([delivery("c", hook="hook 300")])
    hooks = [f"hook {number}" for number in range(301)]

    found = inbox.assignments.unassigned(hooks, limit=2)

    assert [event.hook for event in found] == ["hook 300", "hook 7"]


def test_what_waits_of_a_hook_that_nobody_has(
    inbox: Inbox, delivery: DeliveryFactory, engine: sa.Engine
) -> None:
    """A look for unassigned events goes through none of another hook, however many wait."""
    inbox.intake.store([delivery(*map(str, range(5000)), hook="gone"), delivery("mine")])
    asked: list[Any] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        asked.append((statement, parameters))

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        (found,) = inbox.assignments.unassigned(["okta", "other"])
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)

    assert found.hook == "okta"
    statement, parameters = next(item for item in asked if "okta_hooks_event" in item[0])
    is_sqlite = engine.dialect.name == "sqlite"
    explain = "EXPLAIN QUERY PLAN" if is_sqlite else "EXPLAIN (ANALYZE, FORMAT TEXT)"
    with engine.begin() as connection:
        connection.exec_driver_sql("ANALYZE okta_hooks_event")
        rows = connection.exec_driver_sql(f"{explain} {statement}", parameters).all()
    plan = "\n".join(str(row[-1]) for row in rows)
    assert plan.count("okta_hooks_event_hook") == 2
    assert "TEMP B-TREE" not in plan
    assert "Sort" not in plan
    assert "Filter" not in plan
