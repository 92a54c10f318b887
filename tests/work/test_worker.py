from __future__ import annotations

import asyncio
import functools
import logging
import threading
import time
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from okta_hooks import EventHook, Reject, RetryLater, signals
from okta_hooks.exceptions import InboxUnavailable
from okta_hooks.inbox.claims import Claim, Inbox, Selection, Settlement
from okta_hooks.work.worker import MOST_IN_HAND, Worker, back_off, judge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from blinker import NamedSignal
    from flask import Flask

    from okta_hooks.inbox.claims import NewDelivery
    from tests.support import Clock

    AppFactory = Callable[..., Flask]
    DeliveryFactory = Callable[..., NewDelivery]
    InboxFactory = Callable[..., Inbox]
    WorkerFactory = Callable[..., Worker]

CREATED = "user.lifecycle.create"
HOUR = 3600.0
DAY = 24 * HOUR
#: What a busy machine may take; nothing waits as long if it works.
PATIENCE = 30.0
CLAIM = Claim(event_id=1, delivery_id=1, ordinal=0, hook="okta", receiver="a", attempts=0, claims=1)


class Heard:
    """A receiver that remembers the uuids it was called with, and which attempt each was."""

    def __init__(self, *errors: BaseException) -> None:
        self.uuids: list[str] = []
        self.attempts: list[int] = []
        self._errors = list(errors)

    def __call__(self, _: Flask, *, event: Any, attempt: int, **__: Any) -> None:
        """Remember a call, and fail as long as there are errors left."""
        self.uuids.append(event.uuid)
        self.attempts.append(attempt)
        if self._errors:
            raise self._errors.pop(0)


class Held:
    """A receiver that runs until it is told to end."""

    def __init__(self) -> None:
        self.has_begun = threading.Semaphore(0)
        self.may_end = threading.Event()
        self.at_once = 0
        self.most_at_once = 0
        self._lock = threading.Lock()

    def __call__(self, _: Flask, **__: Any) -> None:
        """Wait."""
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        self.has_begun.release()
        assert self.may_end.wait(PATIENCE)
        with self._lock:
            self.at_once -= 1


@pytest.fixture
def app(make_app: AppFactory, okta: EventHook) -> Flask:
    """Return an app with a hook; its inbox is the tests' own."""
    return make_app(okta)


@pytest.fixture
def make_worker(app: Flask, okta: EventHook, open_inbox: InboxFactory) -> Iterator[WorkerFactory]:
    """Return a function that makes a worker as a process of its own would, with its own connections."""
    made = []

    def make(inbox: Inbox | None = None, **options: Any) -> Worker:
        options.setdefault("max_attempts", 20)
        options.setdefault("retention", timedelta(days=30))
        made.append(Worker(app, {"okta": okta}, inbox or open_inbox(), **options))
        return made[-1]

    yield make
    for worker in made:
        assert worker.stop(PATIENCE)


@pytest.fixture
def finished() -> Iterator[threading.Semaphore]:
    """Return a semaphore that is released for each event that is done or dead."""
    semaphore = threading.Semaphore(0)

    def release(sender: Flask, **extra: Any) -> None:
        semaphore.release()

    with signals.event_done.connected_to(release), signals.event_dead.connected_to(release):
        yield semaphore


@pytest.fixture
def hear() -> Iterator[Callable[[NamedSignal], list[dict[str, Any]]]]:
    """Return a function that listens to a signal until the test ends."""
    connected = []

    def listen(signal: NamedSignal) -> list[dict[str, Any]]:
        heard: list[dict[str, Any]] = []

        def remember(sender: Flask, **arguments: Any) -> None:
            heard.append({"sender": sender, **arguments})

        signal.connect(remember, weak=False)
        connected.append((signal, remember))
        return heard

    yield listen
    for signal, remember in connected:
        signal.disconnect(remember)


def await_(semaphore: threading.Semaphore, times: int = 1) -> None:
    for _ in range(times):
        assert semaphore.acquire(timeout=PATIENCE)


