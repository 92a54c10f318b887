"""From Okta into the inbox: what is stored of a delivery before it is answered."""

from __future__ import annotations

import functools
import hashlib
import json
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from okta_hooks.exceptions import InboxUnavailable, UnreadableEvent
from okta_hooks.wire import reading

from . import redeliveries
from .database import SECONDS
from .statements import values
from .tables import DEAD, PENDING, delivery, event

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import sqlalchemy as sa

    from okta_hooks.wire.events import Delivery, Envelope

    from .database import Database, Exchange, Statement

_ATTEMPTS: Final = 3


class NewEvent(NamedTuple):
    """What is stored of one event beside its delivery's body. ``reason``: why it cannot be read."""

    key: str
    type: str | None
    published: float | None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDelivery:
    """A delivery that is to be stored.

    ``secret`` is the position of the secret that it was authenticated by, in the list of
    secrets that :func:`okta_hooks.wire.protocol.tag_of` has given the tag ``secret_list``.
    """

    hook: str
    delivery: Delivery
    body: str = field(repr=False)
    events: tuple[NewEvent, ...]
    secret: int | None = None
    secret_list: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What became of a delivery: how many of its events are new, how many were there before.

    ``dead`` holds the reasons of new events that cannot be read, ``duplicate_places`` where in the delivery those are
    that were there before.
    """

    new: int
    duplicate: int
    dead: tuple[str, ...] = ()
    duplicate_places: tuple[int, ...] = field(default=(), compare=False)


def incoming(
    hook: str,
    envelope: Envelope,
    received: Delivery,
    *,
    secret: int | None = None,
    secret_list: int | None = None,
) -> NewDelivery:
    """Return what is to be stored of a delivery.

    :param hook: The hook's name.
    :param envelope: The delivery, of which the keys suffice.
    :param secret: The position of the secret that it was authenticated by, in the list of secrets.
    :param secret_list: The tag of that list: see :func:`okta_hooks.wire.protocol.tag_of`.
    """
    occurrences: dict[str, int] = {}
    text_digest = functools.cache(functools.partial(_digest, envelope.text))
    events = []
    for ordinal, raw in enumerate(envelope.events):
        key = _key(raw, ordinal, occurrences, text_digest)
        try:
            keys = reading.event_keys(raw)
        except UnreadableEvent as unreadable:
            events.append(NewEvent(key=key, type=None, published=None, reason=unreadable.reason))
            continue
        # A type that no column can hold is stored as NULL, and read from the body again when the receivers
        # are decided on: a shortened one would match other receivers than the real one.
        stored_type = _plain(keys.event_type)
        events.append(NewEvent(key=key, type=stored_type, published=keys.published))
    return NewDelivery(
        hook=hook,
        delivery=received,
        body=envelope.text,
        events=tuple(events),
        secret=secret,
        secret_list=secret_list,
    )


def _key(
    raw: Any, ordinal: int, occurrences: dict[str, int], text_digest: Callable[[], str]
) -> str:
    """Return what tells an event from all others of its hook.

    That is its uuid. An event without a uuid that a column can hold is known by a hash of all it says,
    and by how many events of the same delivery that say the same stand before it.
    One that is nested too deep to be written again is known by a hash of the whole delivery, and by its place there.
    """
    uuid = raw.get("uuid") if isinstance(raw, dict) else None
    if isinstance(uuid, str) and reading.is_plain(uuid):
        return uuid
    try:
        canonical = json.dumps(raw, sort_keys=True)
    except RecursionError:
        canonical = f"{ordinal} {text_digest()}"
    digest = _digest(canonical)
    occurrences[digest] = occurrences.get(digest, 0) + 1
    return f"sha256:{digest}:{occurrences[digest]}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(text: str | None) -> str | None:
    """Return a text that any column takes, or None: a NUL in one would cost the whole delivery."""
    return text if text is not None and reading.is_plain(text) else None


class Intake:
    """Stores deliveries, each event of a hook once.

    Its methods raise :exc:`InboxUnavailable` if the database does not do what it is asked.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def store(
        self,
        deliveries: Sequence[NewDelivery],
        *,
        seconds: float | None = None,
        reserved: bool = True,
    ) -> list[Stored]:
        """Store deliveries, all in one transaction, and return what became of each.

        When this returns, they are on the disk.

        :param seconds: What it may take: see :meth:`.Database.transaction`, also for ``reserved``.
        """
        rows = _rows_of(deliveries)
        deadline = time.monotonic() + (SECONDS if seconds is None else seconds)
        sent: list[_Sent] = []
        for _ in range(_ATTEMPTS - 1):
            try:
                return self._store(rows, sent, deadline, reserved=reserved)
            except InboxUnavailable as error:
                if not error.connection_lost or time.monotonic() >= deadline:
                    raise
            # The connection had broken since it was last used: the database may be back already.
        return self._store(rows, sent, deadline, reserved=reserved)

    def _store(
        self, rows: _Rows, sent: list[_Sent], deadline: float, *, reserved: bool
    ) -> list[Stored]:
        """Try to store; what is to be committed is added to ``sent``, for the next attempt if the answer is lost."""
        seconds = max(deadline - time.monotonic(), 0.0)
        with self._database.exchange(seconds=seconds, reserved=reserved) as exchange:
            ids, stored, endings = self._add(exchange, rows)
            if any(each.duplicate for each in stored):
                for earlier in sent:
                    if self._is_committed(exchange, earlier, rows, ids):
                        # What is there was stored by that attempt: it has come once, and is no duplicate.
                        stored = earlier.stored
                        endings = [_some(_DELETE, self._database.placeholder, ids)]
                        break
            sent.append(_Sent(ids, stored))
            exchange.finish(*endings)
        return stored

    def _is_committed(
        self, exchange: Exchange, earlier: _Sent, rows: _Rows, ids: Sequence[int]
    ) -> bool:
        """Return whether an attempt whose answer was lost has been committed, by a delivery that it has kept."""
        for new, row, became in zip(earlier.ids, rows.deliveries, earlier.stored, strict=True):
            if became.new:
                # An id that is given out again was not committed.
                is_free = new not in ids
                asked = _IS_THERE.format(mark=self._database.placeholder)
                given = (new, *(row[column] for column in _SAME))
                return is_free and bool(exchange.run((asked, given))[0])
        return False

    def add(self, connection: sa.Connection, deliveries: Sequence[NewDelivery]) -> list[Stored]:
        """Do :meth:`store` within a transaction that is open already."""
        exchange = self._database.exchange_within(connection)
        _, stored, endings = self._add(exchange, _rows_of(deliveries))
        exchange.run(*endings)
        return stored

    def _add(
        self, exchange: Exchange, rows: _Rows
    ) -> tuple[Sequence[int], list[Stored], list[Statement]]:
        """Insert deliveries and events; return their ids, what became of each, and what else is to be executed."""
        if not rows.deliveries:
            return [], [], []
        mark = self._database.placeholder
        ids = self._database.next_ids(exchange, delivery, len(rows.deliveries))
        of_deliveries = [(new, *row) for new, row in zip(ids, rows.deliveries, strict=True)]
        of_events = [(ids[index], *row) for index, row in rows.events]
        exchange.run(
            values(mark, _STORED_OF_DELIVERY, of_deliveries),
            *self._database.insertion(_STORED_OF_EVENT, of_events, skip_known=True),
        )
        kept = [(row[0], row[_ORDINAL], row[-1]) for row in of_events]
        duplicates: dict[int, set[int]] = {}
        endings: list[Statement] = []
        if exchange.changed < len(of_deliveries) + len(of_events):
            (kept,) = exchange.run(_some(_KEPT, mark, ids))
            for row in of_events:
                duplicates.setdefault(row[0], set()).add(row[_ORDINAL])
            for delivery_id, ordinal, _ in kept:
                duplicates[delivery_id].discard(ordinal)
            endings += redeliveries.addition(
                self._database,
                Counter(
                    row[:_IDENTITY]
                    for index, row in rows.events
                    if rows.deliveries[index][_VIA] == "hook"
                    and row[_IDENTITY] in duplicates[ids[index]]
                ),
            )
        stored: dict[int, list[str | None]] = {delivery_id: [] for delivery_id in ids}
        for delivery_id, _, reason in kept:
            stored[delivery_id].append(reason)
        bare = [delivery_id for delivery_id, reasons in stored.items() if not reasons]
        became = [
            Stored(
                new=len(stored[delivery_id]),
                duplicate=number - len(stored[delivery_id]),
                dead=tuple(filter(None, stored[delivery_id])),
                duplicate_places=tuple(sorted(duplicates.get(delivery_id, ()))),
            )
            for delivery_id, number in zip(ids, rows.numbers, strict=True)
        ]
        if bare:
            endings.append(_some(_DELETE, mark, bare))
        return ids, became, endings


