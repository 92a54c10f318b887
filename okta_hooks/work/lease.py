"""How a worker knows that it may dispatch, and how others know when it has died.

On PostgreSQL every worker has a lease: a row with a heartbeat. On SQLite one process at a time dispatches:
it holds a lock on a file, which dies with it, and is the only worker in the inbox's list.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, Self

try:
    import fcntl
except ImportError:  # Windows has none, where the inbox is on PostgreSQL
    fcntl = None  # type: ignore[assignment]

from okta_hooks.exceptions import InboxUnavailable
from okta_hooks.forks import in_children
from okta_hooks.inbox.workers import RELAY, THREAD
from okta_hooks.logs import get_logger
from okta_hooks.threads import start_thread

from . import sigterm

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from okta_hooks.inbox import Inbox
    from okta_hooks.inbox.workers import DeadReceipt
    from okta_hooks.outage import Outage

logger = get_logger(__name__)

HEARTBEAT_SECONDS: Final = 5.0
LEASE_SECONDS: Final = 30.0
#: How long a worker must have been watched whose lease has run out by the clock of the database.
_SECONDS_TO_WATCH: Final = 2 * HEARTBEAT_SECONDS
_LOOK_SECONDS: Final = 0.25


class Lease(Protocol):
    """What a worker asks of either kind. It may be used by several threads."""

    def renew(self) -> list[DeadReceipt] | None:
        """Return None if this worker may not dispatch now.

        Otherwise it may, and what is returned are receipts that died with other workers.
        """

    def holds(self) -> bool:
        """Return whether this worker may still run what it has claimed."""

    def is_watching(self) -> bool:
        """Return whether a worker seems to be gone, and it takes some more time to be sure."""

    def give_up(self) -> None:
        """Let others take over at once. It can be got again."""

    def end(self) -> None:
        """Give it up for good: whatever renews it from now on does not get it."""


def lease_for(inbox: Inbox, worker_id: str, kind: str = THREAD) -> Lease:
    """Return the lease that fits the inbox's database.

    :param kind: What the worker does: see :meth:`.Workers.beat`.
    """
    if inbox.path is None:
        return RowLease(inbox, worker_id, kind)
    return FileLease(inbox, worker_id, _lock_file(inbox.path))


class AtWork(NamedTuple):
    """How many work at an inbox: workers that run receivers, and relays by whether their broker takes tickets."""

    workers: int
    relays: int = 0
    relays_without_broker: int = 0


def at_work(inbox: Inbox) -> AtWork:
    """Return how many work at an inbox now, in any process.

    :raises InboxUnavailable: if the database does not do what it is asked.
    """
    if inbox.path is not None:
        return AtWork(int(FileLease.is_held(_lock_file(inbox.path))))
    living = inbox.workers.living()
    relays = [each for each in living if each.kind == RELAY]
    without = sum(each.broker_away_since is not None for each in relays)
    return AtWork(len(living) - len(relays), len(relays) - without, without)


def _lock_file(database: Path) -> Path:
    return database.with_name(f"{database.name}.lock")


class RowLease:
    """A row that is renewed by heartbeats."""

    def __init__(self, inbox: Inbox, worker_id: str, kind: str = THREAD) -> None:
        self._inbox = inbox
        self._worker_id = worker_id
        self._kind = kind
        self._lock = threading.Lock()
        self._watch = _Watch()
        self._renewed_at = float("-inf")
        self._is_ended = False
        self._seems_gone: set[str] = set()

    def renew(self) -> list[DeadReceipt] | None:
        """Beat if it is time to, and take receipts back from workers that beat no more."""
        with self._lock:
            if self._is_ended:
                return None
            now = self._inbox.elapsed()
            if now < self._renewed_at + HEARTBEAT_SECONDS:
                return []
            workers = self._inbox.workers
            workers.beat(self._worker_id, LEASE_SECONDS, self._kind)
            self._renewed_at = now
            beats, expired = workers.beats()
            gone = self._watch.gone(beats, expired, self._inbox.elapsed())
            self._seems_gone = expired - gone - {self._worker_id}
            return workers.free({worker: beats[worker] for worker in gone - {self._worker_id}})

    def holds(self) -> bool:
        """Return whether the lease has not run out: a database that hangs stops the heartbeat."""
        return self._inbox.elapsed() < self._renewed_at + LEASE_SECONDS

    def is_watching(self) -> bool:
        """Return whether the lease of another has run out by the clock of the database, which may have been set."""
        return bool(self._seems_gone)

    def give_up(self) -> None:
        """Delete the row."""
        with self._lock:
            self._renewed_at = float("-inf")
            self._inbox.workers.leave(self._worker_id)

    def end(self) -> None:
        """Delete the row, and write none again."""
        self._is_ended = True
        self.give_up()


class _Watch:
    """For how long each worker has been seen without a new heartbeat.

    Only time in which somebody looked counts, and no clock of another host does:
    a worker is not gone because this one was suspended, or a clock was set.
    """

    def __init__(self) -> None:
        self._looked_at: float | None = None
        self._silent: dict[str, tuple[float, float]] = {}

    def gone(self, beats: dict[str, float], expired: set[str], now: float) -> set[str]:
        """Return the workers that are gone.

        :param beats: For each worker a number that changes with each heartbeat.
        :param expired: Those whose lease has run out by the clock of the database. It may have been set,
            so they are watched all the same, but not for a whole lease.
        :param now: The time that passes, in seconds.
        """
        step = 0.0 if self._looked_at is None else min(now - self._looked_at, HEARTBEAT_SECONDS)
        self._looked_at = now
        before, self._silent = self._silent, {}
        for worker, beat in beats.items():
            known, seconds = before.get(worker, (None, 0.0))
            self._silent[worker] = beat, seconds + step if known == beat else 0.0
        return {
            worker
            for worker, (_, seconds) in self._silent.items()
            if seconds >= (_SECONDS_TO_WATCH if worker in expired else LEASE_SECONDS)
        }


class FileLease:
    """A lock on a file beside the database.

    It is ``lockf``'s: ``flock``'s would live on in children of a leader that was killed.
    That kind of lock does not hold between threads of one process, hence the set.
    Whoever removes the file lets a second process get a lock: that one enters itself into the inbox's
    list of workers as the only one, and from then on the first can claim nothing.
    """

    _held: Final[set[Path]] = set()
    _guard: Final = threading.Lock()

    def __init__(self, inbox: Inbox, worker_id: str, path: Path) -> None:
        self._inbox = inbox
        self._worker_id = worker_id
        self._path = path
        self._lock = threading.Lock()
        self._file: int | None = None
        self._leads = False
        self._is_ended = False
        self._checked_at = float("-inf")

    @classmethod
    def forget_held(cls) -> None:
        """Forget which files are locked, in a child that was forked off: it has none of its parent's locks."""
        cls._held.clear()

    @classmethod
    def is_held(cls, path: Path) -> bool:
        """Return whether anybody holds the lock on a file, in this process or another."""
        # Within the guard: to close a file drops whatever locks this process has on it.
        with cls._guard:
            if path in cls._held:
                return True
            try:
                file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            except OSError:  # nobody has made it
                return False
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return True
            else:
                return False
            finally:
                os.close(file)

    def renew(self) -> list[DeadReceipt] | None:
        """Try to get the lock; who gets it takes every receipt back, for nobody else can run one."""
        with self._lock:
            if self._is_ended:
                return None
            if self._leads and self._is_deposed():
                self._unlock()
            if self._leads:
                return []
            if self._file is None and not self._get_lock():
                return None
            self._heed_sigterm()
            died = self._inbox.workers.lead(self._worker_id)
            self._leads = True
            return died

    def _heed_sigterm(self) -> None:
        """Look into the file whether who led before was told to end, and have it noted there if this process is."""
        if self._file is None:
            return
        if os.fstat(self._file).st_size:
            self._inbox.workers.mark_stopping()
            os.ftruncate(self._file, 0)
        sigterm.note_in(self._file)

    def _is_deposed(self) -> bool:
        now = self._inbox.elapsed()
        if now < self._checked_at + HEARTBEAT_SECONDS:
            return False
        self._checked_at = now
        return not self._inbox.workers.is_listed(self._worker_id)

    def _get_lock(self) -> bool:
        with self._guard:
            if self._path in self._held:
                return False
            try:
                file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError as error:
                raise InboxUnavailable(f"{self._path}: {error.strerror}") from error
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(file)
                return False
            self._held.add(self._path)
            self._file = file
            return True

    def holds(self) -> bool:
        """Return whether the lock was got, and what others left has been freed."""
        return self._leads

    def is_watching(self) -> bool:
        """Return False: who gets the lock knows that nobody else runs anything."""
        return False

    def give_up(self) -> None:
        """Unlock the file, and leave the list."""
        with self._lock:
            if self._file is None:
                return
            try:
                if self._leads:
                    self._inbox.workers.leave(self._worker_id)
            finally:
                self._unlock()

    def _unlock(self) -> None:
        with self._guard:
            if self._file is not None:
                sigterm.leave(self._file)
                os.close(self._file)
            self._held.discard(self._path)
            self._file = None
            self._leads = False

    def end(self) -> None:
        """Unlock the file, and never lock it again."""
        self._is_ended = True
        self.give_up()


