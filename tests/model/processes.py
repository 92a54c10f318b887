"""Simulated processes: a worker with an inbox of its own, and what can happen to each use of the database."""

from __future__ import annotations

import asyncio
import os
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from flask import Flask

from okta_hooks import EventHook, Reject, RetryLater, signals
from okta_hooks.exceptions import InboxUnavailable
from okta_hooks.inbox import Inbox
from okta_hooks.inbox.database import SECONDS
from okta_hooks.work.worker import Worker

from .simulation import Died, Event, Owner, Task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import sqlalchemy as sa

    from okta_hooks.inbox.claims import Claim, Settlement
    from okta_hooks.inbox.database import Exchange, Statement

    from .model import Model
    from .reference import Hold

MAX_ATTEMPTS: Final = 3
RETENTION: Final = timedelta(days=30)
#: How long the keys of done events stay, in seconds.
KEYS_KEPT: Final = 100 * 86400.0
HOOK: Final = "okta"
#: The receivers that come and go: their patterns, and what they ask for.
RECEIVERS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "one": ("*", {}),
    "two": ("user.*", {"concurrency": 2}),
    "timed": ("user.session.*", {"timeout": 20.0}),
}

#: What may happen to the next transaction, or reading, of a process.
FAULTS: Final = (
    "refused",  # the database is away
    "lost before",  # the connection breaks before the commit
    "lost after",  # the connection breaks after the commit, and nobody hears of it
    "silent before",  # nothing comes until the deadline, and nothing was committed
    "silent after",  # nothing comes until the deadline, but it was committed
    "late",  # it takes almost all its time
    "impossible",  # the database refuses this for good
    "dies before",  # the process dies before the commit
    "dies after",  # the process dies after the commit
)
#: What has nothing to do with a commit, and may happen to a reading.
_OF_READING: Final = frozenset({"refused", "silent before", "late"})


class _Bare(RetryLater):
    """Has nothing of what its base has."""

    def __init__(self) -> None:
        Exception.__init__(self)


class _Asked(RetryLater):
    """Asks for anything."""

    def __init__(self, seconds: Any) -> None:
        Exception.__init__(self)
        self.seconds = seconds


class _Mute(Exception):
    """Cannot say what it is."""

    def __str__(self) -> str:
        raise SystemExit


class _Exit(BaseException):
    """What a greenlet ends by is no exception of the usual kind either."""


#: How a run may end.
OUTCOMES: Final[tuple[Callable[[], BaseException | None], ...]] = (
    lambda: None,
    lambda: None,
    lambda: None,
    lambda: OSError("away"),
    lambda: OSError("away"),
    lambda: Reject("never"),
    lambda: RetryLater(0),
    lambda: RetryLater(60),
    lambda: _Asked(float("nan")),
    lambda: _Asked(float("inf")),
    lambda: _Asked(1e308),
    lambda: _Asked(-1e308),
    lambda: _Asked("soon"),
    _Bare,
    _Mute,
    _Exit,
    asyncio.CancelledError,
    lambda: SystemExit(1),
    lambda: UnicodeError("\ud800 and \0"),
)


@dataclass(eq=False)
class Run:
    """A call of a receiver that goes on."""

    process: Process
    receiver: str
    key: str
    task: Task
    hold: Hold | None
    outcome: BaseException | None = None
    has_ended: bool = False


