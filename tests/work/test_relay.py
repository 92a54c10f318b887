from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from okta_hooks.inbox.tables import receipt, ticket
from okta_hooks.work.performer import Performer
from okta_hooks.work.relay import BrokerUnavailable
from tests.support import NEEDS_PSYCOPG, PATIENCE, until

from .support import Heard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from flask import Flask

    from okta_hooks import EventHook
    from okta_hooks.inbox import Inbox
    from okta_hooks.inbox.tickets import Ticket
    from okta_hooks.receivers import Receiver
    from okta_hooks.work.worker import Worker

    from .support import System

pytestmark = [NEEDS_PSYCOPG, pytest.mark.parametrize("inbox_url", ["PostgreSQL"], indirect=True)]


class Shelf:
    """A task queue within a test: what it was given lies there until somebody takes it."""

    def __init__(self) -> None:
        self.sent: list[Ticket] = []
        self.lengths: dict[str, int] = {}
        self.is_away = False
        self.takes = 10**9
        self.is_open = True
        self.threads: set[threading.Thread] = set()
        self.on_sending: Callable[[Sequence[Ticket]], object] = len
        self.unroutable: set[str] = set()
        self.unwanted: set[str] = set()

    def queue_of(self, _: str, receiver: Receiver) -> str:
        """Return what the receiver says."""
        if receiver.name in self.unroutable:
            raise LookupError(receiver.queue)
        return receiver.queue or "usual"

    def waiting(self, queue: str) -> int:
        """Return what the test says."""
        self._look()
        return self.lengths.get(queue, 0)

    def publish(self, tickets: Sequence[Ticket]) -> list[tuple[Ticket, Exception]]:
        """Take the tickets that are wanted, until it is full."""
        self._look()
        self.on_sending(tickets)
        self.threads.add(threading.current_thread())
        taken = tickets[: self.takes]
        self.sent += [ticket for ticket in taken if ticket.receiver not in self.unwanted]
        if len(taken) < len(tickets):
            raise BrokerUnavailable("Full", len(taken))
        return [(each, ValueError("amqp://u:hush@b")) for each in taken if each not in self.sent]

    def _look(self) -> None:
        if self.is_away:
            raise BrokerUnavailable("Away")

    def close(self) -> None:
        """Note that."""
        self.is_open = False


@pytest.fixture
def inbox(open_inbox: Callable[..., Inbox]) -> Inbox:
    """Return an inbox that goes by the real time, as tickets do."""
    return open_inbox(clock=time.time)


@pytest.fixture
def make_relay(
    make_worker: Callable[..., Worker], open_inbox: Callable[..., Inbox]
) -> Callable[..., Worker]:
    """Return a function that makes a relay as a process of its own would."""

    def make(shelf: Shelf, **options: Any) -> Worker:
        return make_worker(open_inbox(clock=time.time), broker=shelf, **options)

    return make


@pytest.fixture
def performer(app: Flask, okta: EventHook, inbox: Inbox) -> Iterator[Performer]:
    """Return what runs tickets."""
    made = Performer(app, {"okta": okta}, inbox, max_attempts=3)
    yield made
    made.close()


def test_a_ticket_is_marked_before_it_is_sent(
    system: System, make_relay: Callable[..., Worker]
) -> None:
    """Whoever has it at once finds that committed; and it is sent by the relay's thread, never in a request."""
    system.on("*", name="a")(Heard())
    shelf, seen = Shelf(), []
    shelf.on_sending = lambda _: seen.append(system.inbox.tickets.in_flight()["usual"].sent)
    system.store("u", "v")
    relay = make_relay(shelf)
    relay.start()
    until(lambda: len(shelf.sent) == 2)
    assert relay.stop(PATIENCE)

    assert seen == [2]
    assert threading.current_thread() not in shelf.threads
    assert not shelf.is_open