in_children(FileLease.forget_held)


class Heartbeat:
    """Renews a lease in a thread of its own, however long receivers and handlers of signals take.

    :param on_died: Gets the receipts that died with other workers.
    :param stopping: Is set when the worker is to stop.
    :param on_stopping: Is called in that thread when that is so, or the process was told to end, until it returns True.
    """

    def __init__(
        self,
        lease: Lease,
        outage: Outage,
        *,
        on_died: Callable[[list[DeadReceipt]], None],
        stopping: threading.Event,
        on_stopping: Callable[[], bool],
    ) -> None:
        self._lease = lease
        self._outage = outage
        self._on_died = on_died
        self._stopping = stopping
        self._on_stopping = on_stopping
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = start_thread(self._beat, name="okta-hooks-heartbeat")
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        if self._thread is not None:
            self._thread.join()

    def _beat(self) -> None:
        is_marked = False
        due_at = time.monotonic() + HEARTBEAT_SECONDS
        while not self._is_over.wait(_LOOK_SECONDS):
            try:
                is_told = self._stopping.is_set() or sigterm.has_come()
                if is_told and not is_marked:
                    # Soon: a server may end this process a second after it has told it to stop.
                    is_marked = self._on_stopping()
                if time.monotonic() >= due_at:
                    due_at = time.monotonic() + HEARTBEAT_SECONDS
                    if died := self._lease.renew():
                        self._on_died(died)
            except InboxUnavailable as error:
                self._outage.failed(error)
            except BaseException:
                logger.exception("A heartbeat failed.")
