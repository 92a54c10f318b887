"""What one looks at costs the same whatever is done already: counted in steps of the database, not in seconds."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest
import sqlalchemy as sa

from okta_hooks.inbox import Inbox
from okta_hooks.inbox.dead_letters import DeadChoice
from okta_hooks.inbox.selection import Selection
from okta_hooks.inbox.tables import delivery, event, hour, receipt
from tests.support import SQLITE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HOUR: Final = 3600.0
DAY: Final = 24 * HOUR
NOW: Final = 1_800_000_000.0
SMALL, LARGE = 4_000, 40_000
OPEN = 50
DAYS: Final = 90

RARE: Final = Selection(patterns=("no.such.type",))
LOOKS: Final[dict[str, Callable[[Inbox], Any]]] = {
    "counts": lambda inbox: inbox.overview.counts(),
    "receivers": lambda inbox: inbox.overview.receivers(),
    "events": lambda inbox: inbox.overview.find(Selection(), limit=20),
    "a page behind another": lambda inbox: inbox.overview.find(Selection(), limit=20, before=900),
    "dead events": lambda inbox: inbox.overview.find(Selection(states=("dead",)), limit=20),
    "open events of a type": lambda inbox: inbox.overview.find(
        Selection(states=("pending", "claimed"), patterns=("no.such.type",)), limit=20
    ),
    "events of a uuid": lambda inbox: inbox.overview.find(Selection(uuids=("key-17",))),
    "no such event": lambda inbox: inbox.overview.find(Selection(uuids=("nowhere",))),
    "events since": lambda inbox: inbox.overview.find(Selection(since=NOW - 5 * DAY), limit=20),
    "events until": lambda inbox: inbox.overview.find(Selection(until=NOW - 60 * DAY), limit=20),
    "secrets in use": lambda inbox: inbox.hours.secret_use("okta", 7),
    "sources": lambda inbox: inbox.hours.sources("okta"),
    "what is held": lambda inbox: inbox.gauges.held(["okta"]),
    "consistency": lambda inbox: inbox.consistency.check(["okta"], longest_wait=DAY),
    "who fails": lambda inbox: inbox.receipts.failing(limit=3),
    "is a receiver known": lambda inbox: inbox.receipts.is_known("nobody"),
    "attempts": lambda inbox: inbox.totals.attempts(),
    "size": lambda inbox: inbox.space.size(),
    "a page of events": lambda inbox: inbox.event_page.find(Selection()),
    "a page of a hook": lambda inbox: inbox.event_page.find(Selection(hook="okta"), most=1000),
    "a page of a rare type": lambda inbox: inbox.event_page.find(RARE, most=1000),
    "a page of a rare type in a time": lambda inbox: inbox.event_page.find(
        replace(RARE, since=NOW - 80 * DAY, until=NOW - 5 * DAY), most=1000
    ),
    "a page upwards": lambda inbox: inbox.event_page.find(
        Selection(states=("done",)), after=f"{NOW - 60 * DAY}_900", most=1000
    ),
    "a page of dead events in a time": lambda inbox: inbox.event_page.find(
        Selection(states=("dead",), since=NOW - 80 * DAY), most=1000
    ),
    "a page of what a receiver has done": lambda inbox: inbox.event_page.find(
        Selection(receiver="a", states=("done",), hook="okta"), most=1000
    ),
    "a page of what a receiver has given up": lambda inbox: inbox.event_page.find(
        Selection(receiver="a", states=("dead",))
    ),
    "a count of events": lambda inbox: inbox.event_page.count(Selection()),
    "a count of a rare type": lambda inbox: inbox.event_page.count(RARE, most=1000),
    "dead letters": lambda inbox: inbox.dead_letters.lanes(),
    "a page of dead letters": lambda inbox: inbox.dead_letters.find(
        DeadChoice(hook="okta", receiver="a", group="none")
    ),
    "a timeline": lambda inbox: inbox.attempts.timeline(900),
    "a chart of hours that are over": lambda inbox: inbox.attempt_hours.chart(
        NOW - 30 * HOUR, NOW - 6 * HOUR
    ),
    "a chart by day": lambda inbox: inbox.attempt_hours.chart(NOW - 30 * DAY, NOW, "day"),
    "receivers by hour": lambda inbox: inbox.attempt_hours.receivers(NOW - DAY, NOW, "hour"),
    "a batch to prune": lambda inbox: inbox.upkeep.prune(
        bodies_before=NOW - 99 * DAY, keys_before=NOW - 100 * DAY
    ),
}


def fill(inbox: Inbox, events: int) -> None:
    """Store as many events over 90 days, one a delivery; all but some of the last are done."""
    rows = range(1, events + 1)
    step = DAYS * DAY / events
    states = dict.fromkeys(rows[-OPEN:], "claimed") | dict.fromkeys(
        rows[-3 * OPEN : -OPEN : 2], "dead"
    )
    with inbox.database.transaction(seconds=60) as connection:
        connection.execute(
            delivery.insert(),
            [
                {
                    "id": number,
                    "hook": "okta",
                    "via": "hook",
                    "source": "https://app.example.com",
                    "secret": 0,
                    "secret_list": 7,
                    "body": "{}",
                    "received_at": NOW - DAYS * DAY + number * step,
                }
                for number in rows
            ],
        )
        connection.execute(
            event.insert(),
            [
                {
                    "id": number,
                    "delivery_id": number,
                    "ordinal": 0,
                    "hook": "okta",
                    "key": f"key-{number}",
                    "type": "user.session.start",
                    "state": states.get(number, "done"),
                }
                for number in rows
            ],
        )
        connection.execute(
            receipt.insert(),
            [
                {
                    "event_id": number,
                    "receiver": "a",
                    "hook": "okta",
                    "state": states.get(number, "done").replace("claimed", "pending"),
                    "due": NOW + 5,
                    "wait": 5.0,
                    "attempts": 1,
                    "claims": 1,
                }
                for number in rows
            ],
        )
    inbox.workers.see_receivers([("okta", "a")])
    inbox.totals.recount()
    while inbox.hours.write_down():
        pass


@pytest.fixture(scope="module")
def inboxes(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return a small inbox and a large one."""
    folder: Path = tmp_path_factory.mktemp("inboxes")
    made = []
    for size in (SMALL, LARGE):
        inbox = Inbox(f"sqlite:///{folder}/{size}.sqlite3", clock=lambda: NOW)
        fill(inbox, size)
        made.append(inbox)
    yield made
    for inbox in made:
        inbox.close()