def test_each_queue_has_a_window(system: System, make_relay: Callable[..., Worker]) -> None:
    """A backlog of one queue does not keep the others waiting; how many relays there are does not matter."""
    system.on("*", name="a")(Heard())
    system.on("*", name="b", queue="slow")(Heard())
    system.store(*(f"u{number}" for number in range(40)))
    shelf = Shelf()
    relays = [make_relay(shelf, window=6) for _ in range(3)]
    for relay in relays:
        relay.start()
    until(lambda: len(shelf.sent) == 6)
    time.sleep(1)
    for relay in relays:
        assert relay.stop(PATIENCE)

    assert sorted(ticket.receiver for ticket in shelf.sent) == ["a", "a", "a", "b", "b", "b"]


def test_slow_consumers_cause_no_storm(system: System, make_relay: Callable[..., Worker]) -> None:
    """What was taken for lost and waits in the queue all the same is not sent again."""
    system.on("*", name="a")(Heard())
    system.store(*(f"u{number}" for number in range(10)))
    shelf = Shelf()
    relay = make_relay(shelf, window=4, resend=0.05)
    shelf.on_sending = lambda _: shelf.lengths.update(usual=4)
    relay.start()
    until(lambda: shelf.sent)
    time.sleep(1.5)
    before = len(shelf.sent)
    shelf.lengths.clear()
    until(lambda: len(shelf.sent) > before)
    assert relay.stop(PATIENCE)

    assert before <= 4


@pytest.mark.parametrize("fault", ["unroutable", "unwanted"])
def test_what_is_refused_keeps_nobody_else_waiting(
    system: System,
    make_relay: Callable[..., Worker],
    caplog: pytest.LogCaptureFixture,
    fault: str,
) -> None:
    """One receiver's route may fail, or its tickets be refused: those of the others are sent, and one line tells."""
    system.on("*", name="a", queue="wrong")(Heard())
    system.on("*", name="b")(Heard())
    system.store("u", "v")
    shelf = Shelf()
    getattr(shelf, fault).add("a")
    relay = make_relay(shelf, resend=0.2)
    relay.start()
    until(lambda: len(shelf.sent) == 2)
    time.sleep(1)
    getattr(shelf, fault).clear()
    until(lambda: {ticket.receiver for ticket in shelf.sent} == {"a", "b"})
    assert relay.stop(PATIENCE)

    told = [each.getMessage() for each in caplog.records if "refused" in each.getMessage()]
    assert len(told) == 1
    assert "for the receiver a " in told[0]
    assert "hush" not in told[0]


def test_tasks_of_the_host_s_keep_no_receiver_out(
    system: System, make_relay: Callable[..., Worker]
) -> None:
    """In a queue with more messages than the window, of which none is a ticket, some are put all the same."""
    system.on("*", name="a")(Heard())
    system.store("u", "v")
    shelf = Shelf()
    shelf.lengths["usual"] = 1000
    relay = make_relay(shelf, window=10)
    relay.start()
    until(lambda: len(shelf.sent) == 2)
    assert relay.stop(PATIENCE)


def test_each_queue_alternates(system: System, make_relay: Callable[..., Worker]) -> None:
    """With two queues, too, what has failed before has its turn in each, while new events keep coming."""
    for name, queue in (("a", "one"), ("b", "two")):
        system.on("*", name=name, queue=queue)(Heard())
    system.store(*(f"u{number}" for number in range(60)))
    relay = make_relay(Shelf(), window=1000)
    assert len(relay.take(2, None)) == 2  # gives events their receipts
    with system.inbox.database.transaction() as connection:
        connection.execute(ticket.delete())
        # As after a failed attempt long ago.
        connection.execute(
            receipt.update().where(receipt.c.event_id > 40).values(due=1.0, attempts=1, claims=1)
        )
    taken = [relay.take(4, None) for _ in range(4)]

    for name in ("a", "b"):
        of_it = [each.event_id for batch in taken for each in batch if each.receiver == name]
        assert len(of_it) == 8
        assert min(of_it) <= 40 < max(of_it)