class Slot:
    """A host for processes, one after another: connections, an app, and a hook with receivers.

    To make these anew for each process would take longer than everything else.
    """

    def __init__(self, simulation: Model, url: str, number: int) -> None:
        self.number = number
        self.simulation = simulation
        self.process: Process | None = None
        #: What happens to the next use of the database, if it is anything.
        self.fault: str | None = None
        #: Whether every use of the database is refused.
        self.is_cut_off = False
        #: By how much the clock of the host is wrong.
        self.offset = 0.0
        #: What that was before, and until when.
        self.offsets: list[tuple[float, float]] = []
        #: What the handlers of the service's signals raise.
        self.handlers_raise: Callable[[], BaseException | None] = OUTCOMES[0]
        self.inbox = Inbox(url, clock=self.clock, elapsed=lambda: simulation.world.now)
        self.inbox.open()
        self._database = self.inbox.database
        self._real_transaction = self._database.transaction
        self._real_reading = self._database.reading
        self._database.transaction = self._transaction  # type: ignore[method-assign]
        self._database.reading = self._reading  # type: ignore[method-assign]
        if self.inbox.path is None:
            # That of SQLite uses `transaction`.
            self._real_exchange = self._database.exchange
            self._database.exchange = self._exchange  # type: ignore[method-assign]
            # The server's clock is the model's, too.
            self._database.now = (  # type: ignore[method-assign]
                lambda clock: simulation.database_clock()
            )
        self._watch_claims()
        self.app = Flask(f"host {number}")
        self.okta = EventHook(HOOK)
        self.calls: dict[str, Any] = {}
        self.connected: dict[str, bool] = {}
        for name, (pattern, options) in RECEIVERS.items():
            self.calls[name] = self.okta.on(pattern, name=name, **options)(self._receiver(name))
            self.connected[name] = True
        for signal in (
            signals.receiver_done,
            signals.receiver_failed,
            signals.event_done,
            signals.event_dead,
        ):
            signal.connect(self._handle, sender=self.app)

    def clock(self) -> float:
        """Return the time of day, as the host of this slot has it."""
        return self.simulation.time_of_day + self.offset

    def offset_at(self, moment: float) -> float:
        """Return by how much the clock was wrong at a moment."""
        return next((offset for until, offset in self.offsets if until > moment), self.offset)

    def close(self) -> None:
        """Let go of the database."""
        self.inbox.close()

    def connect(self, name: str, *, is_connected: bool) -> None:
        """Let a receiver come or go."""
        if self.connected[name] == is_connected:
            return
        self.connected[name] = is_connected
        signal = self.okta.receivers.signal(RECEIVERS[name][0])
        if is_connected:
            signal.connect(self.calls[name], weak=False)
        else:
            signal.disconnect(self.calls[name])
            self.simulation.reference.connected_at[name] = self.simulation.world.now

    def _receiver(self, name: str) -> Callable[..., None]:
        def receive(_: Flask, *, event: Any, **__: Any) -> None:
            process = self.process
            if process is None or process.is_dead:
                raise Died
            process.receive(name, event.uuid)

        return receive

    def _handle(self, _: Flask, **__: Any) -> None:
        if self.process is None or self.process.is_dead:
            raise Died
        error = self.handlers_raise()
        if error is not None:
            raise error

    def _watch_claims(self) -> None:
        """Note which claim of the model's is behind each of the package's, and what is being settled."""
        claims = self.inbox.claims
        claim, settle, both = claims.claim, claims.settle, claims.settle_and_claim
        simulation = self.simulation

        def note_settling(settlements: Sequence[Settlement]) -> None:
            assert simulation.world.current is not None
            simulation.world.current.notes["settling"] = settlements

        def watched_claim(*arguments: Any, **options: Any) -> list[Claim]:
            found = claim(*arguments, **options)
            simulation.reference.note_claims(found)
            return found

        def watched_settle(worker_id: str, settlements: Sequence[Settlement]) -> Any:
            note_settling(settlements)
            return settle(worker_id, settlements)

        def watched_both(
            worker_id: str, settlements: Sequence[Settlement], *arguments: Any, **options: Any
        ) -> Any:
            note_settling(settlements)
            found = both(worker_id, settlements, *arguments, **options)
            simulation.reference.note_claims(found[2])
            return found

        claims.claim = watched_claim  # type: ignore[method-assign]
        claims.settle = watched_settle  # type: ignore[method-assign]
        claims.settle_and_claim = watched_both  # type: ignore[method-assign]

    def _enter(self, *, reads: bool) -> str | None:
        world = self.simulation.world
        world.pause()
        if self.is_cut_off:
            raise InboxUnavailable("the database is away", is_transient=True)
        if reads and self.fault not in _OF_READING:
            return None
        fault, self.fault = self.fault, None
        if fault is not None:
            self.simulation.faults_happened += 1
        if fault == "refused":
            raise InboxUnavailable("the database is away", is_transient=True)
        if fault == "silent before":
            self._wait(SECONDS)
            raise self._lost()
        if fault == "late":
            self._wait(SECONDS - 0.5)
        return fault

    def _wait(self, seconds: float) -> None:
        if self.simulation.world.current is not None:
            self.simulation.world.park(seconds)

    def _lost(self) -> InboxUnavailable:
        self._database._drop(self._database.generation)  # as where a connection is lost
        return InboxUnavailable("the connection was lost", is_transient=True, connection_lost=True)

    def die(self) -> Died:
        """Let the process end here; return what to raise."""
        world = self.simulation.world
        if world.current is not None:
            self.simulation.dying.append(world.current.owner)
            world.current.owner.is_dead = True
        return Died()

    @contextmanager
    def _transaction(self, **options: Any) -> Iterator[sa.Connection]:
        fault = self._enter(reads=False)
        with self._real_transaction(**options) as connection:
            yield connection
            if fault == "lost before":
                # Its server ends such a transaction sooner or later: here at once, or a seed would not suffice.
                connection.rollback()
                connection.invalidate()
                raise self._lost()
            if fault == "impossible":
                raise InboxUnavailable("the database does not take this", is_transient=False)
            if fault == "dies before":
                raise self.die()
        self._after(fault)

    @contextmanager
    def _exchange(self, **options: Any) -> Iterator[Exchange]:
        fault = self._enter(reads=False)

        def before() -> None:
            # Whoever gets this ends the transaction.
            if fault == "lost before":
                raise self._lost()
            if fault == "impossible":
                raise InboxUnavailable("the database does not take this", is_transient=False)
            if fault == "dies before":
                raise self.die()

        with self._real_exchange(**options) as exchange:
            yield _Finishing(exchange, before)
        self._after(fault)

    def _after(self, fault: str | None) -> None:
        """Let happen what happens when a transaction was committed."""
        self.simulation.observe(self)
        if fault == "dies after":
            raise self.die()
        if fault == "silent after":
            self._wait(SECONDS)
        if fault in ("lost after", "silent after"):
            raise self._lost()

    @contextmanager
    def _reading(self, **options: Any) -> Iterator[sa.Connection]:
        self._enter(reads=True)
        with self._real_reading(**options) as connection:
            yield connection


