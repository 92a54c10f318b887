"""What is in the database, row by row, and the connection that reads it after each transaction."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import psycopg
import sqlalchemy as sa


class EventRow(NamedTuple):
    """An event as the database has it."""

    id: int
    key: str
    state: str
    delivery_id: int


class ReceiptRow(NamedTuple):
    """A receipt as the database has it."""

    event_id: int
    receiver: str
    state: str
    due: float
    wait: float | None
    attempts: int
    claims: int
    worker: str | None
    error: str | None


class DeliveryRow(NamedTuple):
    """A delivery as the database has it."""

    id: int
    received_at: float
    has_body: bool


class WorkerRow(NamedTuple):
    """A worker as the database has it."""

    id: str
    alive_until: float
    is_stopping: int | None
    alone_event: int | None
    alone_receiver: str | None
    alone_claims: int | None


@dataclass
class Rows:
    """Everything in the database."""

    events: dict[int, EventRow] = field(default_factory=dict)
    receipts: dict[tuple[int, str], ReceiptRow] = field(default_factory=dict)
    deliveries: dict[int, DeliveryRow] = field(default_factory=dict)
    workers: dict[str, WorkerRow] = field(default_factory=dict)
    #: How many events are done by the totals, and receipts of each receiver.
    done_events: int = 0
    done_receipts: dict[str, int] = field(default_factory=dict)


class Observer:
    """Reads all tables, quicker than through the package."""

    def __init__(self, url: str) -> None:
        parsed = sa.make_url(url)
        self._is_sqlite = parsed.get_backend_name() == "sqlite"
        if self._is_sqlite:
            self._path = Path(str(parsed.database))
            self._sqlite = sqlite3.connect(self._path, isolation_level=None)
        else:
            self._postgresql = psycopg.connect(url, autocommit=True)

    def look(self) -> Rows:
        """Return everything that is in the database."""
        tables = self._look_sqlite() if self._is_sqlite else self._look_postgresql()
        events, receipts, deliveries, workers, totals = tables
        return Rows(
            events={row[0]: EventRow(*row) for row in events},
            receipts={(row[0], row[1]): ReceiptRow(*row) for row in receipts},
            deliveries={row[0]: DeliveryRow(row[0], row[1], bool(row[2])) for row in deliveries},
            workers={row[0]: WorkerRow(*row) for row in workers},
            done_events=sum(int(row[1]) for row in totals),
            done_receipts={row[0]: int(row[2]) for row in totals},
        )

    def _look_sqlite(self) -> list[list[Any]]:
        return [self._sqlite.execute(query).fetchall() for query in _QUERIES]

    def _look_postgresql(self) -> list[list[Any]]:
        # In one message: without parameters, a query may be several.
        cursor = self._postgresql.execute("; ".join(_QUERIES).encode())
        found = [cursor.fetchall()]
        while cursor.nextset():
            found.append(cursor.fetchall())
        return found

    def forget(self) -> None:
        """Delete everything."""
        for table in ("receipt", "attempt", "event", "delivery", "worker", "lane", "total", "hour"):
            statement = f"DELETE FROM okta_hooks_{table}"
            if self._is_sqlite:
                self._sqlite.execute(statement)
            else:
                self._postgresql.execute(statement.encode())

    def close(self) -> None:
        """Let go of the database."""
        (self._sqlite if self._is_sqlite else self._postgresql).close()


_QUERIES: Final = (
    "SELECT id, key, state, delivery_id FROM okta_hooks_event ORDER BY id",
    (
        "SELECT event_id, receiver, state, due, wait, attempts, claims, worker, error"
        " FROM okta_hooks_receipt ORDER BY event_id, receiver"
    ),
    "SELECT id, received_at, body IS NOT NULL FROM okta_hooks_delivery ORDER BY id",
    (
        "SELECT id, alive_until, is_stopping, alone_event, alone_receiver, alone_claims"
        " FROM okta_hooks_worker ORDER BY id"
    ),
    "SELECT receiver, sum(events), sum(receipts) FROM okta_hooks_total GROUP BY receiver",
)
