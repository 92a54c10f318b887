"""Threads, locks and time for code that the model runs: nothing happens until the model lets it.

Each thread of the package is a greenlet here. One runs at a time, from one point where it waits, or uses
the database, to the next; which one is next, and what time it is then, is decided outside.
"""

from __future__ import annotations

import contextlib
import os
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar, Self
from unittest import mock

import greenlet

from okta_hooks import host_code, outage
from okta_hooks.work import (
    alone,
    bodies,
    dispatch,
    fan_out,
    in_hand,
    lane,
    lease,
    member,
    resources,
    worker,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Died(BaseException):
    """Raised in whatever runs in a process that was killed, wherever it waits."""


class Violation(AssertionError):
    """Something that must not happen has happened."""


class Task:
    """A thread of a simulated process. It has those methods of ``threading.Thread`` that the package uses."""

    def __init__(
        self, world: World, owner: Owner, target: Callable[..., Any], *arguments: Any, name: str
    ) -> None:
        self.owner = owner
        self.name = name
        self.is_ready = True
        self.wakes_at: float | None = None
        self.has_ended = False
        #: What the model knows of what runs here.
        self.notes: dict[str, Any] = dict(world.current.notes) if world.current else {}
        self._world = world
        self._number = world.number()
        self._call = target, arguments
        self.greenlet = greenlet.greenlet(self._run, parent=world.driver)
        owner.tasks.append(self)

    def _run(self) -> None:
        target, arguments = self._call
        try:
            if not self.owner.is_dead:
                target(*arguments)
        except Died:
            pass
        except BaseException as error:  # noqa: BLE001 - a thread that ends by an error is what the model looks for
            self._world.blame(f"{self.name} ended by {error!r}", error)
        finally:
            self.has_ended = True

    def __hash__(self) -> int:
        # Sets of tasks have the same order each time.
        return self._number

    def __eq__(self, other: object) -> bool:
        return self is other

    def is_alive(self) -> bool:
        """Return whether it has not ended."""
        return not self.has_ended

    def join(self, timeout: float | None = None) -> None:
        """Wait until it has ended."""
        until = None if timeout is None else self._world.now + timeout
        while not self.has_ended and (until is None or self._world.now < until):
            # The end of a task wakes nobody: who waits looks again when it is let.
            self._world.park(0.05 if until is None else min(0.05, until - self._world.now))


class Owner:
    """What a task belongs to: a process."""

    def __init__(self) -> None:
        self.tasks: list[Task] = []
        self.is_dead = False
        self.is_frozen = False

    def begin_attempt(self) -> None:
        """Take note that the current task is about to call a receiver."""


class World:
    """The time that passes, and the tasks that wait."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.driver = greenlet.getcurrent()
        self.current: Task | None = None
        self.owners: list[Owner] = []
        self.violation: Violation | None = None
        self._tasks = 0

    def number(self) -> int:
        """Return how many tasks there have been."""
        self._tasks += 1
        return self._tasks

    def blame(self, text: str, cause: BaseException | None = None) -> None:
        """Remember a violation: what runs in a task may swallow any exception."""
        if self.violation is None:
            self.violation = cause if isinstance(cause, Violation) else Violation(text)
            self.violation.__cause__ = cause if cause is not self.violation else None

    def ready(self) -> list[Task]:
        """Return the tasks that can go on now."""
        return [
            task
            for owner in self.owners
            if not owner.is_frozen
            for task in owner.tasks
            if task.is_ready or (task.wakes_at is not None and task.wakes_at <= self.now)
        ]

    def next_wake(self) -> float | None:
        """Return when the next task that only waits for time can go on."""
        times = [
            task.wakes_at
            for owner in self.owners
            if not owner.is_frozen
            for task in owner.tasks
            if task.wakes_at is not None
        ]
        return min(times, default=None)

    def run(self, task: Task) -> None:
        """Let a task go on to the next point where it waits."""
        task.is_ready = False
        task.wakes_at = None
        self.current = task
        try:
            task.greenlet.switch()
        finally:
            self.current = None
        if task.has_ended:
            task.owner.tasks.remove(task)

    def kill(self, owner: Owner) -> None:
        """End every task of a process; nothing of it reaches the database any more."""
        owner.is_dead = True
        for task in list(owner.tasks):
            for _ in range(100):
                if task.has_ended or not task.greenlet:
                    break
                self.current = task
                try:
                    task.greenlet.throw(Died)
                finally:
                    self.current = None
            else:
                raise AssertionError(f"{task.name} does not end")
            task.has_ended = True
        owner.tasks.clear()
        if owner in self.owners:
            self.owners.remove(owner)

    def pause(self) -> None:
        """Let others go on first, if the model wants."""
        task = self.current
        if task is None:
            return
        if task.owner.is_dead:
            raise Died
        task.is_ready = True
        self.driver.switch()
        if task.owner.is_dead:
            raise Died

    def park(self, seconds: float | None = None) -> None:
        """Wait until somebody makes the task ready, or so many seconds have passed."""
        task = self.current
        if task is None:
            raise AssertionError("what the model does itself must not wait")
        if task.owner.is_dead:
            raise Died
        task.wakes_at = None if seconds is None else self.now + max(seconds, 0.0)
        self.driver.switch()
        if task.owner.is_dead:
            raise Died

    def park_among(self, waiting: list[Task]) -> None:
        """Wait as one of several, until somebody makes the task ready."""
        task = self.current
        assert task is not None
        waiting.append(task)
        try:
            self.park()
        finally:
            waiting.remove(task)


_world: list[World] = []


def _here() -> World:
    return _world[-1]


class Event:
    """As ``threading.Event``."""

    def __init__(self) -> None:
        self._is_set = False
        self._waiting: list[Task] = []

    def is_set(self) -> bool:
        """Return whether it is set."""
        return self._is_set

    def set(self) -> None:
        """Let everybody go on who waits."""
        self._is_set = True
        for task in self._waiting:
            task.is_ready = True

    def clear(self) -> None:
        """Let who comes wait."""
        self._is_set = False

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set."""
        world = _here()
        until = None if timeout is None else world.now + timeout
        while not self._is_set and (until is None or world.now < until):
            task = world.current
            assert task is not None
            self._waiting.append(task)
            try:
                world.park(None if until is None else until - world.now)
            finally:
                self._waiting.remove(task)
        return self._is_set


class Lock:
    """As ``threading.Lock``."""

    def __init__(self) -> None:
        self._holder: Task | object | None = None
        self._waiting: list[Task] = []

    def acquire(self) -> bool:
        """Wait until nobody has it."""
        world = _here()
        while self._holder is not None:
            world.park_among(self._waiting)
        self._holder = world.current or self
        return True

    def release(self) -> None:
        """Let somebody else have it."""
        self._holder = None
        for task in self._waiting:
            task.is_ready = True

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class Condition:
    """As ``threading.Condition``."""

    def __init__(self, lock: Lock | None = None) -> None:
        self._lock = lock or Lock()
        self._waiting: list[tuple[Task, list[bool]]] = []

    def __enter__(self) -> Self:
        self._lock.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait to be notified."""
        world = _here()
        task = world.current
        assert task is not None
        mine: tuple[Task, list[bool]] = (task, [])
        self._waiting.append(mine)
        self._lock.release()
        until = None if timeout is None else world.now + timeout
        try:
            while not mine[1] and (until is None or world.now < until):
                world.park(None if until is None else until - world.now)
        finally:
            if mine in self._waiting:
                self._waiting.remove(mine)
            if not task.owner.is_dead:
                self._lock.acquire()
        return bool(mine[1])

    def wait_for(self, predicate: Callable[[], Any], timeout: float | None = None) -> Any:
        """Wait until something is so."""
        world = _here()
        until = None if timeout is None else world.now + timeout
        while not (found := predicate()):
            if until is not None and world.now >= until:
                break
            self.wait(None if until is None else until - world.now)
        return found

    def notify(self, number: int = 1) -> None:
        """Let so many go on who wait."""
        for task, was_notified in self._waiting[:number]:
            was_notified.append(True)
            task.is_ready = True
        del self._waiting[:number]

    def notify_all(self) -> None:
        """Let all go on."""
        self.notify(len(self._waiting))


class Semaphore:
    """As ``threading.Semaphore``."""

    def __init__(self, number: int) -> None:
        self._left = number
        self._waiting: list[Task] = []

    def __enter__(self) -> None:
        world = _here()
        while not self._left:
            world.park_among(self._waiting)
        self._left -= 1

    def __exit__(self, *_: object) -> None:
        self._left += 1
        for task in self._waiting:
            task.is_ready = True


def _start(target: Callable[..., Any], *arguments: Any, name: str) -> Task:
    world = _here()
    assert world.current is not None
    return Task(world, world.current.owner, target, *arguments, name=name)


def _run(*given: Any, **named: Any) -> BaseException | None:
    task = _here().current
    assert task is not None
    task.owner.begin_attempt()
    return _RUN(*given, **named)


_RUN = dispatch.run
_THREADING = SimpleNamespace(
    Event=Event,
    Lock=Lock,
    Condition=Condition,
    Semaphore=Semaphore,
    get_ident=lambda: id(_here().current),
    current_thread=lambda: _here().current,
    main_thread=lambda: None,
)
_TIME = SimpleNamespace(monotonic=lambda: _here().now, sleep=lambda seconds: _here().park(seconds))


class _Locks:
    """``fcntl`` for a lease, whose locks hold between processes: here these are all one to the system."""

    LOCK_EX: ClassVar = 2
    LOCK_NB: ClassVar = 4

    def __init__(self) -> None:
        self._holders: dict[tuple[int, int], int] = {}

    def lockf(self, file: int, _: int) -> None:
        """Lock a file, until whoever locked it closes it."""
        identity = _identity(file)
        assert identity is not None
        holder = self._holders.get(identity)
        if holder is not None and holder != file and _identity(holder) == identity:
            raise BlockingIOError
        self._holders[identity] = file


def _identity(file: int) -> tuple[int, int] | None:
    try:
        status = os.fstat(file)
    except OSError:  # it is closed
        return None
    return status.st_dev, status.st_ino


@contextlib.contextmanager
def simulated(world: World) -> Iterator[None]:
    """Let the package's threads, locks and time be those of a world."""
    patches: list[tuple[Any, dict[str, Any]]] = [
        (lane, {"threading": _THREADING, "time": _TIME, "start_thread": _start}),
        (alone, {"threading": _THREADING, "time": _TIME}),
        (fan_out, {"time": _TIME}),
        (worker, {"threading": _THREADING, "start_thread": _start}),
        (in_hand, {"threading": _THREADING, "time": _TIME}),
        (resources, {"threading": _THREADING, "time": _TIME}),
        (outage, {"threading": _THREADING, "time": _TIME}),
        (
            lease,
            {"threading": _THREADING, "time": _TIME, "start_thread": _start, "fcntl": _Locks()},
        ),
        (member, {"start_thread": _start}),
        (bodies, {"start_thread": _start}),
        (dispatch, {"threading": _THREADING, "start_thread": _start, "run": _run}),
        (host_code, {"threading": _THREADING}),
    ]
    with contextlib.ExitStack() as stack:
        for module, names in patches:
            stack.enter_context(mock.patch.multiple(module, **names))
        _world.append(world)
        stack.callback(_world.pop)
        yield
