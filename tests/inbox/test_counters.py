from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from okta_hooks.exceptions import InboxUnavailable
from okta_hooks.inbox.counters import Counted, of_stored, recovered
from okta_hooks.inbox.cursor import Cursor
from okta_hooks.inbox.tables import log_key
from okta_hooks.inbox.writer import Writer
from okta_hooks.wire.protocol import okta_time
from tests.support import CREATED

if TYPE_CHECKING:
    from collections.abc import Callable

    from okta_hooks.inbox import Inbox
    from okta_hooks.inbox.intake import NewDelivery
    from tests.support import Clock

    DeliveryFactory = Callable[..., NewDelivery]

LOG = "https://acme.okta.com"


def counted(inbox: Inbox, kind: str) -> dict[tuple[str, ...], int]:
    """Return what all processes have counted of a kind, by what is not empty."""
    return {
        tuple(filter(None, one[1:])): number
        for one, number in inbox.counters.all().items()
        if one.kind == kind
    }


def test_deliveries_and_events_are_counted(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """Of what a process stores: deliveries, and their events by what became of each."""
    writer = Writer(inbox, lambda: None)
    unreadable = {"uuid": "c", "eventType": []}
    writer.store(delivery("a", "b", unreadable), 5.0)
    writer.store(delivery("a"), 5.0)
    writer.stop(5.0)

    assert inbox.counters.all() == {}
    inbox.counters.flush()

    assert counted(inbox, "deliveries") == {("okta", "hook"): 2}
    assert counted(inbox, "events") == {
        ("okta", "hook", "new"): 2,
        ("okta", "hook", "duplicate"): 1,
        ("okta", "hook", "dead"): 1,
    }
    assert counted(inbox, "recovered") == {}


def test_processes_add_up(open_inbox: Callable[..., Inbox]) -> None:
    """What several processes have counted is one number, which every one of them tells."""
    here, there = open_inbox(), open_inbox()
    for _ in range(3):
        here.counters.count_refused("okta", 401)
        here.counters.flush()
    there.counters.count_refused("okta", 401)
    there.counters.count_refused("okta", 503)
    there.counters.flush()

    expected = {("okta", "401"): 4, ("okta", "503"): 1}
    assert counted(here, "refused") == counted(there, "refused") == expected


def test_nothing_is_written_to_count_a_refusal(inbox: Inbox, engine: sa.Engine) -> None:
    """A thousand refusals are counted in memory, and are one row when they are flushed."""
    for _ in range(1000):
        inbox.counters.count_refused("okta", 401)
    assert not sa.inspect(engine).get_table_names()

    inbox.counters.flush()

    with engine.connect() as connection:
        rows = connection.execute(sa.text("SELECT hook, result, number FROM okta_hooks_counter"))
        assert [tuple(row) for row in rows] == [("okta", "401", 1000)]


def test_what_cannot_be_flushed_is_kept(inbox: Inbox, engine: sa.Engine) -> None:
    """While the database refuses, the numbers stay in memory; they are added once it takes them."""
    inbox.open()
    with engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE okta_hooks_counter RENAME TO elsewhere"))
    inbox.counters.count_refused("okta", 503)
    with pytest.raises(InboxUnavailable):
        inbox.counters.flush()
    inbox.counters.count_refused("okta", 503)

    with engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE elsewhere RENAME TO okta_hooks_counter"))
    inbox.counters.flush()
    inbox.counters.flush()

    assert counted(inbox, "refused") == {("okta", "503"): 2}


def test_a_backfill_counts_with_what_it_stores(
    inbox: Inbox, delivery: DeliveryFactory, open_inbox: Callable[..., Inbox]
) -> None:
    """What it recovered is in the database with the page: no hook has brought it, and it is no log's version."""
    inbox.intake.store([delivery("brought")])
    version = {"uuid": log_key("brought"), "eventType": CREATED}
    page = delivery("brought", "missed", "missed, too", version, via="backfill")
    inbox.cursors.advance(LOG, [page], before=None, after=Cursor(next_url="1", reached_at=None))

    other = open_inbox()
    assert counted(other, "recovered") == {("okta",): 2}
    assert counted(other, "deliveries") == {("okta", "backfill"): 1}
    assert counted(other, "events") == {
        ("okta", "backfill", "new"): 3,
        ("okta", "backfill", "duplicate"): 1,
    }


def test_a_page_that_is_not_stored_is_not_counted(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """Of two backfills that read the same page, only the one that stores it counts."""
    after = Cursor(next_url="1", reached_at=None)
    for _ in range(2):
        inbox.cursors.advance(LOG, [delivery("a", via="backfill")], before=None, after=after)

    assert counted(inbox, "recovered") == {("okta",): 1}


def test_numbers_are_flushed_by_themselves(inbox: Inbox, open_inbox: Callable[..., Inbox]) -> None:
    """At the end of a process the rest is added, without a word from anybody."""
    inbox.counters.flush_regularly()
    inbox.counters.count_refused("okta", 400)
    inbox.counters.close()

    assert counted(open_inbox(), "refused") == {("okta", "400"): 1}


def test_no_numbers_without_events(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """A delivery of which nothing was new still counts as one that was stored."""
    (first,) = inbox.intake.store([delivery("a")])
    (second,) = inbox.intake.store([delivery("a")])

    changes = of_stored([delivery("a"), delivery("a")], [first, second])

    assert changes[Counted("deliveries", "okta", "hook")] == 2
    assert changes[Counted("events", "okta", "hook", "new")] == 1


def test_what_may_be_under_way_is_not_recovered(
    inbox: Inbox, delivery: DeliveryFactory, clock: Clock
) -> None:
    """A hook has had no time to bring it."""
    young, old = (
        {"uuid": str(age), "eventType": CREATED, "published": okta_time(at)}
        for age in (60, 61)
        for at in [datetime.fromtimestamp(clock.now - age, UTC)]
    )
    new = delivery(young, old, via="backfill")

    assert recovered(new, *inbox.intake.store([new])) == 1
