"""Stored deliveries, read again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from okta_hooks.wire.events import Delivery

from .tables import delivery, event

if TYPE_CHECKING:
    from .database import Database


class Deliveries:
    """Finds deliveries, and the events in them.

    Its methods raise :exc:`InboxUnavailable` if the database does not do what it is asked.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def position_of(self, event_id: int) -> tuple[int, int] | None:
        """Return where an event is: its delivery's id, and its ordinal in it; None if it is gone."""
        query = sa.select(event.c.delivery_id, event.c.ordinal).where(event.c.id == event_id)
        with self._database.reading() as connection:
            row = connection.execute(query).one_or_none()
        return row and (row.delivery_id, row.ordinal)

    def load(self, delivery_id: int) -> tuple[Delivery, str | None]:
        """Return a delivery and its body; the body is None if retention has taken it."""
        with self._database.reading() as connection:
            row = connection.execute(_DELIVERY, {"of_delivery": delivery_id}).one_or_none()
        if row is None:  # somebody has deleted it by hand
            lost = Delivery(event_id=None, source=None, via="hook", received_at=datetime.now(UTC))
            return lost, None
        made = Delivery(
            event_id=row.event_id,
            source=row.source,
            via=row.via,
            received_at=datetime.fromtimestamp(row.received_at, UTC),
            traceparent=row.traceparent,
        )
        return made, row.body


_DELIVERY: Final = sa.select(delivery).where(delivery.c.id == sa.bindparam("of_delivery"))
