"""What an SQLite file needs: a queue of those who write to it, settings, a look at where it lies."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import sqlite3
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from collections.abc import Iterator

    import sqlalchemy as sa

logger = logging.getLogger(__name__)

PATIENCE: Final = 5.0
_QUEUE_PATIENCE: Final = 2.0
_QUEUE_LOOK: Final = 0.0005
#: File systems that may be gone after a restart.
EPHEMERAL: Final = frozenset({"tmpfs", "ramfs", "overlay"})


class WriteQueue:
    """Those who want to write to one SQLite file: threads queue at a lock, processes at the lock of a file.

    SQLite allows one writer at a time, and its own lock guards the data whether anybody queues here or not.
    But it has no queue: who finds it taken sleeps, up to 0.1 s at a time, and who asks first afterwards has it.
    Beside a busy process, that took a delivery seconds.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None
        self._among_threads = threading.Lock()

    def __del__(self) -> None:
        if self._file is not None:
            os.close(self._file)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait to be first, but not for ever: who is may have been stopped. Then SQLite's lock decides."""
        give_up_at = time.monotonic() + _QUEUE_PATIENCE
        is_taken = self._among_threads.acquire(timeout=_QUEUE_PATIENCE)
        try:
            if is_taken:
                self._lock(give_up_at)
            yield
        finally:
            if is_taken:
                self._unlock()
                self._among_threads.release()

    def _lock(self, give_up_at: float) -> None:
        try:
            # lockf's, as a lease's: the system drops it when this process dies, whatever its children do.
            if self._file is None:
                self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            # Not waiting in the system: under gevent that would stop every greenlet.
            while not _is_locked(self._file) and time.monotonic() < give_up_at:
                time.sleep(_QUEUE_LOOK)
        except OSError:
            logger.debug("There is no queue at %s.", self._path, exc_info=True)

    def _unlock(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                fcntl.lockf(self._file, fcntl.LOCK_UN)


def _is_locked(file: int) -> bool:
    """Try to lock a file; return whether this process has the lock now."""
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


#: One for each file in a process: closing a file drops every lock that the process has on it.
#: By the process, because a child must not wait for a thread that it does not have.
_queues: WeakValueDictionary[tuple[int, Path], WriteQueue] = WeakValueDictionary()


def write_queue(path: Path) -> WriteQueue:
    """Return the queue of this process at a file."""
    return _queues.setdefault((os.getpid(), path), WriteQueue(path))


def prepare(connection: Any, _: object) -> None:
    """Make the settings of a new connection."""
    # The driver would begin transactions by itself, and too late.
    connection.isolation_level = None
    give_up_at = time.monotonic() + PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            break
        except sqlite3.OperationalError:
            # Of two that open a new file at once, SQLite refuses one here without waiting.
            if time.monotonic() > give_up_at:
                raise
            time.sleep(0.01)
    connection.execute("PRAGMA synchronous = FULL")


def begin(connection: sa.Connection) -> None:
    """Begin a transaction."""
    # A transaction that reads first and writes then fails at once when another has written meanwhile.
    reads = connection.get_execution_options().get("okta_hooks_reads")
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def create_file(path: Path) -> None:
    """Create the file for its owner alone: SQLite gives its companions the same mode."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Never open a file that is there: closing it would drop every lock that SQLite has on it in this process.
    # https://www.sqlite.org/howtocorrupt.html, section 2.2
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def inode(path: Path) -> int | None:
    """Return what tells a file from another of the same name, or None if there is none."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


def file_system(path: Path) -> str | None:
    """Return the type of the file system that a file lies on, where the system tells."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    best: tuple[str, str | None] = ("", None)
    for line in mounts:
        head, _, tail = line.partition(" - ")
        point = head.split()[4].replace("\\040", " ")
        if path.resolve().is_relative_to(point) and len(point) >= len(best[0]):
            best = (point, tail.split()[0])
    return best[1]
