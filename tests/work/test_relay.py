from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

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

    def queue_of(self, _: str, receiver: Receiver) -> str:
        """Return what the receiver says."""
        return receiver.queue or "usual"

    def waiting(self, queue: str) -> int:
        """Return what the test says."""
        self._look()
        return self.lengths.get(queue, 0)

    def publish(self, tickets: Sequence[Ticket]) -> None:
        """Take tickets until it is full."""
        self._look()
        self.on_sending(tickets)
        self.threads.add(threading.current_thread())
        taken = tickets[: self.takes]
        self.sent += taken
        if len(taken) < len(tickets):
            raise BrokerUnavailable("Full", len(taken))

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
