"""The turn to write to an SQLite file: threads wait for it in a line, processes at locks of a file."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakValueDictionary

from okta_hooks.logs import plain_logger

from .file_system import identity

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

logger = plain_logger(__name__)

_SECONDS_BETWEEN_TRIES: Final = 0.0005
#: The byte of the queue's file that is locked by the process whose turn it is.
_TURN: Final = 0
#: The byte that is locked by processes in which somebody waits who goes first.
_FIRST: Final = 1


class WriteQueue:
    """Those who want to write to one SQLite file: threads wait in a line, processes at locks of a file.

    SQLite allows one writer at a time, and its own lock guards the data whether anybody waits here or not.
    But that lock has no queue: a writer that finds it taken sleeps, up to 0.1 s at a time, and whoever asks first
    once it is free has it. Beside a busy process, storing a delivery took seconds.

    The file may be deleted, or locked for ever by a process that was stopped: a writer that has waited long enough
    goes on without its turn, and SQLite's lock decides.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None
        self._opened: tuple[int, int] | None = None
        self._threads = _Line()

    def __del__(self) -> None:
        if self._file is not None:
            os.close(self._file)

    @contextmanager
    def turn(self, patience: float, *, first: bool) -> Iterator[None]:
        """Wait for the turn to write.

        :param patience: Seconds to wait; then it goes on without the turn.
        :param first: Go before all threads, and all processes, whose turn is not ``first``.
        """
        give_up_at = time.monotonic() + patience
        is_head = self._threads.enter(patience, first=first)
        try:
            if is_head:
                self._lock(give_up_at, first=first)
            yield
        finally:
            if is_head:
                self._unlock()
                self._threads.leave()

    def _lock(self, give_up_at: float, *, first: bool) -> None:
        try:
            file = self._open()
            is_marked = False
            # No blocking call: under gevent that would stop every greenlet.
            while not ((first or _is_free(file, _FIRST)) and _lock(file, fcntl.LOCK_EX, _TURN)):
                # A thread of this process that goes first may have come to wait behind this one.
                first = first or self._threads.has_first
                if first and not is_marked:
                    is_marked = _lock(file, fcntl.LOCK_SH, _FIRST)
                if time.monotonic() > give_up_at:
                    break
                time.sleep(_SECONDS_BETWEEN_TRIES)
            if is_marked:
                fcntl.lockf(file, fcntl.LOCK_UN, 1, _FIRST)
        except OSError:
            logger.debug("There is no queue at %(path)s.", {"path": self._path}, exc_info=True)

    def _open(self) -> int:
        """Return the file, opened again if somebody has deleted it: others queue at a new one."""
        if self._file is not None and identity(self._path) != self._opened:
            os.close(self._file)
            self._file = None
        if self._file is None:
            # lockf's locks, as a lease's: the system drops them when this process dies, whatever its children do.
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            status = os.fstat(self._file)
            self._opened = status.st_dev, status.st_ino
        return self._file

    def _unlock(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                fcntl.lockf(self._file, fcntl.LOCK_UN)


class _Line:
    """A lock that threads get in the order in which they came, but those that are ``first`` before the others."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._is_taken = False
        self._first: deque[Any] = deque()
        self._others: deque[Any] = deque()

    @property
    def has_first(self) -> bool:
        """Whether a thread waits that is ``first``."""
        return bool(self._first)

    def enter(self, patience: float, *, first: bool) -> bool:
        """Wait for so many seconds; return whether the lock was got."""
        line = self._first if first else self._others
        with self._guard:
            if not self._is_taken:
                self._is_taken = True
                return True
            mine = threading.Lock()
            mine.acquire()
            line.append(mine)
        if mine.acquire(timeout=patience):
            return True
        with self._guard:
            if mine in line:
                line.remove(mine)
                return False
        return True  # it was released for this thread at the last moment

    def leave(self) -> None:
        """Release the lock for the next thread."""
        with self._guard:
            line = self._first or self._others
            if line:
                line.popleft().release()
            else:
                self._is_taken = False


def _lock(file: int, kind: int, byte: int) -> bool:
    """Try to lock a byte of a file; return whether this process has the lock now."""
    try:
        fcntl.lockf(file, kind | fcntl.LOCK_NB, 1, byte)
    except (BlockingIOError, PermissionError):  # POSIX allows either
        return False
    return True


def _is_free(file: int, byte: int) -> bool:
    """Return whether no other process has locked a byte of a file."""
    if not _lock(file, fcntl.LOCK_EX, byte):
        return False
    fcntl.lockf(file, fcntl.LOCK_UN, 1, byte)
    return True


#: One for each file in a process: closing a file drops every lock that the process has on it.
#: By the process, because a child must not wait for a thread that it does not have.
_queues: WeakValueDictionary[tuple[int, Path], WriteQueue] = WeakValueDictionary()


def write_queue(path: Path) -> WriteQueue:
    """Return the queue of this process at a file."""
    return _queues.setdefault((os.getpid(), path), WriteQueue(path))
