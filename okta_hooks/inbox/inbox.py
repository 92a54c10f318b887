"""The inbox as a whole: one database, and what is done to it, by the part that does it."""

from __future__ import annotations

import time
from functools import cached_property
from typing import TYPE_CHECKING

from okta_hooks.clocks import boot_time

from .assignments import Assignments
from .audit import Audit
from .claims import Claims
from .consistency import Consistency
from .counters import Counters
from .cursor import Cursors
from .database import Database
from .deliveries import Deliveries
from .hours import Hours
from .intake import Intake
from .overview import Overview
from .pauses import Pauses
from .receipts import Receipts
from .tickets import Tickets
from .totals import Totals
from .upkeep import Upkeep
from .workers import Workers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from okta_hooks.secret import Secret

    from .attempt_hours import AttemptHours
    from .attempts import Attempts
    from .contradictions import Contradictions
    from .dead_letters import DeadLetters
    from .event_page import EventPages
    from .gauges import Gauges
    from .space import Space
    from .vacuum import Vacuum


class Inbox:
    """One database with everything that is done to it. It belongs to one process; many threads may use it.

    Every method raises :exc:`InboxUnavailable` if the database does not do what it is asked.

    :param url: An SQLAlchemy URL of SQLite (a file) or PostgreSQL (psycopg 3).
    :param folder: Where a relative path of an SQLite file begins.
    :param clock: Returns the time of day, in seconds since the epoch.
    :param elapsed: Returns a monotonic time in seconds.
    """

    def __init__(
        self,
        url: str | Secret,
        *,
        folder: str = ".",
        clock: Callable[[], float] = time.time,
        elapsed: Callable[[], float] = boot_time,
    ) -> None:
        #: The time of day: what is stored, and shown to people.
        self.clock = clock
        #: Monotonic: for how long something has lasted.
        self.elapsed = elapsed
        self.database = Database(url, folder)
        self.intake = Intake(self.database)
        self.cursors = Cursors(self.database, self.intake)
        self.assignments = Assignments(self.database)
        self.claims = Claims(self.database, self._now)
        self.deliveries = Deliveries(self.database)
        self.workers = Workers(self.database, self._now)
        self.tickets = Tickets(self.database, self._now)
        self.hours = Hours(self.database, self._now)
        self.overview = Overview(self.database, self._now)
        self.receipts = Receipts(self.database, self._now)
        self.totals = Totals(self.database)
        self.counters = Counters(self.database)
        self.upkeep = Upkeep(self.database, self._now)
        self.pauses = Pauses(self.database, self._now)
        self.audit = Audit(self.database, self._now)
        self.consistency = Consistency(self.database, self._now)

    def _now(self) -> float:
        # Looked up each time: tests set the clock of an inbox that is in use.
        return self.clock()

    # What no delivery needs is imported when it is asked for: a process should not begin later for it.

    @cached_property
    def attempts(self) -> Attempts:
        """What has happened to an event."""
        from .attempts import Attempts

        return Attempts(self.database)

    @cached_property
    def attempt_hours(self) -> AttemptHours:
        """What was attempted by hour."""
        from .attempt_hours import AttemptHours

        return AttemptHours(self.database, self.hours, self._now)

    @cached_property
    def event_page(self) -> EventPages:
        """Events, page by page."""
        from .event_page import EventPages

        return EventPages(self.database)

    @cached_property
    def dead_letters(self) -> DeadLetters:
        """Dead letters by receiver and error."""
        from .dead_letters import DeadLetters

        return DeadLetters(self.database, self.upkeep)

    @cached_property
    def contradictions(self) -> Contradictions:
        """Whether what is stored under a uuid is what the log has there."""
        from .contradictions import Contradictions

        return Contradictions(self.database)

    @cached_property
    def gauges(self) -> Gauges:
        """What metrics are made of."""
        from .gauges import Gauges

        return Gauges(self.database, self.hours, self._now)

    @cached_property
    def space(self) -> Space:
        """How many bytes it takes."""
        from .space import Space

        return Space(self.database, self.overview, self.hours, self._now)

    @cached_property
    def vacuum(self) -> Vacuum:
        """What autovacuum leaves to do."""
        from .vacuum import Vacuum

        return Vacuum(self.database)

    @property
    def generation(self) -> int:
        """A number that changes when the file was replaced by another: ids begin anew."""
        return self.database.generation

    @property
    def path(self) -> Path | None:
        """The file, if it is SQLite."""
        return self.database.path

    def open(self) -> None:
        """Connect, and create the tables if they are not there. Any use of the inbox does this."""
        self.database.open()

    def close(self) -> None:
        """Close the connections. The inbox opens again when it is used again."""
        self.database.close()