def until(condition: Callable[[], object]) -> None:
    """Wait for what another thread does to the database, which has nothing to wait on."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_handed_out(inbox: Inbox, uuid: str) -> bool:
    return states(inbox)[uuid] != "pending"


def receipts(inbox: Inbox, uuid: str) -> dict[str, tuple[str, int]]:
    """Return the state and the attempts of each receipt of an event, by receiver."""
    return {
        row["receiver"]: (row["state"], row["attempts"]) for row in inbox.show(uuid)[0]["receipts"]
    }


def states(inbox: Inbox) -> dict[str, str]:
    return {row["uuid"]: row["state"] for row in inbox.find(Selection())}


# What becomes of a receipt


@pytest.mark.parametrize(
    ("attempts", "seconds"),
    [(1, 2), (2, 8), (3, 32), (4, 128), (5, 512), (6, 2048), (7, 3600), (20, 3600), (9999, 3600)],
)
def test_back_off(attempts: int, seconds: float) -> None:
    """It quadruples up to an hour, and chance takes up to half of it away."""
    assert back_off(attempts, 1.0) == seconds
    assert back_off(attempts, 0.0) == seconds / 2
    assert back_off(attempts, 0.5) == seconds * 0.75


def test_twenty_attempts_take_about_half_a_day() -> None:
    """That is what the default of ``MAX_ATTEMPTS`` means."""
    total = [sum(back_off(attempts, chance) for attempts in range(1, 20)) for chance in (0, 1)]

    assert [round(seconds / HOUR, 1) for seconds in total] == [6.9, 13.8]


def judged(error: BaseException | None, **values: Any) -> Settlement:
    arguments = {"now": 1000.0, "max_attempts": 3, "jitter": 1.0} | values
    claim = arguments.pop("claim", CLAIM)
    return judge(claim, error, **arguments)


def test_judging_a_success() -> None:
    """A receiver that returned has done it."""
    assert judged(None) == Settlement(claim=CLAIM, state="done")


def test_judging_a_failure() -> None:
    """An error is another attempt after the back-off."""
    expected = Settlement(claim=CLAIM, state="pending", due=1002.0, error="KeyError: 'x'")

    assert judged(KeyError("x")) == expected


def test_judging_retry_later() -> None:
    """The receiver knows better when: its seconds stand instead of the back-off."""
    settlement = judged(RetryLater(77), jitter=0.0)

    assert (settlement.state, settlement.due) == ("pending", 1077.0)


@pytest.mark.parametrize("error", [LookupError("gone"), RetryLater(5)], ids=repr)
def test_judging_the_last_attempt(error: Exception) -> None:
    """After as many attempts as are allowed it is dead, and the last error is told."""
    tired = Claim(
        event_id=1, delivery_id=1, ordinal=0, hook="okta", receiver="a", attempts=2, claims=3
    )

    settlement = judged(error, claim=tired)

    assert settlement.state == "dead"
    assert settlement.error is not None
    assert settlement.error.startswith("3 attempts; the last: ")
    assert type(error).__name__ in settlement.error


def test_judging_a_rejection() -> None:
    """A rejected event is dead at the first attempt, for the receiver's reason."""
    assert judged(Reject("not ours")) == Settlement(claim=CLAIM, state="dead", error="not ours")


def test_judging_what_has_no_text() -> None:
    """An exception that cannot be printed is a failure like any other."""

    class Unprintable(Exception):
        def __str__(self) -> str:
            raise ZeroDivisionError

    assert judged(Unprintable()).error == "Unprintable: (no text)"
    assert judged(Reject(LookupError("no"))).error == "no"  # type: ignore[arg-type]
    assert judged(RetryLater(Decimal(5))).due == 1005.0  # type: ignore[arg-type]


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), 10**400])
def test_retry_later_takes_seconds(seconds: float) -> None:
    """What is no number of seconds is an error where it is raised, in the receiver."""
    with pytest.raises((ValueError, OverflowError)):
        RetryLater(seconds)


# One pass after another


def test_every_receiver_gets_every_event_that_it_matches(
    okta: EventHook, inbox: Inbox, make_worker: WorkerFactory, delivery: DeliveryFactory
) -> None:
    """What was stored is handed to the receivers by their patterns, once, oldest first."""
    everything, some = okta.on("*", name="all")(Heard()), okta.on("group.*", name="some")(Heard())
    inbox.store([delivery("a", "b"), delivery("c", type="group.lifecycle.create")])

    assert make_worker().drain() == 4

    assert everything.uuids == ["a", "b", "c"]
    assert some.uuids == ["c"]
    assert set(states(inbox).values()) == {"done"}
    assert make_worker().drain() == 0


def test_what_a_receiver_gets(
    app: Flask,
    okta: EventHook,
    inbox: Inbox,
    make_worker: WorkerFactory,
    delivery: DeliveryFactory,
) -> None:
    """The app itself, the event whole, its delivery, the hook and the attempt, in a context of its own."""
    calls = []

    @okta.on("*")
    def receiver(sender: Flask, **arguments: Any) -> None:
        calls.append((sender, arguments))

    new = delivery({"uuid": "a", "eventType": CREATED, "moon": {"phase": 10**40}})
    inbox.store([new])
    make_worker().drain()

    ((sender, arguments),) = calls
    assert sender is app
    assert arguments["event"].raw["moon"] == {"phase": 10**40}
    assert arguments["delivery"] == new.delivery
    assert (arguments["hook"], arguments["attempt"]) == (okta, 1)
    assert set(arguments) == {"event", "delivery", "hook", "attempt"}


