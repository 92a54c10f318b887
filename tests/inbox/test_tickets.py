from __future__ import annotations

import random
import time
from collections import Counter
from typing import TYPE_CHECKING, Final

import pytest
import sqlalchemy as sa

from okta_hooks.inbox.claims import Claim, Settlement
from okta_hooks.inbox.tickets import Ticket
from tests.support import HOUR, NEEDS_PSYCOPG, fan_out

if TYPE_CHECKING:
    from collections.abc import Callable

    from okta_hooks.inbox import Inbox
    from okta_hooks.inbox.intake import NewDelivery

    DeliveryFactory = Callable[..., NewDelivery]
    InboxFactory = Callable[..., Inbox]

pytestmark = [NEEDS_PSYCOPG, pytest.mark.parametrize("inbox_url", ["PostgreSQL"], indirect=True)]

BOTH: Final = [("okta", "a"), ("okta", "b")]
ME: Final = "me"
#: Seconds after which a ticket is taken for lost: at once.
LOST: Final = -1.0


@pytest.fixture
def inbox(open_inbox: InboxFactory) -> Inbox:
    """Return an inbox that goes by the real time, as the tickets do."""
    made = open_inbox(clock=time.time)
    made.workers.beat(ME, 30)
    return made


@pytest.fixture
def store(inbox: Inbox, delivery: DeliveryFactory) -> Callable[..., None]:
    """Return a function that stores so many events for the receivers ``a`` and ``b``, or some."""

    def store(number: int, *receivers: str) -> None:
        uuids = [random.randbytes(8).hex() for _ in range(number)]
        inbox.intake.store([delivery(*uuids)])
        fan_out(inbox, *(receivers or ("a", "b")))

    return store


def mark(
    inbox: Inbox, window: int = 100, *, seconds: float = 60.0, waiting: int = 0
) -> list[Ticket]:
    return inbox.tickets.mark("q", BOTH, window=window, seconds=seconds, waiting=waiting)


def settle(inbox: Inbox, claims: list[Claim], state: str = "done", wait: float = 0.0) -> None:
    inbox.claims.settle(ME, [Settlement(claim=each, state=state, wait=wait) for each in claims])


def test_a_ticket_claims_once(inbox: Inbox, store: Callable[..., None]) -> None:
    """It is sent once, and whoever comes with it again gets nothing."""
    store(1, "a")
    (ticket,) = mark(inbox)

    assert mark(inbox) == []
    (claim,) = inbox.tickets.claim(ME, ticket)
    assert (claim.hook, claim.receiver, claim.attempts, claim.claims) == ("okta", "a", 0, 1)
    assert inbox.tickets.claim(ME, ticket) == []
    settle(inbox, [claim])
    assert inbox.tickets.claim(ME, ticket) == []
    assert mark(inbox) == []


def test_what_no_receipt_is_for_claims_nothing(inbox: Inbox, store: Callable[..., None]) -> None:
    """Neither what is not due yet, nor another's, nor what was pruned; nor does a worker that is not in the list."""
    store(2, "a")
    first, second = mark(inbox)
    (claim,) = inbox.tickets.claim(ME, first)
    settle(inbox, [claim], "pending", HOUR)

    assert inbox.tickets.claim(ME, first) == []
    assert inbox.tickets.claim("nobody", second) == []
    assert inbox.tickets.claim(ME, second._replace(hook="other")) == []
    assert inbox.tickets.claim(ME, second._replace(receiver="b")) == []
    assert inbox.tickets.claim(ME, Ticket("okta", "a", 10**9)) == []
    assert inbox.tickets.claim(ME, second)


def test_what_was_lost_is_sent_again(inbox: Inbox, store: Callable[..., None]) -> None:
    """A mark that has lapsed keeps nothing back, and takes no room in the window."""
    store(3, "a")
    lost = mark(inbox, 6, seconds=LOST)

    assert inbox.tickets.in_flight()["q"] == (0, 3)
    assert sorted(mark(inbox, 6)) == sorted(lost)
    assert inbox.tickets.in_flight()["q"] == (3, 0)


def test_each_time_it_takes_twice_as_long(
    inbox: Inbox, store: Callable[..., None], engine: sa.Engine
) -> None:
    """A ticket that is lost again and again, as where no worker knows its task, is sent more and more seldom."""
    store(1, "a")
    lapse = "UPDATE okta_hooks_ticket SET lapses_at = 0"
    left = "SELECT lapses_at - extract(epoch FROM now()) FROM okta_hooks_ticket"
    found = []
    for _ in range(5):
        assert len(mark(inbox)) == 1
        with engine.begin() as connection:
            found.append(round(float(connection.exec_driver_sql(left).scalar_one()) / 60))
            connection.exec_driver_sql(lapse)

    assert found == [1, 2, 4, 8, 8]


def test_the_window_bounds_what_is_on_its_way(inbox: Inbox, store: Callable[..., None]) -> None:
    """Counted is what was marked, or what waits in the queue itself if that is more."""
    store(30)
    mark(inbox, 10, seconds=LOST)

    assert mark(inbox, 10, waiting=10) == []
    assert len(mark(inbox, 10, waiting=8)) == 2
    assert len(mark(inbox, 10)) == 8
    assert mark(inbox, 10) == []
    assert inbox.tickets.in_flight()["q"].sent == 10