class _Finishing:
    """An exchange before whose end something happens."""

    def __init__(self, exchange: Exchange, before: Callable[[], None]) -> None:
        self._exchange = exchange
        self._before = before
        self.changed = 0

    def run(self, *statements: Statement) -> list[list[Any]]:
        found = self._exchange.run(*statements)
        self.changed = self._exchange.changed
        return found

    def finish(self, *statements: Statement) -> list[list[Any]]:
        self._before()
        return self._exchange.finish(*statements)


class Process(Owner):
    """A process with a worker."""

    def __init__(self, simulation: Model, slot: Slot) -> None:
        super().__init__()
        self.simulation = simulation
        self.slot = slot
        self.started_at = simulation.world.now
        self.is_abandoning = False
        self.runs: list[Run] = []
        #: What was running when it died.
        self.ran_at_death: tuple[Run, ...] = ()
        slot.process = self
        slot.fault = None
        simulation.world.owners.append(self)
        self.worker = Worker(
            slot.app,
            {HOOK: slot.okta},
            slot.inbox,
            max_attempts=MAX_ATTEMPTS,
            retention=RETENTION,
            jitter=lambda: 0.5,
        )
        resources = self.worker._resources  # made before anybody could say what an event is
        resources.stopping = self.worker.stopping = Event()  # type: ignore[assignment]
        lease: Any = self.worker.lease
        if slot.inbox.path is not None:
            lease._held = set()  # each process has its own
        self._watch_attempts()
        self._watch_pruning()
        self._watch_beats()
        Task(simulation.world, self, self._work, name="worker")

    @property
    def is_stopping(self) -> bool:
        """Whether it was asked to stop."""
        return self.worker.stopping.is_set()

    def _work(self) -> None:
        self.worker.run()
        self.simulation.dying.append(self)

    def _watch_attempts(self) -> None:
        """Note which claim each thread attempts."""
        make = self.worker._lane
        world = self.simulation.world

        def lane(key: tuple[str, str]) -> Any:
            found: Any = make(key)
            if "_attempt" not in vars(found):
                attempt = found._attempt

                def watched(receiver: Any, claim: Claim) -> Any:
                    assert world.current is not None
                    world.current.notes["claim"] = claim
                    return attempt(receiver, claim)

                found._attempt = watched
            return found

        self.worker._lane = lane  # type: ignore[method-assign]
        fan_out = self.worker._fan_out
        assign = fan_out.assign
        # A set of texts has another order in each run of Python.
        fan_out.assign = (  # type: ignore[method-assign]
            lambda connected: dict.fromkeys(sorted(assign(connected)))  # type: ignore[assignment,return-value]
        )

    def _watch_beats(self) -> None:
        """Note when a heartbeat is written: it may wait for its commit, and clocks be set meanwhile."""
        workers: Any = self.slot.inbox.workers
        # Of its class: as below.
        beat = partial(type(workers).beat, workers)
        world = self.simulation.world

        def watched(*given: Any) -> None:
            assert world.current is not None
            world.current.notes["beats_at"] = world.now
            beat(*given)

        workers.beat = watched

    def _watch_pruning(self) -> None:
        """Note by which time a thread prunes, and by how much that is wrong."""
        upkeep: Any = self.slot.inbox.upkeep
        # Of its class: an inbox outlives a history, and may have been watched in one before.
        prune = partial(type(upkeep).prune, upkeep)
        world = self.simulation.world

        def watched(*, bodies_before: float, keys_before: float) -> Any:
            assert world.current is not None
            time = keys_before + KEYS_KEPT
            world.current.notes["prunes_by"] = time, time - self.simulation.time_of_day
            return prune(bodies_before=bodies_before, keys_before=keys_before)

        upkeep.prune = watched

    def begin_attempt(self) -> None:
        """Check that the worker of the current task may call a receiver now."""
        task = self.simulation.world.current
        assert task is not None
        self.simulation.reference.attempt(self, task.notes["claim"])

    def receive(self, name: str, key: str) -> None:
        """Be a receiver: run until the model ends it."""
        simulation = self.simulation
        task = simulation.world.current
        assert task is not None
        run = Run(self, name, key, task, simulation.reference.hold_of(task.notes["claim"]))
        simulation.reference.begin(run)
        if (name, key) in simulation.killers and not simulation.is_calm:
            raise self.slot.die()
        self.runs.append(run)
        try:
            while not run.has_ended and not simulation.is_calm:
                simulation.world.park()
        finally:
            self.runs.remove(run)
            if not self.is_dead:
                run.has_ended = True
        simulation.reference.end(run)
        if run.outcome is not None:
            raise run.outcome

    def stop(self) -> None:
        """Ask it to stop, as a signal does."""
        self.worker.stopping.set()
        self.worker.wake()

    def abandon(self) -> None:
        """Tell it to end at once, as a second signal does."""
        self.is_abandoning = True

        def end() -> None:
            self.worker.abandon()
            self.simulation.dying.append(self)

        Task(self.simulation.world, self, end, name="abandon")

    def release_lock(self) -> None:
        """Do what the system does with the locks of a process that has ended."""
        lease: Any = self.worker.lease
        file = getattr(lease, "_file", None)
        if file is not None:
            os.close(file)
            lease._file = None
