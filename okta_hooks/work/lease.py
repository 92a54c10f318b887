"""How a worker knows that it may dispatch, and how others know when it has died.

On PostgreSQL every worker has a lease: a row that says until when it lives.
On SQLite one process at a time dispatches: it holds a lock on a file, which dies with it.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from okta_hooks.inbox.claims import Inbox

HEARTBEAT_SECONDS: Final = 5.0
LEASE_SECONDS: Final = 30.0

Dead = list[tuple[str, str, int]]


class Lease(Protocol):
    """What a worker asks of either kind."""

    def renew(self) -> Dead | None:
        """Return None if this worker may not dispatch now.

        Otherwise it may, and what is returned are receipts that died with other workers.
        """

    def holds(self) -> bool:
        """Return whether this worker may still run what it has claimed."""

    def give_up(self) -> None:
        """Let others take over at once."""


def lease_for(inbox: Inbox, worker_id: str) -> Lease:
    """Return the lease that fits the inbox's database."""
    if inbox.path is None:
        return RowLease(inbox, worker_id)
    return FileLease(inbox, inbox.path.with_name(inbox.path.name + ".lock"))


class RowLease:
    """A row with a time of expiry, renewed by heartbeats."""

    def __init__(self, inbox: Inbox, worker_id: str) -> None:
        self._inbox = inbox
        self._worker_id = worker_id
        # Of time that passes: a clock that is set must neither prolong the lease nor cut it short.
        self._clock: Callable[[], float] = (
            time.monotonic if inbox.clock is time.time else inbox.clock
        )
        self._renew_at = float("-inf")

    def renew(self) -> Dead | None:
        """Beat if it is time to, and take receipts back from workers whose lease ran out."""
        now = self._clock()
        if now < self._renew_at:
            return []
        self._inbox.keep_alive(self._worker_id, LEASE_SECONDS)
        self._renew_at = now + HEARTBEAT_SECONDS
        return self._inbox.free()

    def holds(self) -> bool:
        """Return whether the lease has not run out: a database that hangs stops the heartbeat."""
        return self._clock() < self._renew_at - HEARTBEAT_SECONDS + LEASE_SECONDS

    def give_up(self) -> None:
        """Delete the row."""
        self._inbox.leave(self._worker_id)


class FileLease:
    """A lock on a file beside the database.

    It is ``lockf``'s: ``flock``'s would live on in children of a leader that was killed.
    That kind of lock does not hold between threads of one process, hence the set.
    """

    _held: Final[set[Path]] = set()
    _guard: Final = threading.Lock()

    def __init__(self, inbox: Inbox, path: Path) -> None:
        self._inbox = inbox
        self._path = path
        self._file: int | None = None
        self._is_clean = False

    def renew(self) -> Dead | None:
        """Try to get the lock; who gets it takes every receipt back, for nobody else can run one."""
        if self._is_clean:
            return []
        if self._file is None and not self._lock():
            return None
        died = self._inbox.free(all_workers=True)
        self._is_clean = True
        return died

    def _lock(self) -> bool:
        with self._guard:
            if self._path in self._held:
                return False
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
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
        return self._is_clean

    def give_up(self) -> None:
        """Unlock the file."""
        if self._file is None:
            return
        with self._guard:
            os.close(self._file)
            self._held.discard(self._path)
            self._file = None
            self._is_clean = False


# A child has none of its parent's locks.
os.register_at_fork(after_in_child=FileLease._held.clear)  # noqa: SLF001
