"""What the inbox has of an event of the log, and what a hook delivered otherwise."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from okta_hooks.inbox.contradictions import Match
from okta_hooks.inbox.selection import Selection
from okta_hooks.inbox.tables import delivery as delivery_table
from okta_hooks.inbox.tables import event as event_table
from okta_hooks.inbox.tables import log_key
from tests.support import claim, fan_out, settle, states

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from okta_hooks.inbox import Inbox
    from okta_hooks.inbox.intake import NewDelivery

    DeliveryFactory = Callable[..., NewDelivery]

CREATED = "user.lifecycle.create"


@pytest.fixture
def statements() -> Iterator[list[str]]:
    """Return a list that fills with the SELECTs of any database."""
    made: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("SELECT"):
            made.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    yield made
    sa.event.remove(sa.Engine, "before_cursor_execute", note)


def event(uuid: str = "u1", target: str = "00uReal", **changes: Any) -> dict[str, Any]:
    """Return an event that was done to somebody."""
    return {
        "uuid": uuid,
        "eventType": CREATED,
        "published": "2026-05-04T00:00:00.000Z",
        "target": [{"id": target, "type": "User"}],
        **changes,
    }


def compare(inbox: Inbox, new: NewDelivery) -> dict[int, Match]:
    """Return what the inbox has of the events of a delivery, as if it were of the log."""
    return inbox.contradictions.compare(new, json.loads(new.body)["data"]["events"])


def of_log(new: NewDelivery, *versions: int) -> NewDelivery:
    """Return a delivery as a backfill stores it, with the log's key for events at some places."""
    events = [
        item._replace(key=log_key(item.key)) if place in versions else item
        for place, item in enumerate(new.events)
    ]
    return replace(new, delivery=replace(new.delivery, via="backfill"), events=tuple(events))


