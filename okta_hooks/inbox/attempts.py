"""What has happened to one event, attempt by attempt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from .tables import DONE, PENDING, attempt, delivery, event, receipt

if TYPE_CHECKING:
    from .database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """An attempt of a receiver.

    ``outcome`` is the state that its receipt got: ``done``, ``pending`` (it is tried again), or ``dead``.
    ``ended_at`` is in seconds since the epoch; ``seconds`` is how long the receiver ran, or None if it was not called.
    """

    receiver: str
    number: int
    outcome: str
    ended_at: float
    seconds: float | None
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptNow:
    """How it stands with one receiver.

    ``next_at`` is when its next attempt is due, in seconds since the epoch, or None if none is to come;
    ``deaths`` is how many processes have died while they had it in hand since its last attempt that ended,
    ``worker`` who has it in hand. ``ended_at`` and ``seconds`` are of its last attempt, if that is known.
    """

    receiver: str
    state: str
    attempts: int
    deaths: int
    next_at: float | None
    worker: str | None
    error: str | None
    ended_at: float | None
    seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """What has happened to one event. Times are in seconds since the epoch.

    ``attempts`` are in the order of time: of each receiver the last failed ones, and the one that succeeded.
    ``duplicates`` is how often a hook has delivered it again, ``traceparent`` the W3C trace of its delivery.
    """

    event_id: int
    published: float | None
    received_at: float
    via: str
    delivery: str | None
    source: str | None
    traceparent: str | None
    duplicates: int
    attempts: tuple[Attempt, ...]
    receipts: tuple[ReceiptNow, ...]


class Attempts:
    """Tells what has happened to an event.

    Its methods raise :exc:`InboxUnavailable` if the database does not do what it is asked.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def timeline(self, event_id: int) -> Timeline | None:
        """Return what has happened to an event, or None if it is gone.

        :param event_id: Its id in the inbox: see :class:`.StoredEvent`.
        """
        of_event = (
            sa.select(
                event.c.published,
                event.c.duplicates,
                delivery.c.received_at,
                delivery.c.via,
                delivery.c.event_id,
                delivery.c.source,
                delivery.c.traceparent,
            )
            .join(delivery, delivery.c.id == event.c.delivery_id)
            .where(event.c.id == event_id)
        )
        failed = sa.select(*_SHOWN).where(attempt.c.event_id == event_id)
        receipts = (
            sa.select(receipt).where(receipt.c.event_id == event_id).order_by(receipt.c.receiver)
        )
        with self._database.reading() as connection:
            row = connection.execute(of_event).one_or_none()
            if row is None:
                return None
            found = [Attempt(**one) for one in connection.execute(failed).mappings()]
            now = connection.execute(receipts).all()
        found += [
            Attempt(
                receiver=one.receiver,
                number=one.attempts,
                outcome=DONE,
                ended_at=one.ended_at,
                seconds=one.seconds,
                error=None,
            )
            for one in now
            if one.state == DONE and one.ended_at is not None
        ]
        return Timeline(
            event_id=event_id,
            published=row.published,
            received_at=row.received_at,
            via=row.via,
            delivery=row.event_id,
            source=row.source,
            traceparent=row.traceparent,
            duplicates=row.duplicates or 0,
            attempts=tuple(sorted(found, key=lambda one: (one.ended_at, one.receiver, one.number))),
            receipts=tuple(_now(one, row.received_at) for one in now),
        )


def _now(row: Any, received_at: float) -> ReceiptNow:
    is_held = row.worker is not None
    return ReceiptNow(
        receiver=row.receiver,
        state=row.state,
        attempts=row.attempts,
        deaths=max(row.claims - is_held - row.attempts, 0),
        # What is due at once has been since it was received.
        next_at=(row.due if row.due > 0 else received_at) if row.state == PENDING else None,
        worker=row.worker,
        error=row.error,
        ended_at=row.ended_at,
        seconds=row.seconds,
    )


_SHOWN: Final = [
    attempt.c[name] for name in ("receiver", "number", "outcome", "ended_at", "seconds", "error")
]
