"""How much room the inbox takes, and will."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import sqlalchemy as sa

from .hours import HOUR
from .tables import metadata

if TYPE_CHECKING:
    from collections.abc import Callable

    from .database import Database
    from .hours import Hours
    from .overview import Overview

_DAY: Final = 24 * 3600.0
#: As long as the keys of events are kept.
DAYS: Final = 100
#: From how many days the rate is taken.
_DAYS_OF_RATE: Final = 7


class Size(NamedTuple):
    """How many bytes the inbox takes now, and in :data:`DAYS` days if as much comes as in the last week.

    ``later`` is None if nothing has come.
    """

    now: int
    later: int | None


class Space:
    """Answers how much room the inbox takes.

    Its methods raise :exc:`InboxUnavailable` if the database does not do what it is asked.

    :param clock: Returns the time, in seconds since the epoch.
    """

    def __init__(
        self, database: Database, overview: Overview, hours: Hours, clock: Callable[[], float]
    ) -> None:
        self._database = database
        self._overview = overview
        self._hours = hours
        self._clock = clock

    def size(self) -> Size:
        """Return how many bytes the inbox takes, and will."""
        now = self._clock()
        taken = self.bytes()
        counts = self._overview.counts()
        events = counts.open + counts.done + counts.dead
        # Whole hours are written down.
        begin = (now - _DAYS_OF_RATE * _DAY) // HOUR * HOUR
        received = self._hours.received(begin).values()
        recent = sum(one.events for one in received)
        if not events or not recent:
            return Size(taken, None)
        first = min(one.first_at for one in received)
        days = max((now - first) / _DAY, 1.0)
        return Size(taken, round(taken / events * recent / days * DAYS))

    def bytes(self) -> int:
        """Return how many bytes the tables take on the disk, with their indexes."""
        with self._database.reading() as connection:
            if self._database.path is None:
                names = [table.name for table in metadata.sorted_tables]
                sizes = (
                    sa.func.pg_total_relation_size(sa.func.to_regclass(name)) for name in names
                )
                return sum(connection.scalar(sa.select(size)) or 0 for size in sizes)
            page_size = connection.exec_driver_sql("PRAGMA page_size").scalar_one()
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        log = self._database.path.with_name(self._database.path.name + "-wal")
        return int(page_size * pages) + (log.stat().st_size if log.exists() else 0)