def test_an_event_that_nobody_wants_is_done(
    okta: EventHook, inbox: Inbox, make_worker: WorkerFactory, delivery: DeliveryFactory
) -> None:
    """No pattern matches: it is done, and found again by ``unreceived``."""
    okta.on("group.*")(Heard())
    inbox.store([delivery("a")])

    make_worker().drain()

    assert states(inbox) == {"a": "done"}
    assert len(inbox.find(Selection(unreceived=True))) == 1


@pytest.mark.parametrize("kind", ["moon.é", "x." * 149 + "yz", "a\0b"], ids=["é", "long", "NUL"])
def test_a_type_that_no_column_takes(
    okta: EventHook, inbox: Inbox, make_worker: WorkerFactory, delivery: DeliveryFactory, kind: str
) -> None:
    """It is read from the body, so a receiver of just that type gets the event."""
    with pytest.warns(UserWarning, match="no such event type"):
        heard = okta.on(kind)(Heard())
    inbox.store([delivery("a", type=kind)])

    make_worker().drain()

    assert heard.uuids == ["a"]


def test_an_unreadable_event_that_is_replayed(
    okta: EventHook, inbox: Inbox, make_worker: WorkerFactory, delivery: DeliveryFactory
) -> None:
    """It is read again, and dead again for the same reason."""
    heard = okta.on("*")(Heard())
    inbox.store([delivery(None)])
    (before,) = inbox.find(Selection())
    inbox.replay(Selection(states=("dead",)))

    make_worker().drain()

    assert inbox.find(Selection()) == [before]
    assert heard.uuids == []


def test_a_failing_receiver_beside_a_working_one(
    okta: EventHook,
    inbox: Inbox,
    make_worker: WorkerFactory,
    delivery: DeliveryFactory,
    clock: Clock,
) -> None:
    """One fails three times and then works: it makes 4 attempts, the other exactly 1, across a restart."""
    failing = okta.on("*", name="failing")(Heard(*(LookupError() for _ in range(3))))
    working = okta.on("*", name="working")(Heard())
    inbox.store([delivery("a")])

    worker = make_worker()
    assert worker.drain() == 2
    assert receipts(inbox, "a") == {"failing": ("pending", 1), "working": ("done", 1)}
    clock.now += 2
    assert worker.drain() == 1
    restarted = make_worker()
    assert restarted.drain() == 0
    clock.now += 8
    assert restarted.drain() == 1
    clock.now += 32
    assert restarted.drain() == 1

    assert failing.attempts == [1, 2, 3, 4]
    assert working.attempts == [1]
    assert states(inbox) == {"a": "done"}


def test_the_back_off_is_waited_for(
    okta: EventHook,
    inbox: Inbox,
    make_worker: WorkerFactory,
    delivery: DeliveryFactory,
    clock: Clock,
) -> None:
    """Nothing is tried again before half of the back-off has passed."""
    heard = okta.on("*")(Heard(LookupError(), RetryLater(100)))
    inbox.store([delivery("a")])
    worker = make_worker()

    worker.drain()
    clock.now += 0.99
    assert worker.drain() == 0
    clock.now += 1.01
    assert worker.drain() == 1
    clock.now += 99.9
    assert worker.drain() == 0
    clock.now += 0.1
    assert worker.drain() == 1
    assert heard.attempts == [1, 2, 3]


def test_a_receiver_that_never_works(
    okta: EventHook,
    inbox: Inbox,
    make_worker: WorkerFactory,
    delivery: DeliveryFactory,
    *,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    hear: Callable[[NamedSignal], list[dict[str, Any]]],
) -> None:
    """After the last attempt it is a dead letter: one ERROR with the traceback, one signal, no more runs."""
    heard = okta.on("*", name="never")(Heard(*(LookupError("no such user") for _ in range(9))))
    dead, failed = hear(signals.event_dead), hear(signals.receiver_failed)
    inbox.store([delivery("a")])
    worker = make_worker(max_attempts=3)

    for _ in range(6):
        worker.drain()
        clock.now += DAY

    assert heard.attempts == [1, 2, 3]
    assert receipts(inbox, "a") == {"never": ("dead", 3)}
    assert states(inbox) == {"a": "dead"}
    (error,) = (record for record in caplog.records if record.levelno == logging.ERROR)
    assert "never" in error.getMessage()
    assert "LookupError: no such user" in caplog.text
    assert [record.levelno for record in caplog.records].count(logging.WARNING) == 2
    assert [arguments["attempt"] for arguments in failed] == [1, 2, 3]
    (arguments,) = dead
    assert arguments["receiver"] == "never"
    assert arguments["event"].uuid == "a"
    assert arguments["delivery"].event_id == "delivery-1"
    assert arguments["reason"].startswith("3 attempts")


