from __future__ import annotations

import json
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from okta_hooks.exceptions import InboxUnavailable
from okta_hooks.inbox.intake import Stored, incoming
from okta_hooks.inbox.selection import Selection
from okta_hooks.wire import reading
from okta_hooks.wire.events import Delivery, Envelope
from tests.support import CREATED, NOTHING, POSTGRESQL, claim, counts, fan_out, impossible, states

if TYPE_CHECKING:
    from collections.abc import Callable

    from okta_hooks.inbox import Inbox
    from okta_hooks.inbox.intake import NewDelivery
    from tests.support import Clock

    OpenInbox = Callable[..., Inbox]
    DeliveryFactory = Callable[..., NewDelivery]


def test_a_delivery_is_stored_once(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """Events that are new are counted as new; what Okta sends again is counted, and not kept."""
    assert inbox.intake.store([delivery("a", "b")]) == [Stored(new=2, duplicate=0)]
    assert inbox.intake.store([delivery("b", "c")]) == [Stored(new=1, duplicate=1)]
    assert inbox.intake.store([delivery("a", "c")]) == [Stored(new=0, duplicate=2)]
    assert states(inbox) == {"a": "pending", "b": "pending", "c": "pending"}


def test_a_delivery_of_duplicates_leaves_nothing(
    inbox: Inbox, delivery: DeliveryFactory, engine: sa.Engine
) -> None:
    """The body of a delivery in which nothing is new is not stored a second time; nor is an empty one."""
    inbox.intake.store([delivery("a")])
    inbox.intake.store([delivery("a"), delivery()])

    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM okta_hooks_delivery")) == 1


def test_duplicates_within_one_delivery_and_one_batch(
    inbox: Inbox, delivery: DeliveryFactory
) -> None:
    """An event that comes twice in one transaction is stored once, whichever delivery it came in."""
    stored = inbox.intake.store([delivery("a", "a"), delivery("a", "b"), delivery("b")])

    assert sum(one.new for one in stored) == 2
    assert sum(one.duplicate for one in stored) == 3
    assert [one.new + one.duplicate for one in stored] == [2, 2, 1]
    assert states(inbox) == {"a": "pending", "b": "pending"}


def test_two_hooks_may_get_the_same_event(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """The same uuid from another hook is another event: each hook has its own receivers."""
    assert inbox.intake.store([delivery("a"), delivery("a", hook="other")]) == [
        Stored(new=1, duplicate=0),
        Stored(new=1, duplicate=0),
    ]
    assert [row.event.hook for row in inbox.overview.show("a")] == ["other", "okta"]


def test_storing_is_one_transaction(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """If the database refuses one delivery of a batch, nothing of the others is stored."""
    with pytest.raises(InboxUnavailable) as raised:
        inbox.intake.store([delivery("a"), impossible(delivery("b"))])

    assert not raised.value.is_transient
    assert inbox.overview.counts() == NOTHING


def test_an_unreadable_event_is_dead_at_once(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """What cannot be read is a dead letter with its reason; what came with it goes its way."""
    (stored,) = inbox.intake.store(
        [delivery("a", None, {"uuid": "b"}, {"eventType": 7, "uuid": "c"})]
    )

    assert (stored.new, len(stored.dead)) == (4, 2)
    found = {row.state: row.reason for row in inbox.overview.find(Selection())}
    assert "no eventType" in (found["dead"] or "") or "not a JSON object" in (found["dead"] or "")
    assert counts(inbox) == {"pending": 2, "dead": 2}
    # Sent again, it is a duplicate, and no second dead letter.
    assert inbox.intake.store([delivery(None)]) == [Stored(new=0, duplicate=1)]


@pytest.mark.parametrize(
    ("uuid", "is_kept"),
    [
        ("0b7c8b8e-0d0a-11ee-be56-0242ac120002", True),
        ("not a UUID", True),
        ("x" * 200, True),
        ("x" * 201, False),
        ("", False),
        (None, False),
        (42, False),
        (["a"], False),
        ("é", False),
        ("a\nb", False),
        ("a\0b", False),
        ("\ud800", False),
    ],
    ids=repr,
)
def test_the_key_of_an_event(
    inbox: Inbox, delivery: DeliveryFactory, uuid: object, *, is_kept: bool
) -> None:
    """A uuid of 1 to 200 printable ASCII characters is the key; anything else is replaced by a digest."""
    event = {"uuid": uuid, "eventType": CREATED}

    inbox.intake.store([delivery(event)])
    assert inbox.intake.store([delivery(event)]) == [Stored(new=0, duplicate=1)]

    ((key, state),) = states(inbox).items()
    assert state == "pending"
    assert key == uuid if is_kept else key.startswith("sha256:")


def test_equal_events_without_a_uuid_are_told_apart_by_their_place(
    inbox: Inbox, delivery: DeliveryFactory
) -> None:
    """Two equal ones in one delivery are two; the same delivery again has none that is new."""
    event = {"eventType": CREATED, "severity": "INFO"}
    shuffled = {"severity": "INFO", "eventType": CREATED}

    assert inbox.intake.store([delivery(event, event)]) == [Stored(new=2, duplicate=0)]
    assert inbox.intake.store([delivery(shuffled, shuffled)]) == [Stored(new=0, duplicate=2)]
    assert inbox.intake.store([delivery(event, event, event)]) == [Stored(new=1, duplicate=2)]


def wrap(event: str, envelope: str = "") -> str:
    return '{"eventId":"d1",%s"data":{"events":[%s]}}' % (envelope, event)  # noqa: UP031 - braces


ODD = {
    "NUL": wrap(r'{"eventType":"a.b","uuid":"u\u0000","displayMessage":"\u0000"}').encode(),
    "NUL in the type": wrap(r'{"eventType":"a.\u0000b"}').encode(),
    "NUL in the envelope": wrap('{"eventType":"a.b"}', r'"source":"\u0000",').encode(),
    "surrogate": wrap(r'{"eventType":"a.b","uuid":"\ud800","severity":"\udfff"}').encode(),
    "surrogate in the type": wrap(r'{"eventType":"a.\ud800"}').encode(),
    "raw surrogate": wrap('{"eventType":"a.b","x":"\ud83d"}').encode("utf-8", "surrogatepass"),
    "huge integer": wrap('{"eventType":"a.b","version":1%s}' % ("0" * 40)).encode(),
    "huge time": wrap('{"eventType":"a.b","published":"9999-12-31T23:59:59-23:00"}').encode(),
    "impossible time": wrap('{"eventType":"a.b","published":"2026-09-31T00:00:00Z"}').encode(),
    "NaN": wrap('{"eventType":"a.b","x":NaN}').encode(),
    "a type of 93 characters": wrap('{"eventType":"%s"}' % ("a." * 46 + "b")).encode(),
    "a type of 300 characters": wrap('{"eventType":"%s"}' % ("a." * 149 + "bc")).encode(),
    "a type that is a number": wrap('{"eventType":7}').encode(),
    "UTF-16": wrap('{"eventType":"a.b","x":"Zoë 🔑"}').encode("utf-16"),
    "UTF-8 with a mark": b"\xef\xbb\xbf" + wrap('{"eventType":"a.b"}').encode(),
    "nested deep": wrap('{"eventType":"a.b","x":%s}' % ("[" * 200 + "]" * 200)).encode(),
}


@pytest.mark.parametrize("whole", ODD.values(), ids=ODD)
def test_odd_deliveries_are_stored_whole(
    inbox: Inbox, delivery: DeliveryFactory, whole: bytes
) -> None:
    """Nothing that JSON can hold costs a delivery, and it comes out as it went in."""
    sent = reading.load_delivery(whole).events[0]

    assert inbox.intake.store([delivery("before"), delivery(whole=whole)])[1] == Stored(
        new=1, duplicate=0
    )
    assert inbox.intake.store([delivery(whole=whole)]) == [Stored(new=0, duplicate=1)]

    (row,) = (row for row in inbox.overview.find(Selection()) if row.uuid != "before")
    (shown,) = inbox.overview.show(row.uuid)
    assert repr(shown.raw) == repr(sent)
    fan_out(inbox, "a")
    made = [inbox.deliveries.load(found.delivery_id)[1] for found in claim(inbox)]
    assert [repr(json.loads(text or "")["data"]["events"][0]) for text in made][1] == repr(sent)


def test_what_is_kept_of_a_delivery(inbox: Inbox, delivery: DeliveryFactory, clock: Clock) -> None:
    """The body is kept exactly as received, beside what the envelope says of it."""
    new = delivery("a", eventId="d1", source="https://example.okta.com/api/v1/eventHooks/who1")
    inbox.intake.store([new])
    fan_out(inbox, "a")

    received, text = inbox.deliveries.load(claim(inbox)[0].delivery_id)

    assert text == new.body
    assert received == new.delivery
    assert received.received_at.timestamp() == clock.now
    assert (received.event_id, received.via) == ("d1", "hook")


def test_two_processes_store_the_same_events_at_once(
    open_inbox: OpenInbox, delivery: DeliveryFactory
) -> None:
    """Okta's retry may reach another process: each event is new to one of them, and nobody waits for ever."""
    batches = [[f"uuid-{number}" for number in range(100)] for _ in range(4)]
    batches[1].reverse()
    stored: list[Stored] = []
    barrier = threading.Barrier(4)

    def work(inbox: Inbox, uuids: list[str]) -> None:
        inbox.open()
        barrier.wait()
        for begin in range(0, 100, 25):
            stored.extend(inbox.intake.store([delivery(*uuids[begin : begin + 25])]))

    threads = [threading.Thread(target=work, args=(open_inbox(), uuids)) for uuids in batches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(one.new for one in stored) == 100
    assert sum(one.duplicate for one in stored) == 300


def test_events_that_are_nested_too_deep_to_be_written() -> None:
    """Each has a key of its own, the same each time, and to find it does not take the whole body again."""
    deep: list[Any] = []
    for _ in range(10_000):
        deep = [deep]
    number = 1000
    envelope = Envelope(events=(deep,) * number, text="x" * 10_000_000)
    received = Delivery(event_id=None, source=None, via="hook", received_at=datetime.now(UTC))

    began = time.process_time()
    first, again = (incoming("okta", envelope, received) for _ in range(2))
    seconds = time.process_time() - began

    assert len({event.key for event in first.events}) == number
    assert first.events == again.events
    assert seconds < 5  # a second for every hundred events otherwise


def test_how_often_an_event_came_again(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """It is counted with the event, also within one transaction; what a backfill reads again is no second delivery."""
    inbox.intake.store([delivery("a", "b"), delivery("b", "c", "b")])
    inbox.intake.store([delivery("a"), delivery("b", hook="other"), delivery("b", "c")])
    inbox.intake.store([delivery("a", "b", via="backfill")])

    assert duplicates(inbox) == {"a": 1, "b": 3, "c": 1, "other b": 0}


@POSTGRESQL
def test_a_duplicate_of_an_event_that_is_locked(
    inbox: Inbox, delivery: DeliveryFactory, engine: sa.Engine
) -> None:
    """It is stored without a wait, and not counted."""
    inbox.intake.store([delivery("a", "b")])
    with engine.begin() as connection:
        connection.execute(sa.text("SELECT * FROM okta_hooks_event WHERE key = 'a' FOR UPDATE"))

        stored = inbox.intake.store([delivery("a", "b", "c")], seconds=5.0)

    assert stored == [Stored(new=1, duplicate=2, duplicate_places=(0, 1))]
    assert duplicates(inbox) == {"a": 0, "b": 1, "c": 0}


def duplicates(inbox: Inbox) -> dict[str, int]:
    """Return how often each event came again, by its key, and its hook if that is another."""
    found = {}
    for one in inbox.overview.find(Selection()):
        timeline = inbox.attempts.timeline(one.id)
        assert timeline is not None
        found[one.uuid if one.hook == "okta" else f"{one.hook} {one.uuid}"] = timeline.duplicates
    return found