def test_a_backlog_leaves_room_for_others(inbox: Inbox, store: Callable[..., None]) -> None:
    """One receiver alone gets half of the window: another that has something to do later finds the rest."""
    store(40, "a")
    assert len(mark(inbox, 10)) == 5
    assert mark(inbox, 10) == []
    store(3, "b")

    assert Counter(ticket.receiver for ticket in mark(inbox, 10)) == {"b": 3}


def test_retries_are_not_starved(inbox: Inbox, store: Callable[..., None]) -> None:
    """Of two kinds of receipts, those that were tried before go first every other time."""
    store(1, "a")
    (ticket,) = mark(inbox)
    settle(inbox, inbox.tickets.claim(ME, ticket), "pending", 0.0)
    store(20, "a")

    def first(*, retries_first: bool) -> Ticket:
        (chosen,) = inbox.tickets.mark(
            "q", BOTH, window=50, seconds=LOST, limit=1, retries_first=retries_first
        )
        return chosen

    assert first(retries_first=True) == ticket
    assert first(retries_first=False) != ticket


def test_a_ticket_that_was_not_sent_is_withdrawn(inbox: Inbox, store: Callable[..., None]) -> None:
    """It is marked again at once; the others stay."""
    store(4, "a")
    tickets = mark(inbox)
    inbox.tickets.withdraw(tickets[1:3])
    inbox.tickets.withdraw([])

    assert sorted(mark(inbox)) == sorted(tickets[1:3])


def test_a_relay_that_is_just_marking_keeps_others_out(
    inbox: Inbox, store: Callable[..., None], engine: sa.Engine
) -> None:
    """The window holds for all of them together: the second gets nothing, and asks again later."""
    store(3, "a")
    with engine.begin() as connection:
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (0x0C7A_4071,))
        assert mark(inbox) == []

    assert len(mark(inbox)) == 3


def test_marks_of_what_is_done_are_forgotten(
    inbox: Inbox, store: Callable[..., None], engine: sa.Engine
) -> None:
    """A ticket whose receipt was claimed without it, by a worker that runs beside the tasks, leaves nothing behind."""
    store(2, "a")
    mark(inbox, seconds=LOST)
    settle(inbox, inbox.claims.claim(ME, "okta", "a", 1))
    inbox.tickets.clean()

    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM okta_hooks_ticket")) == 1


@pytest.mark.parametrize("seed", range(6))
def test_whatever_happens_everything_open_comes_to_its_end(  # noqa: C901 - each branch is one thing that happens
    inbox: Inbox, store: Callable[..., None], engine: sa.Engine, seed: int
) -> None:
    """At any time each receipt is claimed by one worker at most, and is claimable now, or when something has lapsed."""
    luck = random.Random(seed)
    sent: list[Ticket] = []
    held: dict[tuple[str, int], tuple[str, Claim]] = {}
    workers = ["w0", "w1"]
    done: Counter[tuple[str, int]] = Counter()

    def claim(worker: str, ticket: Ticket) -> None:
        for claimed in inbox.tickets.claim(worker, ticket):
            key = claimed.receiver, claimed.event_id
            assert key not in held
            assert not done[key]
            held[key] = worker, claimed

    def step() -> None:
        worker, kind = luck.choice(workers), luck.randrange(10)
        key = luck.choice(list(held)) if held else None
        if kind == 0:
            store(luck.randint(1, 3))
        elif kind in (1, 2):
            window = luck.choice([3, 8, 100])
            sent.extend(mark(inbox, window, seconds=luck.choice([60.0, LOST])))
        elif kind in (3, 4, 5) and sent:
            # A broker repeats, loses and reorders.
            inbox.workers.beat(worker, 30)
            claim(worker, luck.choice(sent))
        elif kind == 6 and sent:
            inbox.tickets.withdraw(luck.sample(sent, luck.randint(1, len(sent))))
        elif kind == 7 and key is not None:
            holder, claimed = held.pop(key)
            state = luck.choice(["done", "pending", "pending"])
            wait = luck.choice([0.0, HOUR])
            counted, _ = inbox.claims.settle(
                holder, [Settlement(claim=claimed, state=state, wait=wait)]
            )
            assert len(counted) == 1
            done[key] += state == "done"
        elif kind == 8 and key is not None:
            holder, claimed = held.pop(key)
            inbox.claims.release(holder, [claimed], wait=luck.choice([0.0, HOUR]))
        elif kind == 9:
            inbox.tickets.clean()
            # Marked as a stop, lest five deaths make dead letters.
            inbox.workers.mark_stopping(worker)
            inbox.workers.free({worker: inbox.workers.beats()[0].get(worker, 0.0)})
            for lost in [key for key, (holder, _) in held.items() if holder == worker]:
                del held[lost]

    for _ in range(120):
        step()
    for worker in workers:
        inbox.workers.leave(worker)
    held.clear()
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE okta_hooks_ticket SET lapses_at = 0")
        connection.exec_driver_sql("UPDATE okta_hooks_receipt SET due = least(due, 1)")
    while tickets := mark(inbox, 40):
        for ticket in tickets:
            (claimed,) = inbox.tickets.claim(ME, ticket)
            settle(inbox, [claimed])

    assert inbox.overview.counts().open == 0
