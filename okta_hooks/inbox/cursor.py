"""How far the System Log of each org has been read: the durable cursor of the backfill."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from .counters import add, of_stored
from .tables import cursor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .database import Database
    from .intake import Intake, NewDelivery, Stored

#: What storing a page of the log may take: it holds a thousand events.
SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """How far the System Log of an org has been read: where to go on, and which time that is."""

    next_url: str
    reached_at: float | None


class Cursors:
    """Reads and moves the cursors; what was read of a log is stored in the transaction that moves its cursor.

    Its methods raise :exc:`InboxUnavailable` if the database does not do what it is asked.
    """

    def __init__(self, database: Database, intake: Intake) -> None:
        self._database = database
        self._intake = intake

    def of(self, org: str) -> Cursor | None:
        """Return how far the System Log of an org has been read, or None if it never was.

        :param org: Its URL.
        """
        query = sa.select(cursor.c.next_url, cursor.c.reached_at).where(cursor.c.org == org)
        with self._database.reading() as connection:
            row = connection.execute(query).one_or_none()
        return row and Cursor(next_url=row.next_url, reached_at=row.reached_at)

    def advance(
        self,
        org: str,
        deliveries: Sequence[NewDelivery],
        *,
        before: Cursor | None,
        after: Cursor,
    ) -> list[Stored] | None:
        """Store what was read of a System Log and how far that was, in one transaction.

        :param org: Its URL.
        :param before: The cursor when it was read.
        :param after: The cursor from now on.
        :return: as :meth:`Intake.store`; or None, and nothing is stored, if the cursor is another by now.
        """
        values = {"next_url": after.next_url, "reached_at": after.reached_at}
        if before is None:
            move: Any = self._database.insert(cursor).values(org=org, **values)
            move = move.on_conflict_do_nothing()
        else:
            here = (cursor.c.org == org) & (cursor.c.next_url == before.next_url)
            move = cursor.update().where(here).values(**values)
        with self._database.transaction(seconds=SECONDS) as connection:
            if connection.execute(move.returning(cursor.c.org)).first() is None:
                return None
            stored = self._intake.add(connection, deliveries)
            add(self._database, connection, of_stored(deliveries, stored))
            return stored
