"""The model: several processes over one real inbox, and everything that can happen to them, one step at a time."""

from __future__ import annotations

import contextlib
import json
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, cast

from okta_hooks.exceptions import InboxUnavailable
from okta_hooks.inbox.intake import incoming
from okta_hooks.inbox.selection import Selection
from okta_hooks.inbox.tables import CLAIMED, PENDING
from okta_hooks.inbox.writer import Writer, _Waiting
from okta_hooks.wire import reading
from okta_hooks.wire.events import Delivery

from .processes import FAULTS, HOOK, OUTCOMES, RECEIVERS, Process, Run, Slot
from .reference import Reference
from .rows import Observer
from .simulation import Died, Owner, Task, Violation, World, simulated

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_BEGINNING: Final = datetime(2026, 5, 4, tzinfo=UTC).timestamp()
_MOST_EVENTS: Final = 40
_PROCESSES: Final = 3
_MOST_KILLERS: Final = 2
_TYPES: Final = (
    "user.session.start",
    "user.lifecycle.create",
    "group.user_membership.add",
    "user.session.\0start",  # no column holds it: it is read from the body again
    None,
)
#: How much time passes at once, in seconds.
_TIMES: Final = (0.1, 0.25, 0.25, 1.0, 1.0, 2.5, 5.0, 5.0, 8.0, 12.0, 31.0, 120.0, 3700.0)
_JUMPS: Final = (3600.0, -3600.0, 400 * 86400.0, -400 * 86400.0, 45.0, -5.0)
_LONG_TIMES: Final = (2 * 86400.0, 31 * 86400.0, 101 * 86400.0)
_ROUNDS_TO_END: Final = 250
_STEPS_OF_ROUND: Final = 5000
#: By the real clock: what takes long here is the model's to say.
_SECONDS_TO_STORE: Final = 600.0


class _Listener(logging.Handler):
    """Hears of errors that the package has not expected: it goes on after them, but they are faults."""

    def __init__(self, model: Model) -> None:
        super().__init__(logging.ERROR)
        self._model = model

    def emit(self, record: logging.LogRecord) -> None:
        """Take note of a record."""
        if "pass of" in record.msg or "could not be sent" in record.msg:
            error = record.exc_info[1] if record.exc_info else None
            if not isinstance(error, Died) and error is not None:
                self._model.world.blame(f"{record.getMessage()} {error!r}", error)


class Bench:
    """One database with the slots for processes over it: models use it one after another."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.model: Model | None = None
        self.observer: Observer | None = None
        self.slots: list[Slot] = []

    def open(self, model: Model) -> None:
        """Make what is slow to make, once, and give it to a model."""
        self.model = model
        if not self.slots:
            proxy = cast("Model", _Current(self))
            self.slots = [Slot(proxy, self.url, number) for number in range(_PROCESSES + 1)]
            self.observer = Observer(self.url)
        assert self.observer is not None
        self.observer.forget()
        for slot in self.slots:
            slot.process = None
            slot.fault = None
            slot.is_cut_off = False
            slot.offset = 0.0
            slot.offsets = []
            slot.handlers_raise = OUTCOMES[0]
            for name in RECEIVERS:
                slot.connect(name, is_connected=True)

    def close(self) -> None:
        """Let go of the database."""
        for slot in self.slots:
            slot.close()
        if self.observer is not None:
            self.observer.close()


class _Current:
    """Stands for the model that uses a bench now."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bench.model, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "_bench":
            super().__setattr__(name, value)
        else:
            setattr(self._bench.model, name, value)