def steps(inbox: Inbox, look: Callable[[Inbox], Any]) -> int:
    """Return how many hundreds of steps SQLite's machine takes for a look."""
    taken = 0

    def count() -> int:
        nonlocal taken
        taken += 1
        return 0

    def listen(connection: Any, *_: Any) -> None:
        connection.connection.driver_connection.set_progress_handler(count, 100)

    engine = inbox.database._system.engine  # noqa: SLF001 - nothing else leads to the connection
    sa.event.listen(engine, "begin", listen)
    try:
        look(inbox)
    finally:
        sa.event.remove(engine, "begin", listen)
    return taken


@pytest.mark.parametrize("name", LOOKS)
def test_what_one_looks_at_costs_the_same(inboxes: list[Inbox], name: str) -> None:
    """In an inbox that is ten times as large, as many steps."""
    few, many = (steps(inbox, LOOKS[name]) for inbox in inboxes)

    assert many <= 1.3 * few + 2


@SQLITE
def test_the_last_delivery_is_found_however_many_hours_are_written_down(inbox: Inbox) -> None:
    """It is looked up in the last hour of each hook."""
    taken = []
    for hours in ((1, 101), (101, 2000)):
        write_hours(inbox, range(*hours), sources=9)
        taken.append(steps(inbox, lambda each: each.hours.last_by_hook()))

    assert inbox.hours.last_by_hook() == {"okta": 1999 * 3600.0 + 8}
    few, many = taken
    assert many <= 1.3 * few + 2


def test_what_is_written_down_is_added_up_by_the_database(inbox: Inbox) -> None:
    """A week has a row for each source in each of its hours: they are not all fetched to be added up."""
    write_hours(inbox, range(1, 200), sources=9)
    fetched = rows_fetched(inbox, lambda each: each.hours.received(7200.0))

    assert inbox.hours.received(7200.0)["okta", "hook"].events == 198 * 9
    assert fetched < 20


def write_hours(inbox: Inbox, numbers: range, *, sources: int) -> None:
    """Write hours down in which each of so many sources has delivered one event."""
    first = [(number, "okta", f"https://{i}", i) for number in numbers for i in range(sources)]
    ends = [(number, "", "", 0) for number in numbers]
    with inbox.database.transaction(seconds=60) as connection:
        connection.execute(
            hour.insert(),
            [
                {
                    "hook": hook,
                    "hour": number,
                    "via": "hook" if hook else "",
                    "source": source,
                    "secret_list": 7,
                    "secret": 0,
                    "deliveries": 1,
                    "events": 1,
                    "first_at": number * 3600.0 + i,
                    "last_at": number * 3600.0 + i,
                }
                for number, hook, source, i in (*first, *ends)
            ],
        )


def rows_fetched(inbox: Inbox, look: Callable[[Inbox], Any]) -> int:
    """Return how many rows the database returns for a look."""
    asked: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        asked.append((statement, parameters))

    engine = inbox.database._system.engine  # noqa: SLF001 - nothing else leads to the connection
    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        look(inbox)
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)
    with inbox.database.reading() as connection:
        return sum(
            connection.exec_driver_sql(f"SELECT count(*) FROM ({statement}) AS one", parameters)
            .scalars()
            .one()
            for statement, parameters in asked
            if statement.startswith("SELECT")
        )


def test_what_it_takes_without_an_index(inboxes: list[Inbox]) -> None:
    """The measure sees a scan: this test's tests would fail."""
    assert not RARE.is_quick
    few, many = (steps(inbox, lambda each: each.overview.find(RARE)) for inbox in inboxes)

    assert many > 5 * few


@pytest.mark.parametrize(
    ("chosen", "is_quick"),
    [
        ({}, True),
        ({"uuids": ("a",), "patterns": ("b.c",)}, True),
        ({"states": ("dead",), "hook": "okta"}, True),
        ({"since": 1.0}, True),
        ({"states": ("done",)}, False),
        ({"states": ("dead", "done")}, False),
        ({"since": 1.0, "states": ("dead",)}, False),
        ({"hook": "okta"}, False),
        ({"unreceived": True}, False),
        ({"receiver": "a", "states": ("dead",)}, False),
    ],
)
def test_for_what_there_is_an_index(chosen: dict[str, Any], is_quick: bool) -> None:
    """What is not sure to be quick is said not to be."""
    assert Selection(**chosen).is_quick is is_quick


def test_how_large_it_is_and_will_be(inbox: Inbox) -> None:
    """What is on the disk, and that with what 100 days bring at the rate of the last week."""
    assert inbox.space.size().later is None
    inbox.clock = lambda: NOW
    fill(inbox, 900)

    now, later = inbox.space.size()

    assert 100_000 < now < 10_000_000
    assert later == pytest.approx(now * 100 / DAYS, rel=0.2)
