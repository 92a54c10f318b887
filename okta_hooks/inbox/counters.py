"""What has become of deliveries, in numbers that only grow: for metrics, of any number of processes together.

A process counts in its memory, and adds to the database now and then: a request costs no write by being counted,
and one that is refused costs none at all.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

import sqlalchemy as sa

from okta_hooks.exceptions import InboxUnavailable
from okta_hooks.logs import get_logger
from okta_hooks.threads import start_thread

from .statements import accumulate
from .tables import counter, is_log_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .database import Database
    from .intake import NewDelivery, Stored

logger = get_logger(__name__)

DELIVERIES: Final = "deliveries"
EVENTS: Final = "events"
RECOVERED: Final = "recovered"
REFUSED: Final = "refused"

_SECONDS_BETWEEN_FLUSHES: Final = 5.0
#: At the end of a process, which a server may kill soon.
_SECONDS_AT_THE_END: Final = 1.0
_BACKFILL: Final = "backfill"
#: Okta delivers most events within seconds.
_SECONDS_TO_BRING: Final = 60.0


class Counted(NamedTuple):
    """What is counted.

    ``via`` is how a delivery came, ``result`` what became of an event (``new``, ``duplicate``, ``dead``),
    or the status by which a delivery was refused; empty where there is no such thing.
    """

    kind: str
    hook: str
    via: str = ""
    result: str = ""


def of_stored(deliveries: Sequence[NewDelivery], stored: Sequence[Stored]) -> Counter[Counted]:
    """Return what is to be counted of deliveries that were stored.

    :param stored: What became of each.
    """
    found: Counter[Counted] = Counter()
    for new, became in zip(deliveries, stored, strict=True):
        hook, via = new.hook, new.delivery.via
        found[Counted(DELIVERIES, hook, via)] += 1
        unreadable = len(became.dead)
        found[Counted(EVENTS, hook, via, "new")] += became.new - unreadable
        found[Counted(EVENTS, hook, via, "duplicate")] += became.duplicate
        found[Counted(EVENTS, hook, via, "dead")] += unreadable
        if via == _BACKFILL:
            found[Counted(RECOVERED, hook)] += recovered(new, became)
    return found


def recovered(new: NewDelivery, became: Stored) -> int:
    """Return how many events a backfill has stored that a hook has not brought, and has had time to."""
    known = set(became.duplicate_places)
    in_time = new.delivery.received_at.timestamp() - _SECONDS_TO_BRING
    return sum(
        place not in known
        # The log's version of an event that a hook has brought is new, and was not missed.
        and not is_log_key(event.key)
        and (event.published is None or event.published < in_time)
        for place, event in enumerate(new.events)
    )


class Counters:
    """Counts in this process, and says what all processes have counted.

    :meth:`count` may be called whatever the database does. What was not flushed when a process is killed is lost,
    and what a lost connection leaves in doubt is added again.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._waiting: Counter[Counted] = Counter()
        self._thread: threading.Thread | None = None
        self._is_flushed_regularly = False
        self._ending = threading.Event()
        self._pid = os.getpid()

    def flush_regularly(self) -> None:
        """Flush from now on in a thread, a few seconds after something was counted."""
        self._is_flushed_regularly = True
        atexit.register(self.close)

    def count(self, changes: Counter[Counted]) -> None:
        """Count, in memory."""
        with self._lock:
            self._waiting.update(changes)
            if self._is_flushed_regularly and self._thread is None and not self._ending.is_set():
                self._thread = start_thread(self._flush_until_idle, name="okta-hooks-counters")

    def count_refused(self, hook: str, status: int) -> None:
        """Count a delivery that was not accepted, in memory."""
        self.count(Counter({Counted(REFUSED, hook, result=str(status)): 1}))

    def flush(self, *, seconds: float | None = None) -> None:
        """Add what was counted here to what is in the database.

        :param seconds: What it may take: see :meth:`.Database.transaction`.
        :raises InboxUnavailable: if that failed: it is kept.
        """
        with self._lock:
            changes, self._waiting = self._waiting, Counter()
        if not changes:
            return
        try:
            with self._database.transaction(seconds=seconds) as connection:
                add(self._database, connection, changes)
        except BaseException:
            with self._lock:
                self._waiting.update(changes)
            raise

    def all(self) -> dict[Counted, int]:
        """Return what all processes have counted and flushed.

        :raises InboxUnavailable: if the database does not do what it is asked.
        """
        query = sa.select(*(counter.c[name] for name in Counted._fields), counter.c.number)
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        return {Counted(*row[:-1]): row.number for row in rows}

    def close(self) -> None:
        """Let the thread end, and flush. In a child of the process that it belongs to this does nothing."""
        atexit.unregister(self.close)
        if self._pid != os.getpid():
            return
        with self._lock:
            self._ending.set()
            thread = self._thread
        if thread is not None:
            thread.join(_SECONDS_AT_THE_END)
        try:
            self.flush(seconds=_SECONDS_AT_THE_END)
        except InboxUnavailable as error:
            logger.info("Some counts of this process are lost: %(error)s", {"error": error})

    def _flush_until_idle(self) -> None:
        while not self._ending.wait(_SECONDS_BETWEEN_FLUSHES):
            with self._lock:
                if not self._waiting:
                    self._thread = None
                    return
            try:
                with suppress(InboxUnavailable):  # who stores or works tells of that
                    self.flush()
            except BaseException:
                logger.exception("What was counted could not be added to the inbox.")


def add(database: Database, connection: sa.Connection, changes: Counter[Counted]) -> None:
    """Add to what was counted, in a transaction that is open already, as its last statement."""
    rows = [(*counted, number) for counted, number in changes.items() if number]
    accumulate(database, connection, counter, Counted._fields, ("number",), rows)