def test_what_a_hook_delivered(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """It is the same or different, whatever else its delivery has; what is not stored is left out."""
    inbox.intake.store([delivery(event("u1", "00uTest"), event("u2"))])

    found = compare(inbox, delivery(event("u0"), event("u2"), event("u1")))

    assert found == {1: Match.SAME, 2: Match.DIFFERENT}


def test_another_form_of_the_same(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """The log writes the event that was delivered in another form."""
    inbox.intake.store([delivery(event(actor={"id": "00uAdmin"}))])
    form = event(actor=None, request={"ipChain": []}, debugContext={"debugData": {"x": "y"}})

    assert compare(inbox, delivery(form)) == {0: Match.SAME}


def test_what_came_from_the_log(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """It is not compared: it is the log's version already, under its uuid or under the log's key."""
    inbox.intake.store([delivery(event("u1", "00uTest"))])
    inbox.intake.store([of_log(delivery(event("u1"), event("u2")), 0)])

    found = compare(inbox, delivery(event("u1", "00uNew"), event("u2", "00uNew")))

    assert found == {0: Match.UNDER_LOG_KEY, 1: Match.FROM_LOG}


def test_the_log_s_version_alone(
    inbox: Inbox, delivery: DeliveryFactory, engine: sa.Engine
) -> None:
    """It is known when what a hook delivered in its place is gone, so that it is not stored again."""
    inbox.intake.store([delivery(event("u1", "00uTest"))])
    inbox.intake.store([of_log(delivery(event("u1")), 0)])
    with engine.begin() as connection:
        connection.execute(event_table.delete().where(event_table.c.key == "u1"))

    assert compare(inbox, delivery(event("u1"))) == {0: Match.UNDER_LOG_KEY}


def test_a_uuid_that_looks_like_the_log_s_key(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """What a hook delivered under such a uuid is no version of the log's."""
    inbox.intake.store([delivery(event("u1", "00uTest"), event(log_key("u1")))])

    assert compare(inbox, delivery(event("u1"))) == {0: Match.DIFFERENT}


def test_a_body_that_is_gone(inbox: Inbox, delivery: DeliveryFactory, engine: sa.Engine) -> None:
    """Retention has taken it, so nobody can tell any more."""
    inbox.intake.store([delivery(event(target="00uTest"))])
    with engine.begin() as connection:
        connection.execute(delivery_table.update().values(body=None))

    assert compare(inbox, delivery(event())) == {0: Match.NOT_COMPARED}


def test_of_each_hook_for_itself(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """What another hook has got under a uuid does not count."""
    inbox.intake.store([delivery(event(target="00uTest"), hook="other")])

    assert compare(inbox, delivery(event())) == {}


def test_a_preview_that_nobody_can_read(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """A dead letter does not stand for an event that can be read, but the other way round it is a duplicate."""
    inbox.intake.store([delivery(event(eventType=None)), delivery(event("u2"))])

    found = compare(inbox, delivery(event(), event("u2", eventType=None)))

    assert found == {0: Match.DIFFERENT, 1: Match.SAME}


def test_events_without_a_usable_uuid(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """Their key is a digest of all that they say, so that they are never another's."""
    odd = delivery({"eventType": CREATED}, {"uuid": 7, "eventType": CREATED}, None)
    inbox.intake.store([odd])

    assert compare(inbox, odd) == {}


def test_many_at_once(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """A page of the log, of which hooks brought each event alone, is compared as a whole."""
    uuids = [f"u{number}" for number in range(600)]
    inbox.intake.store([delivery(event(uuid, uuid)) for uuid in uuids])
    page = delivery(*(event(uuid, uuid if uuid != "u599" else "other") for uuid in uuids))

    found = compare(inbox, page)

    assert found == dict.fromkeys(range(599), Match.SAME) | {599: Match.DIFFERENT}


def test_a_body_is_loaded_once(
    inbox: Inbox, delivery: DeliveryFactory, statements: list[str]
) -> None:
    """However many events are compared with it; that of a backfill is not loaded at all."""
    delivered = delivery(*(event(f"u{number}") for number in range(600)))
    inbox.intake.store([delivered, of_log(delivery(event("backfilled")))])
    page = delivery(*(event(f"u{number}") for number in range(600)), event("backfilled"))
    statements.clear()

    compare(inbox, page)
    assert len([each for each in statements if "body" in each]) == 1

    statements.clear()
    compare(inbox, delivery(event("backfilled")))
    assert statements
    assert not [each for each in statements if "body" in each]


def test_a_body_that_cannot_be_read_again(
    inbox: Inbox, delivery: DeliveryFactory, engine: sa.Engine
) -> None:
    """One that is nested too deep for this thread, or was cut by hand, is not compared."""
    inbox.intake.store([delivery(event("u1", "00uTest")), delivery(event("u2", "00uTest"))])
    bodies = {"u1": "[" * 100_000, "u2": '{"data": {"events": []}}'}
    with engine.begin() as connection:
        for uuid, body in bodies.items():
            mine = sa.select(event_table.c.delivery_id).where(event_table.c.key == uuid)
            connection.execute(
                delivery_table.update()
                .where(delivery_table.c.id == mine.scalar_subquery())
                .values(body=body)
            )

    found = compare(inbox, delivery(event("u1"), event("u2")))

    assert found == dict.fromkeys((0, 1), Match.NOT_COMPARED)


def test_both_are_found_by_the_uuid(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """Who looks for an event, or replays it, means what a hook delivered and what the log has, each with its body."""
    inbox.intake.store([delivery(event("u1", "00uTest"))])
    inbox.intake.store([of_log(delivery(event("u0"), event("u1")), 1)])

    shown = {item.event.uuid: item.raw for item in inbox.overview.show("u1")}

    assert {key: raw["target"][0]["id"] for key, raw in shown.items()} == {
        "u1": "00uTest",
        "u1~log": "00uReal",
    }
    assert {raw["uuid"] for raw in shown.values()} == {"u1"}
    assert [item.event.uuid for item in inbox.overview.show("u1~log")] == ["u1~log"]
    fan_out(inbox, "a")
    settle(inbox, claim(inbox, limit=3))
    assert inbox.upkeep.replay(Selection(uuids=("u1",))) == 2
    assert states(inbox) == {"u0": "done", "u1": "pending", "u1~log": "pending"}


def test_where_duplicates_are(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """Storing says which of a delivery's events were there before."""
    inbox.intake.store([delivery(event("u1"), event("u2"))])

    (stored,) = inbox.intake.store([delivery(event("u2"), event("u0"), event("u1"), event("u0"))])

    assert (stored.new, stored.duplicate) == (1, 3)
    assert set(stored.duplicate_places) in ({0, 2, 3}, {0, 1, 2})
