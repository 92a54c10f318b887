"""Two events of one uuid, of which one is a preview that somebody has edited."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from okta_hooks.exceptions import InboxUnavailable
from okta_hooks.inbox.intake import Stored
from okta_hooks.inbox.selection import Selection
from okta_hooks.inbox.tables import delivery as delivery_table
from tests.support import claim, fan_out, states

if TYPE_CHECKING:
    from collections.abc import Callable

    import sqlalchemy as sa

    from okta_hooks.inbox import Inbox
    from okta_hooks.inbox.intake import NewDelivery

    DeliveryFactory = Callable[..., NewDelivery]

CREATED = "user.lifecycle.create"


def event(uuid: str = "u1", target: str = "00uReal", **changes: Any) -> dict[str, Any]:
    """Return an event that was done to somebody."""
    return {
        "uuid": uuid,
        "eventType": CREATED,
        "published": "2026-05-04T00:00:00.000Z",
        "target": [{"id": target, "type": "User"}],
        **changes,
    }


def events_of(new: NewDelivery) -> list[Any]:
    events: list[Any] = json.loads(new.body)["data"]["events"]
    return events


def told_apart(inbox: Inbox, new: NewDelivery) -> list[str]:
    """Return the keys that the events of a delivery get."""
    made = inbox.contradictions.told_apart(new, events_of(new))
    return [item.key for item in made.events]


def test_what_contradicts_is_stored_beside(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """Both events of one uuid are there, each with its body, and the second attempt to store one is a duplicate."""
    inbox.intake.store([delivery(event(target="00uTest"))])
    real = delivery(event("u0"), event())
    made = inbox.contradictions.told_apart(real, events_of(real))
    first, second = made.events

    assert first.key == "u0"
    assert second.key.startswith("u1~")
    assert (first.is_beside, second.is_beside) == (False, True)
    assert inbox.intake.store([made]) == [Stored(new=2, duplicate=0)]
    assert inbox.intake.store([made]) == [Stored(new=0, duplicate=2)]
    assert told_apart(inbox, real) == ["u0", second.key]
    assert states(inbox) == dict.fromkeys(["u1", "u0", second.key], "pending")
    shown = {key: inbox.overview.show(key)[0].raw for key in states(inbox)}
    assert [shown[key]["target"][0]["id"] for key in ("u1", second.key)] == ["00uTest", "00uReal"]
    assert {shown[key]["uuid"] for key in ("u1", second.key)} == {"u1"}


def test_what_says_the_same_is_a_duplicate(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """The log writes the event that was delivered in another form."""
    inbox.intake.store([delivery(event(actor={"id": "00uAdmin"}))])
    log = event(actor=None, request={"ipChain": []}, debugContext={"debugData": {"x": "y"}})

    assert told_apart(inbox, delivery(log)) == ["u1"]


def test_a_body_that_is_gone_contradicts_nothing(
    inbox: Inbox, delivery: DeliveryFactory, engine: sa.Engine
) -> None:
    """Retention has taken it, so nobody can tell any more."""
    inbox.intake.store([delivery(event(target="00uTest"))])
    with engine.begin() as connection:
        connection.execute(delivery_table.update().values(body=None))

    assert told_apart(inbox, delivery(event())) == ["u1"]


def test_of_each_hook_for_itself(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """What another hook has got under a uuid is no contradiction."""
    inbox.intake.store([delivery(event(target="00uTest"), hook="other")])

    assert told_apart(inbox, delivery(event())) == ["u1"]


def test_a_preview_that_nobody_can_read(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """A dead letter does not stand for an event that can be read, but the other way round it is a duplicate."""
    inbox.intake.store([delivery(event(eventType=None)), delivery(event("u2"))])

    assert told_apart(inbox, delivery(event()))[0].startswith("u1~")
    assert told_apart(inbox, delivery(event("u2", eventType=None))) == ["u2"]


def test_events_without_a_usable_uuid(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """Their key is a digest of all that they say, so that they are never another's."""
    odd = delivery({"eventType": CREATED}, {"uuid": 7, "eventType": CREATED}, None)
    inbox.intake.store([odd])

    assert told_apart(inbox, odd) == [item.key for item in odd.events]


def test_many_at_once(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """A page of the log, of which hooks brought each event alone, is compared as a whole."""
    uuids = [f"u{number}" for number in range(600)]
    inbox.intake.store([delivery(event(uuid, uuid)) for uuid in uuids])
    page = delivery(*(event(uuid, uuid if uuid != "u599" else "other") for uuid in uuids))

    keys = told_apart(inbox, page)
    assert keys[:599] == uuids[:599]
    assert keys[599].startswith("u599~")


def test_of_a_delivery_that_was_stored(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """What of it was no duplicate is stored beside, with the whole body, and is found in its place there."""
    inbox.intake.store([delivery(event("u1", "00uTest"), event("u2"))])
    new = delivery(event("u0"), event("u2"), event("u1"), event("u1", "00uThird"))
    (stored,) = inbox.intake.store([new])
    assert (stored.new, stored.duplicate, stored.repeated) == (1, 3, (1, 2, 3))

    beside = inbox.contradictions.beside(new, stored.repeated)
    assert beside is not None
    assert beside.body == new.body
    assert inbox.intake.store([beside]) == [Stored(new=2, duplicate=0)]
    fan_out(inbox, "a")
    read = {}
    for found in claim(inbox):
        _, body = inbox.deliveries.load(found.delivery_id)
        said = json.loads(body or "")["data"]["events"][found.ordinal]
        read[said["target"][0]["id"], said["uuid"]] = True
    assert ("00uReal", "u1") in read
    assert ("00uThird", "u1") in read
    assert len(read) == len(inbox.overview.find(Selection())) == 5

    again = delivery(event("u2"), event("u0"))
    (stored,) = inbox.intake.store([again])
    assert inbox.contradictions.beside(again, stored.repeated) is None


def test_a_body_that_cannot_be_read_again(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """One that is nested too deep for this thread contradicts nothing."""
    new = delivery(event())
    inbox.intake.store([delivery(event(target="00uTest"))])
    deep = type(new)(hook="okta", delivery=new.delivery, body="[" * 100_000, events=new.events)

    assert inbox.contradictions.beside(deep, [0]) is None


def test_no_time_is_left(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """Then nobody knows, and it is said: a delivery that was not compared is not acknowledged."""
    inbox.intake.store([delivery(event())])

    with pytest.raises(InboxUnavailable, match="in time"):
        inbox.contradictions.beside(delivery(event()), [0], seconds=0.0)
