from __future__ import annotations

from typing import TYPE_CHECKING

from okta_hooks.inbox import metadata
from okta_hooks.inbox.gauges import QUERIES, Arrived, Held
from tests.support import DAY, HOUR, SQLITE, claim, fan_out, settle

if TYPE_CHECKING:
    from collections.abc import Callable

    from okta_hooks.inbox import Inbox
    from okta_hooks.inbox.intake import NewDelivery
    from tests.support import Clock

    DeliveryFactory = Callable[..., NewDelivery]


PARTIAL = {
    index.name
    for table in metadata.sorted_tables
    for index in table.indexes
    if index.dialect_options["sqlite"]["where"] is not None
}


def test_nothing_is_held(inbox: Inbox) -> None:
    """A hook whose inbox is empty has zeros: an alarm needs a number to look at."""
    assert inbox.gauges.held(["okta"]) == [Held(hook="okta", receiver="")]
    assert inbox.gauges.arrived(["okta"]) == [Arrived(hook="okta", last_at=None, events_24h=0)]


def test_events_without_receipts(inbox: Inbox, delivery: DeliveryFactory, clock: Clock) -> None:
    """Where no worker runs, events have no receipts: they are held by no receiver, as are unreadable ones."""
    inbox.intake.store([delivery("a", {"uuid": "c", "eventType": []})])
    clock.now += 60
    inbox.intake.store([delivery("b")])

    (found,) = inbox.gauges.held(["okta"])

    assert found == Held(hook="okta", receiver="", pending=2, dead=1, oldest_seconds=60.0)


def test_receipts_of_each_receiver(inbox: Inbox, delivery: DeliveryFactory, clock: Clock) -> None:
    """They are counted by state, but for those that are done; the oldest that is open has an age."""
    inbox.intake.store([delivery("w")])
    clock.now += 5
    inbox.intake.store([delivery("x", "y")])
    clock.now += 5
    inbox.intake.store([delivery("z")])
    fan_out(inbox, "a", "b")
    inbox.workers.see_receivers([("okta", "a"), ("okta", "b"), ("okta", "idle")])
    w, x, _, z = claim(inbox)
    settle(inbox, [w])
    settle(inbox, [x], state="dead", error="no")
    settle(inbox, [z], state="pending", error="later")
    clock.now += 100

    none, a, b, idle = inbox.gauges.held(["okta"])

    assert none == Held(hook="okta", receiver="")
    assert a == Held(hook="okta", receiver="a", pending=1, claimed=1, dead=1, oldest_seconds=105.0)
    assert b == Held(hook="okta", receiver="b", pending=4, oldest_seconds=110.0)
    assert idle == Held(hook="okta", receiver="idle")


def test_what_has_arrived(inbox: Inbox, delivery: DeliveryFactory, clock: Clock) -> None:
    """The last delivery of Okta's is known for long, and the events of a day; a backfill is neither."""
    began = clock.now
    inbox.intake.store([delivery("a", "b"), delivery("c", hook="other")])
    clock.now += 2 * DAY
    while inbox.hours.write_down():
        pass
    inbox.intake.store([delivery("d", hook="other"), delivery("e", via="backfill")])
    clock.now += HOUR

    assert inbox.gauges.arrived(["okta", "other"]) == [
        Arrived(hook="okta", last_at=began, events_24h=0),
        Arrived(hook="other", last_at=began + 2 * DAY, events_24h=1),
    ]


@SQLITE
def test_nothing_that_is_done_is_looked_at(inbox: Inbox) -> None:
    """Each query goes through an index of what is open or dead, and through no other."""
    inbox.open()
    with inbox.database.reading() as connection:
        for _, query in QUERIES:
            made = query.compile(dialect=connection.dialect)
            values = tuple(made.params[name] for name in made.positiontup or ())
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {made}", values).all()
            used = {row.detail.rpartition(" INDEX ")[2] for row in plan if "SCAN" in row.detail}
            assert used <= PARTIAL, plan