def test_a_rejected_event(
    app: Flask,
    okta: EventHook,
    inbox: Inbox,
    make_worker: WorkerFactory,
    *,
    delivery: DeliveryFactory,
    hear: Callable[[NamedSignal], list[dict[str, Any]]],
) -> None:
    """``Reject`` is dead at once for this receiver; the other one is not concerned."""
    okta.on("*", name="rejects")(Heard(Reject("not ours")))
    working = okta.on("*", name="works")(Heard())
    dead, done = hear(signals.event_dead), hear(signals.event_done)
    inbox.store([delivery("a", "b")])

    make_worker().drain()

    assert states(inbox) == {"a": "dead", "b": "done"}
    assert working.uuids == ["a", "b"]
    assert [(row["receiver"], row["reason"]) for row in dead] == [("rejects", "not ours")]
    assert [(row["sender"], row["event"].uuid) for row in done] == [(app, "b")]


@pytest.mark.parametrize(
    "error",
    [
        Reject(LookupError("an error, not a text")),  # type: ignore[arg-type]
        Reject("NUL \0 and \ud800"),
        SystemExit(3),
        asyncio.CancelledError(),
    ],
    ids=repr,
)
def test_whatever_a_receiver_raises_is_settled(
    okta: EventHook,
    inbox: Inbox,
    make_worker: WorkerFactory,
    delivery: DeliveryFactory,
    *,
    finished: threading.Semaphore,
    error: BaseException,
) -> None:
    """No exception leaves a receipt in hand, kills its lane, or keeps the next event from it."""
    okta.on("*", name="a")(Heard(error))
    inbox.store([delivery("a", "b")])
    worker = make_worker(max_attempts=1)
    worker.start()

    await_(finished, 2)

    assert states(inbox) == {"a": "dead", "b": "done"}


def test_async_receivers(
    okta: EventHook, inbox: Inbox, make_worker: WorkerFactory, delivery: DeliveryFactory
) -> None:
    """A coroutine is run to its end, and its error is the attempt's."""
    ran = []

    @okta.on("*", name="async")
    async def receiver(sender: Flask, event: Any, **extra: Any) -> None:
        await asyncio.sleep(0)
        ran.append(event.uuid)
        if event.uuid == "b":
            raise Reject("no")

    inbox.store([delivery("a", "b")])
    make_worker().drain()

    assert ran == ["a", "b"]
    assert states(inbox) == {"a": "done", "b": "dead"}


def test_one_receiver_cannot_commit_what_another_left(
    okta: EventHook, inbox: Inbox, make_worker: WorkerFactory, delivery: DeliveryFactory
) -> None:
    """Each call has an application context of its own."""
    from flask import g  # noqa: PLC0415 - here only

    left = []

    @okta.on("*", name="one")
    @okta.on("*")
    def one(sender: Flask, **extra: Any) -> None:
        left.append(g.get("left"))
        g.left = "half"

    inbox.store([delivery("a", "b")])
    make_worker().drain()

    assert left == [None, None]


def test_a_worker_without_receivers_touches_nothing(
    app: Flask, okta: EventHook, tmp_path: Path
) -> None:
    """Not even a file is made: a deploy that forgot to import its receivers must not finish events."""
    inbox = Inbox(f"sqlite:///{tmp_path}/new/inbox.sqlite3")
    worker = Worker(app, {"okta": okta}, inbox, max_attempts=20, retention=timedelta(days=30))

    assert not worker.has_receivers()
    assert worker.drain() == 0
    worker.start()
    assert worker.stop(PATIENCE)

    assert list(tmp_path.iterdir()) == []


def test_a_hook_without_receivers_is_left_alone(
    app: Flask,
    okta: EventHook,
    inbox: Inbox,
    delivery: DeliveryFactory,
    make_app: AppFactory,
) -> None:
    """Of two hooks in one app only the one that has receivers is worked on."""
    okta.on("*")(Heard())
    other = EventHook("other", url_prefix="/other")
    app.register_blueprint(other)
    inbox.store([delivery("a"), delivery("b", hook="other"), delivery("c", hook="unknown")])

    Worker(
        app,
        {"okta": okta, "other": other},
        inbox,
        max_attempts=20,
        retention=timedelta(days=30),
    ).drain()

    assert states(inbox) == {"a": "done", "b": "pending", "c": "pending"}


