"""One thread per process that writes deliveries: what is queued meanwhile becomes one transaction.

A request waits for the commit, but not for ever: no time limit of a database's own is one that always holds.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Final, TypeAlias

from .exceptions import InboxUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from .inbox import Inbox, NewDelivery, Stored

    _Item: TypeAlias = tuple[NewDelivery, Future[Stored]]

logger = logging.getLogger(__name__)

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
        self._queue: queue.Queue[_Item | None] = queue.Queue(_MOST_WAITING)
        self._characters = 0
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def store(self, new: NewDelivery, timeout: float) -> Stored:
        """Store a delivery and return what became of it, once it is on the disk.

        :param timeout: Seconds to wait for that. It may be stored all the same afterwards.
        :raises InboxUnavailable: if it took longer, too many are waiting already, or the database refused.
        """
        future: Future[Stored] = Future()
        with self._lock:
            if self._queue.full() or self._characters > _MOST_CHARACTERS_WAITING:
                raise InboxUnavailable("too many deliveries wait for the database")
            self._ensure_thread()
            self._characters += len(new.body)
            self._queue.put_nowait((new, future))
        try:
            return future.result(timeout)
        except TimeoutError as error:
            # Okta will send it again: if its turn has not come yet, it need not come.
            future.cancel()
            raise InboxUnavailable(f"the database did not commit within {timeout:g} s") from error

    def start(self) -> None:
        """Open the inbox now, in the writer's thread, rather than with the first delivery."""
        with self._lock:
            self._ensure_thread()

    def stop(self, timeout: float) -> None:
        """Write what is queued, and let the thread end. It starts again with the next delivery.

        :param timeout: Seconds to wait for that.
        """
        with self._lock:
            thread = self._thread
        if thread is not None:
            with contextlib.suppress(queue.Full):  # the database hangs
                self._queue.put(None, timeout=timeout)
            thread.join(timeout)

    def _ensure_thread(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="okta-hooks-writer", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        try:
            self._inbox.open()
        except InboxUnavailable as error:
            logger.error("The inbox cannot be opened: %s", error)  # noqa: TRY400 - no traceback helps
        while True:
            try:
                batch, is_last = self._gather(self._take(_IDLE_SECONDS))
            except queue.Empty:
                batch, is_last = [], True
            self._write([item for item in batch if item[1].set_running_or_notify_cancel()])
            if is_last:
                with self._lock:
                    if self._queue.empty():
                        self._thread = None
                        return

    def _gather(self, item: _Item | None) -> tuple[list[_Item], bool]:
        """Return an item and what is queued behind it, and whether the thread is to end after that."""
        batch: list[_Item] = []
        events = 0
        while item is not None:
            batch.append(item)
            events += len(item[0].events)
            if self._queue.empty() or len(batch) >= _MOST_AT_ONCE or events >= _MOST_EVENTS_AT_ONCE:
                return batch, False
            item = self._take(None)
        return batch, True

    def _take(self, timeout: float | None) -> _Item | None:
        item = self._queue.get(timeout=timeout)
        if item is not None:
            with self._lock:
                self._characters -= len(item[0].body)
        return item

    def _write(self, batch: list[_Item]) -> None:
        if not batch:
            return
        try:
            stored = self._store([new for new, _ in batch])
        except InboxUnavailable as error:
            if len(batch) > 1 and not error.is_transient:
                # One delivery that the database refuses must not take the others with it.
                for item in batch:
                    self._write([item])
                return
            for _, future in batch:
                future.set_exception(error)
            return
        except BaseException as error:
            for _, future in batch:
                future.set_exception(error)
            raise
        for (_, future), result in zip(batch, stored, strict=True):
            future.set_result(result)
        self._on_stored()

    def _store(self, batch: list[NewDelivery]) -> list[Stored]:
        try:
            return self._inbox.store(batch)
        except InboxUnavailable as error:
            if not error.connection_lost:
                raise
            # It had died since it was last used: the database may be back already.
            return self._inbox.store(batch)
