"""What was received, hour by hour: the same whether it is written down or not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from okta_hooks.inbox.hours import Numbers
from okta_hooks.inbox.tables import hour
from tests.support import HOUR, SQLITE_FIRST

if TYPE_CHECKING:
    from collections.abc import Callable

    from okta_hooks.inbox import Inbox
    from okta_hooks.inbox.intake import NewDelivery
    from tests.support import Clock

    DeliveryFactory = Callable[..., NewDelivery]


@pytest.fixture(params=[False, True], ids=["live", "written"])
def look(request: pytest.FixtureRequest, inbox: Inbox) -> Callable[[], None]:
    """Return a function that writes down what can be, or does not."""

    def write_down() -> None:
        while request.param and inbox.hours.write_down():
            pass

    return write_down


def test_when_each_secret_was_last_used(
    inbox: Inbox, delivery: DeliveryFactory, clock: Clock, look: Callable[[], None]
) -> None:
    """The positions of one list are told, by the first and last delivery of each; of other lists and hooks none is."""

    def store(uuid: str, secret: int | None, among: int | None, **values: Any) -> float:
        clock.now += HOUR
        new = replace(delivery(uuid, **values), secret=secret, secret_list=among)
        inbox.intake.store([new])
        look()
        return clock.now

    store("a", 1, 2)
    store("b", 0, 1)
    assert inbox.hours.secret_use("okta", 2) == {}
    old = store("c", 1, 2), store("d", 1, 2)
    assert inbox.hours.secret_use("okta", 2) == {1: old}
    store("e", 0, 2, source="of a sample")
    new = store("f", 0, 2, source=None)
    store("g", 0, 1, hook="other")
    assert inbox.hours.secret_use("okta", 2, ignoring="of a sample") == {0: (new, new), 1: old}
    store("h", None, None)
    assert inbox.hours.secret_use("okta", 2) == {}


def test_what_was_received(
    inbox: Inbox, delivery: DeliveryFactory, clock: Clock, look: Callable[[], None]
) -> None:
    """Deliveries and their new events are counted, by hook and by how they came, from any moment on."""
    begin = clock.now
    for step in range(8):
        inbox.intake.store([delivery(f"{step}a", f"{step}b")])
        inbox.intake.store([delivery(f"{step}a", f"{step}c", via="backfill", hook="other")])
        clock.now += HOUR / 2
        look()

    found = inbox.hours.received(begin)

    last = begin + 7 * HOUR / 2
    assert found == {
        ("okta", "hook"): Numbers(8, 16, begin, last),
        ("other", "backfill"): Numbers(8, 16, begin, last),
    }
    assert inbox.hours.received(begin + HOUR / 2 + 1)["okta", "hook"] == Numbers(
        6, 12, begin + HOUR, last
    )
    assert inbox.hours.received(last)["okta", "hook"] == Numbers(1, 2, last, last)
    assert inbox.hours.received(last + 1) == {}


def test_sources(
    inbox: Inbox, delivery: DeliveryFactory, clock: Clock, look: Callable[[], None]
) -> None:
    """They are those of the latest thousand deliveries, however many have come by another way since."""
    inbox.intake.store([delivery("a", source="https://old")])
    clock.now += 2 * HOUR
    look()
    assert inbox.hours.sources("okta") == {"https://old"}
    inbox.intake.store([delivery(f"b{number}", source="https://new") for number in range(1000)])
    inbox.intake.store([delivery("c", source="https://log", via="backfill")])
    look()

    assert inbox.hours.sources("okta") == {"https://new"}
    assert inbox.hours.sources("other") == set()


@SQLITE_FIRST
def test_an_hour_is_written_down_once(
    inbox: Inbox, delivery: DeliveryFactory, clock: Clock
) -> None:
    """It is when it is over, in steps, again without effect, and forgotten with the keys of its events."""
    begin = clock.now
    inbox.intake.store([delivery("a")])
    clock.now += HOUR / 2
    assert not inbox.hours.write_down()
    assert hours(inbox) == []
    clock.now += 30 * HOUR
    assert inbox.hours.write_down()
    assert not inbox.hours.write_down()
    assert not inbox.hours.write_down()
    assert len(hours(inbox)) in {29, 30}

    clock.now = begin + 101 * 24 * HOUR
    while inbox.hours.write_down():
        pass
    assert len(hours(inbox)) == 2400


def test_a_clock_that_went_ahead(inbox: Inbox, delivery: DeliveryFactory, clock: Clock) -> None:
    """What it took for over is looked at again when it is right."""
    begin = clock.now
    inbox.intake.store([delivery("a")])
    clock.now += 50 * HOUR
    while inbox.hours.write_down():
        pass
    clock.now = begin + 2 * HOUR
    inbox.intake.store([delivery("b")])
    inbox.hours.write_down()

    assert inbox.hours.received(begin)["okta", "hook"].deliveries == 2


def hours(inbox: Inbox) -> list[int]:
    with inbox.database.reading() as connection:
        query = sa.select(hour.c.hour).where(hour.c.hook == "").order_by(hour.c.hour)
        return list(connection.scalars(query))