def test_a_disconnected_receiver_is_given_up_after_a_day(
    okta: EventHook,
    inbox: Inbox,
    make_worker: WorkerFactory,
    delivery: DeliveryFactory,
    *,
    clock: Clock,
    finished: threading.Semaphore,
    caplog: pytest.LogCaptureFixture,
    hear: Callable[[NamedSignal], list[dict[str, Any]]],
) -> None:
    """Its receipts wait for it to come back; after 24 h they are dead letters that say why."""
    gone = Heard(LookupError())
    okta.on("*", name="gone")(gone)
    okta.on("*", name="stays")(Heard())
    dead = hear(signals.event_dead)
    inbox.store([delivery("a")])
    make_worker().drain()
    okta.signal("*").disconnect(gone)
    worker = make_worker()
    worker.start()
    until(worker.lease.holds)
    clock.now += DAY - 1
    worker.wake()
    inbox.store([delivery("b")])
    await_(finished)
    assert receipts(inbox, "a")["gone"] == ("pending", 1)

    clock.now += HOUR
    worker.wake()
    await_(finished)

    assert receipts(inbox, "a") == {"gone": ("dead", 1), "stays": ("done", 1)}
    assert states(inbox)["a"] == "dead"
    assert [(row["receiver"], row["event"].uuid) for row in dead] == [("gone", "a")]
    assert caplog.text.count("its receiver has not been connected for a day") == 1


