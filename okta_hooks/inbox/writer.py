"""One thread per process that writes deliveries: what is queued meanwhile becomes one transaction.

A request stops waiting at its deadline, whatever the database does: a database's own time limits do not always hold.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from okta_hooks.exceptions import InboxUnavailable
from okta_hooks.host_code import contained
from okta_hooks.logs import plain_logger
from okta_hooks.threads import start_thread

from .counters import of_stored

if TYPE_CHECKING:
    from collections.abc import Callable

    from .inbox import Inbox
    from .intake import NewDelivery, Stored

logger = plain_logger(__name__)

_IDLE_SECONDS: Final = 30.0
_MOST_WAITING: Final = 1000
_MOST_CHARACTERS_WAITING: Final = 64 * 1024 * 1024
_MOST_AT_ONCE: Final = 100
_MOST_EVENTS_AT_ONCE: Final = 5000


class Writer:
    """Stores deliveries in one inbox.

    Its thread starts with the first delivery, and goes when there has been none for a while.

    :param on_stored: Is called in that thread after a commit.
    """

    def __init__(self, inbox: Inbox, on_stored: Callable[[], None]) -> None:
        self._inbox = inbox
        self._on_stored = on_stored
        self._waiting: deque[_Waiting] = deque()
        self._characters = 0
        self._changed = threading.Condition(threading.Lock())
        self._thread: threading.Thread | None = None
        self._is_stopping = False

    def store(self, new: NewDelivery, timeout: float) -> Stored:
        """Store a delivery and return what became of it, once it is on the disk.

        :param timeout: Seconds to wait for that. It may be stored all the same afterwards.
        :raises InboxUnavailable: if it took longer, too many are waiting already, or the database refused.
        """
        mine = _Waiting(new, timeout)
        with self._changed:
            if len(self._waiting) >= _MOST_WAITING or self._characters > _MOST_CHARACTERS_WAITING:
                raise InboxUnavailable("too many deliveries wait for the database")
            self._ensure_thread()
            self._characters += len(new.body)
            self._waiting.append(mine)
            self._changed.notify()
        return mine.outcome()

    def start(self) -> None:
        """Open the inbox now, in the writer's thread, rather than with the first delivery."""
        with self._changed:
            self._ensure_thread()

    def stop(self, timeout: float) -> None:
        """Write what is queued, and let the thread end. It starts again with the next delivery.

        :param timeout: Seconds to wait for that.
        """
        with self._changed:
            thread = self._thread
            self._is_stopping = True
            self._changed.notify()
        if thread is not None:
            thread.join(timeout)

    def _ensure_thread(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._is_stopping = False
            self._thread = start_thread(self._run, name="okta-hooks-writer")

    def _run(self) -> None:
        try:
            self._inbox.open()
        except InboxUnavailable as error:
            logger.error(  # noqa: TRY400 - no traceback helps
                "The inbox cannot be opened: %(error)s", {"error": error}
            )
        except BaseException:
            logger.exception("The inbox cannot be opened.")
        while batch := self._take():
            self._write(batch)

    def _take(self) -> list[_Waiting]:
        """Return what waits, up to a size; nothing if the thread is to end."""
        batch: list[_Waiting] = []
        events = 0
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_stopping, _IDLE_SECONDS)
            while self._waiting and len(batch) < _MOST_AT_ONCE and events < _MOST_EVENTS_AT_ONCE:
                item = self._waiting.popleft()
                batch.append(item)
                events += len(item.new.events)
                self._characters -= len(item.new.body)
            if not batch:
                self._thread = None
        return batch

    def _write(self, batch: list[_Waiting]) -> None:
        """Store a batch, and let its requests go on, whatever it raises: this thread has others to write."""
        batch = [item for item in batch if not item.is_given_up]
        if not batch:
            return
        try:
            stored = self._store(batch)
        except BaseException as error:  # noqa: BLE001 - the requests are told
            is_passing = isinstance(error, InboxUnavailable) and error.is_transient
            if len(batch) > 1 and not is_passing:
                # One delivery that cannot be stored must not take the others with it.
                for item in batch:
                    self._write([item])
                return
            for item in batch:
                item.answer(error)
            return
        self._inbox.counters.count(of_stored([item.new for item in batch], stored))
        for item, result in zip(batch, stored, strict=True):
            item.answer(result)
        if failure := contained(self._on_stored):
            logger.error("What follows a commit failed.", exc_info=failure)

    def _store(self, batch: list[_Waiting]) -> list[Stored]:
        # The transaction may take as long as a request still waits for it.
        deadline = max(item.deadline for item in batch)
        new = [item.new for item in batch]
        return self._inbox.intake.store(new, seconds=_left(deadline))


def _left(deadline: float) -> float:
    return max(deadline - time.monotonic(), 0.0)


class _Waiting:
    """A delivery that is to be stored, and the request that waits for it.

    A bare lock, released once: a ``Future`` takes and releases three, and each may cost the interpreter.
    """

    def __init__(self, new: NewDelivery, timeout: float) -> None:
        self.new = new
        self.deadline = time.monotonic() + timeout
        self.is_given_up = False
        self._timeout = timeout
        self._outcome: Stored | BaseException
        self._answered = threading.Lock()
        self._answered.acquire()

    def answer(self, outcome: Stored | BaseException) -> None:
        """Let the request go on; once."""
        self._outcome = outcome
        self._answered.release()

    def outcome(self) -> Stored:
        """Wait for the answer."""
        if not self._answered.acquire(timeout=_left(self.deadline)):
            # It gets 503, and Okta sends it again: if it is not being written yet, it need not be.
            self.is_given_up = True
            raise InboxUnavailable(f"the database did not commit within {self._timeout:.2g} s")
        if isinstance(self._outcome, Exception):
            raise self._outcome
        if isinstance(self._outcome, BaseException):
            # Not raised itself: it may be what tells a server to end, such as SystemExit.
            name = type(self._outcome).__name__
            raise InboxUnavailable(f"storing it raised {name}") from self._outcome
        return self._outcome