class Model:
    """One history. Each rule is a method that takes numbers, and does nothing where it does not apply.

    :param bench: The database.
    """

    def __init__(self, bench: Bench) -> None:
        self.world = World()
        self.reference = Reference(self)
        self.time_of_day = self.latest_time = _BEGINNING
        self.is_calm = False
        self.was_lock_removed = False
        self.did_server_jump = False
        self.server_offset = 0.0
        self.faults_happened = 0
        self.steps = 0
        self.dying: list[Owner] = []
        self.killers: set[tuple[str, str]] = set()
        self._looks = 0
        self._delivered: list[str] = []
        self._stack = contextlib.ExitStack()
        self._stack.enter_context(simulated(self.world))
        self._listener = _Listener(self)
        package = logging.getLogger("okta_hooks")
        level, propagates = package.level, package.propagate
        package.setLevel(logging.ERROR)
        package.propagate = False
        package.addHandler(self._listener)
        self._stack.callback(package.removeHandler, self._listener)
        self._stack.callback(package.setLevel, level)
        self._stack.callback(setattr, package, "propagate", propagates)
        self._bench = bench
        bench.open(self)
        assert bench.observer is not None
        self._observer = bench.observer
        self.slots = bench.slots[:_PROCESSES]
        self._operator_slot = bench.slots[_PROCESSES]
        self._operator = Owner()
        self.world.owners.append(self._operator)

    def close(self) -> None:
        """End every process."""
        for owner in list(self.world.owners):
            self._end(owner)
        self._stack.close()

    # What the parts ask.

    def database_clock(self) -> float:
        """Return the time of day of the database's server; never twice the same, as a real one."""
        self._looks += 1
        return self.time_of_day + self.server_offset + self._looks * 1e-6

    def earliest_time(self) -> float:
        """Return the time of day of the host whose clock is most behind."""
        return self.time_of_day + min(slot.offset for slot in self.slots)

    def observe(self, slot: Slot) -> None:
        """Look at what a transaction has changed."""
        current = self.world.current
        self.reference.observe(slot, self._observer.look(), current.notes if current else {})

    # Rules.

    def step(self, pick: int) -> None:
        """Let a thread go on; if none can, let time pass until one can."""
        if all(slot.process is None for slot in self.slots):
            self.start(pick)
        ready = self.world.ready()
        if not ready:
            wakes_at = self.world.next_wake()
            if wakes_at is None:
                return
            self._pass(max(wakes_at - self.world.now, 0.0))
            ready = self.world.ready()
        self._run(ready[pick % len(ready)])

    def start(self, host: int) -> None:
        """Start a process where there is none."""
        slot = self.slots[host % len(self.slots)]
        if slot.process is None:
            process = Process(self, slot)
            self.reference.processes[process.worker.id] = process

    def deliver(self, host: int, size: int, kind: int, known: int) -> None:
        """Let Okta deliver some events, of which one may be known already."""
        process = self._process(host)
        if process is None or len(self.reference.rows.events) + size > _MOST_EVENTS:
            return
        keys = [f"e{len(self._delivered) + number}" for number in range(1 + size)]
        if self._delivered and known:
            keys[-1] = self._delivered[-(known % len(self._delivered)) - 1]
        self._delivered += [key for key in keys if key not in self._delivered]
        events = []
        for number, key in enumerate(keys):
            event_type = _TYPES[(kind + number) % len(_TYPES)]
            typed = {} if event_type is None else {"eventType": event_type}
            events.append({"uuid": key, **typed})
        envelope = reading.load_delivery(json.dumps({"data": {"events": events}}).encode())
        received = datetime.fromtimestamp(process.slot.clock(), UTC)
        delivery = Delivery(event_id=None, source=None, via="hook", received_at=received)
        new = incoming(HOOK, envelope, delivery)
        writer = Writer(process.slot.inbox, lambda: None)
        waiting = _Waiting(new, _SECONDS_TO_STORE)

        def receive() -> None:
            for _ in range(2):  # as Okta does after a 503
                try:
                    writer._store([waiting])  # what its thread does for a request
                except InboxUnavailable:
                    continue
                self.reference.acknowledge(keys)
                process.worker.wake()
                return

        Task(self.world, process, receive, name="request")

    def finish(self, pick: int, outcome: int) -> None:
        """Let a receiver that runs return, or raise something."""
        runs = [run for run in self._runs() if not run.has_ended]
        if runs:
            run = runs[pick % len(runs)]
            run.outcome = OUTCOMES[outcome % len(OUTCOMES)]()
            run.has_ended = True
            run.task.is_ready = True

    def pass_time(self, index: int) -> None:
        """Let time pass: what waits for it is late, if it is long."""
        self._pass(_TIMES[index % len(_TIMES)])

    def sleep_long(self, index: int) -> None:
        """Let days pass in which no process runs."""
        self._pass(_LONG_TIMES[index % len(_LONG_TIMES)])

    def jump(self, host: int, index: int) -> None:
        """Set the clock of a host, or that of the database's server; on SQLite all are one host."""
        seconds = _JUMPS[index % len(_JUMPS)]
        is_one_host = self.slots[0].inbox.path is not None
        number = host % (len(self.slots) + 1)
        if number == len(self.slots) and not is_one_host:
            self.server_offset += seconds
            self.did_server_jump = True
            return
        for slot in self._bench.slots:
            if is_one_host or slot.number == number:
                slot.offsets.append((self.world.now, slot.offset))
                slot.offset += seconds
        self._note_time()

    def fail(self, host: int, kind: int) -> None:
        """Let something happen to the next use of the database."""
        process = self._process(host)
        if process is not None:
            process.slot.fault = FAULTS[kind % len(FAULTS)]

    def cut_off(self, host: int) -> None:
        """Take the database away from a process, or give it back."""
        slot = self.slots[host % len(self.slots)]
        slot.is_cut_off = not slot.is_cut_off

    def die(self, host: int) -> None:
        """Kill a process, wherever it is."""
        process = self._process(host)
        if process is not None:
            self._end(process)

    def poison(self, pick: int, receiver: int) -> None:
        """Let an event kill the process whenever one of its receivers runs."""
        if self._delivered and len(self.killers) < _MOST_KILLERS:
            name = list(RECEIVERS)[receiver % len(RECEIVERS)]
            self.killers.add((name, self._delivered[-(pick % 3) - 1 :][0]))

    def stop(self, host: int) -> None:
        """Ask a process to stop; the second time, to do it at once."""
        process = self._process(host)
        if process is None:
            return
        if process.is_stopping and not process.is_abandoning:
            process.abandon()
        else:
            process.stop()

    def freeze(self, host: int) -> None:
        """Suspend a process, or let it go on."""
        process = self._process(host)
        if process is not None:
            process.is_frozen = not process.is_frozen

    def change_receiver(self, host: int, index: int) -> None:
        """Let a receiver come, or go."""
        slot = self.slots[host % len(self.slots)]
        name = list(RECEIVERS)[index % len(RECEIVERS)]
        slot.connect(name, is_connected=not slot.connected[name])

    def change_handlers(self, host: int, outcome: int) -> None:
        """Let the handlers of the service's signals raise something else."""
        slot = self.slots[host % len(self.slots)]
        slot.handlers_raise = OUTCOMES[outcome % len(OUTCOMES)]

    def remove_lock(self) -> None:
        """Delete the file whose lock says which process leads, as somebody who tidies up."""
        path = self.slots[0].inbox.path
        if path is not None:
            path.with_name(f"{path.name}.lock").unlink(missing_ok=True)
            self.was_lock_removed = True

    def replay(self, pick: int, receiver: int) -> None:
        """Send an event to its receivers again, or to one of them."""
        if not self._delivered:
            return
        uuid = self._delivered[pick % len(self._delivered)]
        name = [None, None, *RECEIVERS][receiver % (2 + len(RECEIVERS))]
        upkeep = self._operator_slot.inbox.upkeep
        chosen = Selection(uuids=(uuid,))
        self._operate("replay", lambda: upkeep.replay(chosen, receiver=name))

    def prune_dead(self) -> None:
        """Delete the dead letters of more than an hour ago."""
        upkeep = self._operator_slot.inbox.upkeep
        before = self._operator_slot.clock() - 3600
        self._operate("prune dead", lambda: upkeep.prune_dead(before=before))

    # The end.

    def settle_down(self) -> None:
        """Let all faults end and time pass, and check that everything is done or dead after that."""
        self.is_calm = True
        for slot in self.slots:
            slot.is_cut_off = False
            slot.fault = None
            slot.handlers_raise = OUTCOMES[0]
            for name in RECEIVERS:
                slot.connect(name, is_connected=True)
            if slot.process is not None:
                slot.process.is_frozen = False
        for run in self._runs():
            run.has_ended = True
            run.task.is_ready = True
        if all(slot.process is None or slot.process.is_stopping for slot in self.slots):
            free = next((s.number for s in self.slots if s.process is None), None)
            if free is not None:
                self.start(free)
        for number in range(_ROUNDS_TO_END):
            self._run_all()
            if not self._is_open():
                break
            if all(slot.process is None for slot in self.slots):
                self.start(0)
            self._pass(self._time_to_pass(number))
        else:
            rows = self.reference.rows
            left = [r for r in rows.receipts.values() if r.state in (PENDING, CLAIMED)]
            waiting = [e for e in rows.events.values() if e.state == PENDING]
            raise Violation(f"it never comes to an end: {left} {waiting}")
        self.reference.check_acknowledged()
        self.is_calm = False

    def _time_to_pass(self, number: int) -> float:
        """Return five seconds at first: then, if all that is left waits, as long as that does."""
        rows = self.reference.rows
        left = [r for r in rows.receipts.values() if r.state in (PENDING, CLAIMED)]
        waits = all(r.state == PENDING for r in left)
        is_left = any(e.state == PENDING for e in rows.events.values())
        if number < 25 or not waits or is_left:  # two minutes
            return 5.0
        due = min(r.due for r in left) - self.earliest_time()
        return 5.0 if number % 15 else max(5.0, due + 1.0)

    def _is_open(self) -> bool:
        states = {event.state for event in self.reference.rows.events.values()}
        return PENDING in states or CLAIMED in states

    def _run_all(self) -> None:
        """Let everybody go on until all wait for time."""
        for _ in range(_STEPS_OF_ROUND):
            ready = self.world.ready()
            if not ready:
                return
            for task in ready:
                if not task.has_ended and not task.owner.is_dead:
                    self._run(task)
                    self.steps += 1
        raise Violation("what runs does not come to rest")

    # How.

    def check(self) -> None:
        """Raise what was found, wherever that was."""
        if self.world.violation is not None:
            raise self.world.violation

    def _run(self, task: Task) -> None:
        self.world.run(task)
        while self.dying:
            self._end(self.dying.pop())
        self.check()

    def _end(self, owner: Owner) -> None:
        if isinstance(owner, Process):
            owner.ran_at_death = tuple(owner.runs)
        self.world.kill(owner)
        if isinstance(owner, Process):
            owner.release_lock()
            owner.runs.clear()
            if owner.slot.process is owner:
                owner.slot.process = None
                owner.slot.fault = None
            for name, is_connected in owner.slot.connected.items():
                if is_connected:
                    self.reference.connected_at[name] = self.world.now

    def _pass(self, seconds: float) -> None:
        self.world.now += seconds
        self.time_of_day += seconds
        self._note_time()

    def _note_time(self) -> None:
        here = self.time_of_day + max(slot.offset for slot in self.slots)
        self.latest_time = max(self.latest_time, here)

    def _process(self, host: int) -> Process | None:
        there = [slot.process for slot in self.slots if slot.process is not None]
        return there[host % len(there)] if there else None

    def _runs(self) -> Sequence[Run]:
        return [run for slot in self.slots if slot.process is not None for run in slot.process.runs]

    def _operate(self, operation: str, act: Callable[[], object]) -> None:
        if self._operator.tasks:
            return

        def operate() -> None:
            with contextlib.suppress(InboxUnavailable):
                act()

        Task(self.world, self._operator, operate, name=operation).notes["operation"] = operation