def test_what_the_broker_does_not_take_is_sent_later(
    system: System, make_relay: Callable[..., Worker]
) -> None:
    """Marks of what was not sent are withdrawn, others can see since when that is so, and then it goes on at once."""
    system.on("*", name="a")(Heard())
    system.store("u", "v", "w")
    shelf = Shelf()
    shelf.takes = 1
    relay = make_relay(shelf)
    relay.start()
    until(lambda: any(each.broker_away_since for each in system.inbox.workers.listed()))
    shelf.is_away = True
    until(lambda: len(shelf.sent) == system.inbox.tickets.in_flight()["usual"].sent)
    shelf.is_away, shelf.takes = False, 10
    until(lambda: len(set(shelf.sent)) == 3)
    until(lambda: not any(each.broker_away_since for each in system.inbox.workers.listed()))
    assert relay.stop(PATIENCE)

    assert len(shelf.sent) == 3


def test_a_performer_is_listed_from_its_first_ticket_until_it_is_closed(
    system: System, make_relay: Callable[..., Worker], performer: Performer
) -> None:
    """A process that gets none is no worker; and nothing of one that was closed goes on."""
    heard = system.on("*", name="a")(Heard())
    system.store("u")
    shelf = Shelf()
    relay = make_relay(shelf)
    relay.start()
    until(lambda: shelf.sent)
    assert relay.stop(PATIENCE)
    assert system.inbox.workers.listed() == []

    before = threading.active_count()
    assert performer.perform(shelf.sent[0])
    assert not performer.perform(shelf.sent[0])
    assert [each.kind for each in system.inbox.workers.listed()] == ["task"]
    performer.close()

    assert heard.uuids == ["u"]
    assert system.inbox.workers.listed() == []
    until(lambda: threading.active_count() == before)


def test_a_performer_that_was_taken_for_dead_goes_on(
    system: System, make_relay: Callable[..., Worker], performer: Performer
) -> None:
    """It enters the list again with the next ticket, which is not lost by that."""
    heard = system.on("*", name="a")(Heard())
    system.store("u", "v")
    shelf = Shelf()
    relay = make_relay(shelf)
    relay.start()
    until(lambda: len(shelf.sent) == 2)
    assert relay.stop(PATIENCE)
    assert performer.perform(shelf.sent[0])
    system.inbox.workers.free(system.inbox.workers.beats()[0])
    assert system.inbox.workers.listed() == []

    assert performer.perform(shelf.sent[1])
    assert heard.uuids == ["u", "v"]


def test_a_ticket_on_its_way_to_a_paused_receiver_comes_back(
    system: System, make_relay: Callable[..., Worker], performer: Performer
) -> None:
    """Its task ends at once without a call, no other ticket is sent meanwhile, and one is soon after the resumption."""
    heard = system.on("*", name="a")(Heard())
    system.store("u")
    shelf = Shelf()
    relays = [make_relay(shelf) for _ in range(2)]
    for relay in relays:
        relay.start()
    until(lambda: shelf.sent)
    system.inbox.pauses.pause("okta", "a", who="ada")

    assert not performer.perform(shelf.sent[0])
    assert system.inbox.tickets.in_flight() == {}
    system.store("v")
    threading.Event().wait(1.5)
    assert len(shelf.sent) == 1
    system.inbox.pauses.resume("okta", "a")
    until(lambda: len(shelf.sent) == 3)  # before a mark of a minute could lapse
    for relay in relays:
        assert relay.stop(PATIENCE)
    assert all(performer.perform(each) for each in shelf.sent[1:])
    assert sorted(heard.uuids) == ["u", "v"]


def test_a_ticket_of_a_paused_receiver_that_was_lost_is_sent_after_it(
    system: System, make_relay: Callable[..., Worker]
) -> None:
    """Its mark may lapse as often as it will: nothing is sent for it until the receiver is resumed."""
    system.on("*", name="a")(Heard())
    system.store("u")
    relay = make_relay(Shelf(), resend=0.01)
    (ticket,) = relay.take(5, None)
    system.inbox.pauses.pause("okta", "a", who="ada")
    time.sleep(0.05)

    assert relay.take(5, None) == []
    assert system.inbox.tickets.mark("", [("okta", "a")], window=9, seconds=1) == []
    system.inbox.pauses.resume("okta", "a")
    assert relay.take(5, None) == [ticket]