def test_what_killed_five_processes_is_a_dead_letter(
    okta: EventHook,
    inbox: Inbox,
    make_worker: WorkerFactory,
    delivery: DeliveryFactory,
    *,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is announced with its reason by whoever finds it, and never run again."""
    heard = okta.on("*", name="a")(Heard())
    inbox.store([delivery("a")])
    inbox.fan_out(["okta"], lambda _: ["a"])
    for number in range(5):
        assert inbox.claim(f"killed-{number}", "okta", "a", 1)
        if number < 4:
            inbox.free(all_workers=True)

    make_worker().drain()

    assert heard.uuids == []
    assert states(inbox) == {"a": "dead"}
    (record,) = (record for record in caplog.records if record.levelno == logging.ERROR)
    assert "the process died here" in record.getMessage()


def test_the_worker_prunes(
    okta: EventHook,
    inbox: Inbox,
    make_worker: WorkerFactory,
    delivery: DeliveryFactory,
    clock: Clock,
) -> None:
    """Retention is kept by the worker itself, with nobody calling."""
    okta.on("*")(Heard())
    inbox.store([delivery("a")])
    make_worker().drain()
    clock.now += 5 * DAY + 1

    make_worker(retention=timedelta(days=5)).start()

    until(lambda: not inbox.find(Selection())[0]["has_body"])
    assert states(inbox) == {"a": "done"}


def test_keys_are_kept_as_long_as_bodies(
    okta: EventHook,
    inbox: Inbox,
    make_worker: WorkerFactory,
    delivery: DeliveryFactory,
    clock: Clock,
) -> None:
    """A retention of more than 100 days holds for the keys, too."""
    okta.on("*")(Heard())
    inbox.store([delivery("a")])
    worker = make_worker(retention=timedelta(days=200))
    worker.drain()

    clock.now += 200 * DAY
    assert worker.prune_batch() == 0
    clock.now += 1
    assert worker.prune_batch() == 1
    assert states(inbox) == {}


def test_draining_tells_its_progress(
    okta: EventHook, inbox: Inbox, make_worker: WorkerFactory, delivery: DeliveryFactory
) -> None:
    """Events are counted, not attempts, when they are finished."""
    okta.on("*", name="a")(Heard())
    okta.on("*", name="b")(Heard())
    inbox.store([delivery(*(f"uuid-{number}" for number in range(50)))])
    told: list[int] = []

    assert make_worker().drain(told.append) == 100

    assert sum(told) == 50
    assert len(told) > 1


# In threads


def test_draining_lets_no_receiver_wait_for_another(
    okta: EventHook, inbox: Inbox, make_worker: WorkerFactory, delivery: DeliveryFactory
) -> None:
    """However much one has to do, the next gets its turn after as much as one may have in hand."""
    order: list[str] = []
    okta.on("*", name="a")(lambda *_, **__: order.append("a"))
    okta.on("*", name="b")(lambda *_, **__: order.append("b"))
    inbox.store([delivery(*(f"uuid-{n}" for n in range(3 * MOST_IN_HAND)))])

    make_worker(inbox).drain()

    assert len(order) == 6 * MOST_IN_HAND
    assert order[:MOST_IN_HAND] == ["a"] * MOST_IN_HAND
    assert order[MOST_IN_HAND : 2 * MOST_IN_HAND] == ["b"] * MOST_IN_HAND


def test_draining_keeps_its_lease(
    okta: EventHook,
    inbox: Inbox,
    open_inbox: InboxFactory,
    make_worker: WorkerFactory,
    delivery: DeliveryFactory,
    clock: Clock,
) -> None:
    """Nobody takes from it what is in its hands, though all of it takes longer than a lease."""
    if inbox.path is not None:  # there the lease is a lock, which does not run out
        return
    heard = Heard()
    other = open_inbox()

    @okta.on("*")
    def slow(sender: Flask, **arguments: Any) -> None:
        clock.now += 1.0
        other.free()
        heard(sender, **arguments)

    inbox.store([delivery(*(f"uuid-{n:03}" for n in range(60)))])

    make_worker(inbox).drain()

    assert heard.uuids == [f"uuid-{n:03}" for n in range(60)]


def test_a_worker_in_a_thread(
    okta: EventHook,
    inbox: Inbox,
    make_worker: WorkerFactory,
    delivery: DeliveryFactory,
    finished: threading.Semaphore,
) -> None:
    """What was left from before is picked up without a new delivery, and what comes later by itself."""
    heard = okta.on("*")(Heard())
    inbox.store([delivery("a")])
    worker = make_worker()
    worker.start()
    await_(finished)

    inbox.store([delivery("b")])
    await_(finished)
    inbox.store([delivery("c")])
    worker.wake()
    await_(finished)

    assert heard.uuids == ["a", "b", "c"]


def test_a_receiver_that_is_connected_later(
    okta: EventHook,
    inbox: Inbox,
    make_worker: WorkerFactory,
    delivery: DeliveryFactory,
    finished: threading.Semaphore,
) -> None:
    """A worker that runs already gives it a lane."""
    okta.on("group.*")(Heard())
    make_worker().start()
    late = okta.on("user.*")(Heard())
    inbox.store([delivery("a")])

    await_(finished)

    assert late.uuids == ["a"]


def test_a_hanging_receiver_stops_no_other(
    okta: EventHook,
    inbox: Inbox,
    make_worker: WorkerFactory,
    delivery: DeliveryFactory,
) -> None:
    """Nor does it stop deliveries from being stored."""
    hanging, working = Held(), Heard()
    okta.on("*", name="hangs")(hanging)
    okta.on("*", name="works")(working)
    inbox.store([delivery("a")])
    make_worker().start()
    await_(hanging.has_begun)

    inbox.store([delivery("b", "c")])
    until(lambda: receipts(inbox, "c").get("works") == ("done", 1))

    assert working.uuids == ["a", "b", "c"]
    assert hanging.most_at_once == 1
    hanging.may_end.set()


def test_one_at_a_time(
    okta: EventHook,
    inbox: Inbox,
    make_worker: WorkerFactory,
    delivery: DeliveryFactory,
    finished: threading.Semaphore,
) -> None:
    """A receiver has one event in hand at a time unless it asks for more, oldest first."""
    uuids = [f"uuid-{number:02}" for number in range(40)]
    order = []
    running = threading.Lock()

    @okta.on("*")
    def receiver(sender: Flask, event: Any, **extra: Any) -> None:
        assert running.acquire(blocking=False)
        order.append(event.uuid)
        running.release()

    inbox.store([delivery(*uuids)])
    make_worker().start()
    await_(finished, 40)

    assert order == uuids


def test_concurrency(
    okta: EventHook,
    inbox: Inbox,
    make_worker: WorkerFactory,
    delivery: DeliveryFactory,
    finished: threading.Semaphore,
) -> None:
    """A receiver that asks for three at once gets three, and not four."""
    held = Held()
    okta.on("*", concurrency=3)(held)
    inbox.store([delivery(*"abcdefgh")])
    make_worker().start()

    await_(held.has_begun, 3)
    held.may_end.set()
    await_(finished, 8)

    assert held.most_at_once == 3


def test_no_more_than_twenty_are_in_hand(
    okta: EventHook,
    inbox: Inbox,
    make_worker: WorkerFactory,
    delivery: DeliveryFactory,
    finished: threading.Semaphore,
) -> None:
    """However quick a lane is, a crash repeats at most what is claimed and not settled."""
    claimed = []

    @okta.on("*")
    def receiver(sender: Flask, **extra: Any) -> None:
        claimed.append(next(row["claimed"] for row in inbox.lanes()))

    inbox.store([delivery(*(f"uuid-{number}" for number in range(100)))])
    make_worker().start()
    await_(finished, 100)

    assert 1 < max(claimed) <= MOST_IN_HAND


def test_stopping_finishes_what_is_in_hand(
    okta: EventHook,
    inbox: Inbox,
    make_worker: WorkerFactory,
    delivery: DeliveryFactory,
) -> None:
    """The receiver that runs is waited for; what was claimed with it is given back untried."""
    uuids = [f"uuid-{number:02}" for number in range(30)]
    held, seen = Held(), []

    @okta.on("*", name="a")
    def receiver(sender: Flask, event: Any, **extra: Any) -> None:
        seen.append(event.uuid)
        if event.uuid == "uuid-10":
            held(sender)

    inbox.store([delivery(*uuids)])
    worker = make_worker()
    worker.start()
    await_(held.has_begun)
    stopped: list[bool] = []
    stopper = threading.Thread(target=lambda: stopped.append(worker.stop()))
    stopper.start()
    assert worker.stopping.wait(PATIENCE)
    assert not worker.stop(0.01)
    held.may_end.set()
    stopper.join(PATIENCE)

    assert stopped == [True]
    assert seen == uuids[:11]
    (lane,) = inbox.lanes()
    assert (lane["done"], lane["pending"], lane["claimed"]) == (11, 19, 0)
    assert make_worker().drain() == 19
    assert seen == uuids


def test_a_slow_receiver_is_warned_of(
    okta: EventHook,
    inbox: Inbox,
    make_worker: WorkerFactory,
    delivery: DeliveryFactory,
    *,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    open_inbox: InboxFactory,
) -> None:
    """A receiver that runs longer than a minute is named once in the log, with its event."""
    held = Held()
    okta.on("*", name="slow")(held)
    inbox.store([delivery("a")])
    worker = make_worker()
    worker.start()
    await_(held.has_begun)

    def warnings() -> list[str]:
        found = [record for record in caplog.records if record.levelno == logging.WARNING]
        return [record.getMessage() for record in found]

    def pass_by(uuid: str) -> None:
        """Wait for a pass to hand out an event, and for the end of that pass: the next begins."""
        for name in (uuid, uuid * 2):
            inbox.store([delivery(name)])
            worker.wake()
            until(functools.partial(is_handed_out, inbox, name))

    clock.now += 60
    pass_by("b")
    assert warnings() == []
    clock.now += 1
    pass_by("c")
    pass_by("d")

    (message,) = warnings()
    assert "slow" in message
    assert "61 s" in message
    assert "'a'" in message
    held.may_end.set()


def test_two_workers_share_the_work(
    okta: EventHook,
    inbox: Inbox,
    inbox_url: str,
    make_worker: WorkerFactory,
    *,
    delivery: DeliveryFactory,
    finished: threading.Semaphore,
) -> None:
    """On PostgreSQL both work, on SQLite one of them; either way each event is handled once."""
    ran: list[tuple[str, str]] = []
    both = threading.Barrier(2)

    @okta.on("*")
    def receiver(sender: Flask, event: Any, **extra: Any) -> None:
        ran.append((event.uuid, threading.current_thread().name))
        if inbox_url.startswith("postgresql") and event.uuid in ("a", "b"):
            both.wait(PATIENCE)

    workers = [make_worker(), make_worker()]
    for worker in workers:
        worker.start()
    inbox.store([delivery("a")])
    inbox.store([delivery("b")])
    inbox.store([delivery(*(f"uuid-{number}" for number in range(30)))])
    await_(finished, 32)

    assert len(ran) == 32
    assert len({uuid for uuid, _ in ran}) == 32


def test_a_standby_takes_over(
    okta: EventHook,
    inbox: Inbox,
    make_worker: WorkerFactory,
    delivery: DeliveryFactory,
    finished: threading.Semaphore,
) -> None:
    """When one worker stops, the other goes on by itself."""
    heard = okta.on("*")(Heard())
    first, second = make_worker(), make_worker()
    first.start()
    inbox.store([delivery("a")])
    await_(finished)
    second.start()
    assert first.stop(PATIENCE)

    inbox.store([delivery("b")])
    await_(finished)

    assert heard.uuids == ["a", "b"]


def test_a_worker_whose_receipts_were_taken_over(
    okta: EventHook,
    inbox: Inbox,
    make_worker: WorkerFactory,
    delivery: DeliveryFactory,
    *,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    hear: Callable[[NamedSignal], list[dict[str, Any]]],
) -> None:
    """What it did after its lease ran out does not count, and is not announced; it says so."""
    done = hear(signals.event_done)
    seen = []

    @okta.on("*", name="a")
    def receiver(sender: Flask, event: Any, **extra: Any) -> None:
        seen.append(event.uuid)
        if len(seen) == 1:
            inbox.free(all_workers=True)

    inbox.store([delivery("a")])

    assert make_worker().drain() == 2

    assert seen == ["a", "a"]
    assert len(done) == 1
    assert "taken over by another worker" in caplog.text
    assert receipts(inbox, "a") == {"a": ("done", 1)}


class Flaky(Inbox):
    """An inbox whose database goes away at a given call, as it does when it is restarted."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.fails: dict[str, int] = {}
        self.failed = threading.Semaphore(0)

    def _may_fail(self, method: str) -> None:
        if self.fails.get(method, 0):
            self.fails[method] -= 1
            self.failed.release()
            raise InboxUnavailable("the database is away")

    def claim(self, *arguments: Any, **options: Any) -> list[Claim]:
        """Claim, and lose the answer."""
        claims = super().claim(*arguments, **options)
        if claims:
            self._may_fail("claim")
        return claims

    def load(self, delivery_id: int) -> tuple[Any, str | None]:
        """Fail to read a delivery."""
        self._may_fail("load")
        return super().load(delivery_id)

    def settle(self, *arguments: Any) -> tuple[list[Settlement], dict[int, str]]:
        """Fail to write down what was done."""
        self._may_fail("settle")
        return super().settle(*arguments)

    def settle_and_claim(
        self, *arguments: Any
    ) -> tuple[list[Settlement], dict[int, str], list[Claim]]:
        """Fail to write down what was done, or do it, claim, and lose the answer."""
        self._may_fail("settle")
        answer = super().settle_and_claim(*arguments)
        if answer[2]:
            self._may_fail("settle_and_claim")
        return answer

    def release(self, *arguments: Any) -> None:
        """Fail to give back."""
        self._may_fail("release")
        super().release(*arguments)

    def fan_out(self, *arguments: Any, **options: Any) -> set[tuple[str, str]]:
        """Fail to hand out."""
        self._may_fail("fan_out")
        return super().fan_out(*arguments, **options)


@pytest.mark.parametrize(
    "fails",
    [
        {"claim": 1},
        {"load": 1},
        {"load": 1, "release": 1},
        {"settle": 1},
        {"fan_out": 1},
        {"fan_out": 1, "claim": 1, "load": 1, "settle": 1},
    ],
    ids=str,
)
def test_a_database_that_goes_away_for_a_moment(
    okta: EventHook,
    inbox: Inbox,
    inbox_url: str,
    clock: Clock,
    *,
    make_worker: WorkerFactory,
    delivery: DeliveryFactory,
    finished: threading.Semaphore,
    fails: dict[str, int],
) -> None:
    """Nothing stays in the hands of a worker that lives, and nothing that has run is run again."""
    heard = okta.on("*", name="a")(Heard())
    inbox.store([delivery("a"), delivery("b"), delivery("c")])
    flaky = Flaky(inbox_url, clock=clock)
    flaky.fails = dict(fails)
    worker = make_worker(flaky)
    # The first load is the fan-out's only for events without a type: these have one.
    worker.start()

    await_(flaky.failed, sum(fails.values()))
    await_(finished, 3)

    assert sorted(heard.uuids) == ["a", "b", "c"]
    assert set(states(inbox).values()) == {"done"}
    assert worker.stop(PATIENCE)
    flaky.close()


def test_a_lost_answer_leaves_nothing_in_hand(
    okta: EventHook,
    inbox: Inbox,
    inbox_url: str,
    clock: Clock,
    make_worker: WorkerFactory,
    delivery: DeliveryFactory,
) -> None:
    """What was settled stays so, and what was claimed with it is found, run, and run once."""
    uuids = [f"uuid-{number}" for number in range(5)]
    ran = threading.Semaphore(0)
    heard: list[str] = []

    @okta.on("*", name="a")
    def hear(sender: Flask, event: Any, **extra: object) -> None:
        heard.append(event.uuid)
        ran.release()

    inbox.store([delivery(*uuids)])
    flaky = Flaky(inbox_url, clock=clock)
    flaky.fails = {"settle_and_claim": 1}
    worker = make_worker(flaky)
    worker.start()

    await_(flaky.failed)
    await_(ran, 5)
    assert worker.stop(PATIENCE)

    assert heard == uuids
    assert set(states(inbox).values()) == {"done"}
    flaky.close()


def test_what_cannot_be_written_down_is_not_run_again_before_the_stop(
    okta: EventHook,
    inbox: Inbox,
    inbox_url: str,
    clock: Clock,
    *,
    make_worker: WorkerFactory,
    delivery: DeliveryFactory,
) -> None:
    """A worker that is told to stop does not wait for ever for a database that is away."""
    heard = okta.on("*", name="a")(Heard())
    inbox.store([delivery("a")])
    flaky = Flaky(inbox_url, clock=clock)
    flaky.fails = {"settle": 10**9}
    worker = make_worker(flaky)
    worker.start()
    await_(flaky.failed)

    assert worker.stop(PATIENCE)

    assert heard.uuids == ["a"]
    assert receipts(inbox, "a") == {"a": ("claimed", 0)}
    flaky.close()


def test_long_bodies_are_not_all_kept(
    okta: EventHook, inbox: Inbox, make_worker: WorkerFactory, delivery: DeliveryFactory
) -> None:
    """Of the deliveries read last some megabytes are kept, not more, and every event is read right."""
    heard = []

    @okta.on("*")
    def receiver(sender: Flask, event: Any, **extra: Any) -> None:
        heard.append((event.uuid, len(event.raw["x"])))

    megabytes = 6 * 1024 * 1024
    for uuid in "abcd":
        event = {"uuid": uuid, "eventType": CREATED, "x": "x" * megabytes}
        inbox.store([delivery(event, {"uuid": uuid * 2, "eventType": CREATED, "x": ""})])
    worker = make_worker()

    worker.drain()

    assert heard == [pair for uuid in "abcd" for pair in ((uuid, megabytes), (uuid * 2, 0))]