def _some(text: str, placeholder: str, ids: Sequence[int]) -> Statement:
    return text.format(ids=", ".join([placeholder] * len(ids))), ids


_IS_THERE: Final = (
    "SELECT 1 FROM okta_hooks_delivery"
    " WHERE id = {mark} AND hook = {mark} AND body = {mark} AND received_at = {mark}"
)
_KEPT: Final = (
    "SELECT delivery_id, ordinal, reason FROM okta_hooks_event WHERE delivery_id IN ({ids})"
)
_DELETE: Final = "DELETE FROM okta_hooks_delivery WHERE id IN ({ids})"


class _Sent(NamedTuple):
    """What an attempt to store was about to commit: the ids that it gave to the deliveries, and what became of each."""

    ids: Sequence[int]
    stored: list[Stored]


class _Rows(NamedTuple):
    """What is stored of some deliveries, but for the ids that they get in the transaction.

    Each row of an event has the index of its delivery beside it; ``numbers`` is how many events each has.
    """

    deliveries: list[tuple[Any, ...]]
    events: list[tuple[int, tuple[Any, ...]]]
    numbers: list[int]


def _rows_of(deliveries: Sequence[NewDelivery]) -> _Rows:
    """Prepare rows before the transaction, which others wait for."""
    of_deliveries = [
        (
            new.hook,
            new.delivery.via,
            _plain(new.delivery.event_id),
            _plain(new.delivery.source),
            new.secret,
            new.secret_list,
            new.body,
            new.delivery.received_at.timestamp(),
            new.delivery.traceparent,
        )
        for new in deliveries
    ]
    of_events = [
        (
            index,
            (
                new.hook,
                item.key,
                ordinal,
                item.type,
                item.published,
                PENDING if item.reason is None else DEAD,
                item.reason,
            ),
        )
        for index, new in enumerate(deliveries)
        for ordinal, item in enumerate(new.events)
    ]
    # Sorted by key: two transactions that insert the same keys lock them in the same order, and cannot deadlock.
    # The order in which Okta delivered the events is kept in (delivery_id, ordinal).
    of_events.sort(key=lambda row: row[1][:2])
    return _Rows(of_deliveries, of_events, [len(new.events) for new in deliveries])


_STORED_OF_DELIVERY: Final = (
    delivery.c.id,
    delivery.c.hook,
    delivery.c.via,
    delivery.c.event_id,
    delivery.c.source,
    delivery.c.secret,
    delivery.c.secret_list,
    delivery.c.body,
    delivery.c.received_at,
    delivery.c.traceparent,
)
_STORED_OF_EVENT: Final = (
    event.c.delivery_id,
    event.c.hook,
    event.c.key,
    event.c.ordinal,
    event.c.type,
    event.c.published,
    event.c.state,
    event.c.reason,
)
_ORDINAL: Final = _STORED_OF_EVENT.index(event.c.ordinal)
#: What tells an event from others: its hook and its key, which stand first in a row without its delivery.
_IDENTITY: Final = 2
_VIA: Final = _STORED_OF_DELIVERY.index(delivery.c.via) - 1
#: What tells a delivery from another of the same id, in a database that lacks the last transactions.
_SAME: Final = tuple(
    _STORED_OF_DELIVERY.index(column) - 1
    for column in (delivery.c.hook, delivery.c.body, delivery.c.received_at)
)
