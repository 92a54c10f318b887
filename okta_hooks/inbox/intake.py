"""From Okta into the inbox: what is stored of a delivery before it is answered."""

from __future__ import annotations

import functools
import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import sqlalchemy as sa

from okta_hooks.exceptions import UnreadableEvent
from okta_hooks.wire import reading

from .tables import DEAD, PENDING, delivery, event

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from okta_hooks.wire.events import Delivery, Envelope

    from .database import Database


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
        with self._database.transaction(seconds=seconds, reserved=reserved) as connection:
            return self._add(connection, rows)

    def add(self, connection: sa.Connection, deliveries: Sequence[NewDelivery]) -> list[Stored]:
        """Do :meth:`store` within a transaction that is open already."""
        return self._add(connection, _rows_of(deliveries))

    def _add(self, connection: sa.Connection, prepared: _Rows) -> list[Stored]:
        ids = self._database.next_ids(connection, delivery, len(prepared.deliveries))
        self._database.add(
            connection,
            _STORED_OF_DELIVERY,
            [
                (delivery_id, *row)
                for delivery_id, row in zip(ids, prepared.deliveries, strict=True)
            ],
        )
        rows = [(ids[index], *row) for index, row in prepared.events]
        kept = [(row[0], row[_ORDINAL], row[-1]) for row in rows]
        duplicates: dict[int, set[int]] = {}
        inserted = self._database.add(connection, _STORED_OF_EVENT, rows, skip_known=True)
        if inserted < len(rows):
            of_these = sa.select(event.c.delivery_id, event.c.ordinal, event.c.reason).where(
                event.c.delivery_id.in_(ids)
            )
            kept = [tuple(row) for row in connection.execute(of_these)]
            for row in rows:
                duplicates.setdefault(row[0], set()).add(row[_ORDINAL])
            for delivery_id, ordinal, _ in kept:
                duplicates[delivery_id].discard(ordinal)
            _count_duplicates(
                connection,
                Counter(
                    row[:_IDENTITY]
                    for index, row in prepared.events
                    if prepared.deliveries[index][_VIA] == "hook"
                    and row[_IDENTITY] in duplicates[ids[index]]
                ),
            )
        stored: dict[int, list[str | None]] = {delivery_id: [] for delivery_id in ids}
        for delivery_id, _, reason in kept:
            stored[delivery_id].append(reason)
        bare = [delivery_id for delivery_id, reasons in stored.items() if not reasons]
        if bare:
            connection.execute(delivery.delete().where(delivery.c.id.in_(bare)))
        return [
            Stored(
                new=len(stored[delivery_id]),
                duplicate=number - len(stored[delivery_id]),
                dead=tuple(filter(None, stored[delivery_id])),
                duplicate_places=tuple(sorted(duplicates.get(delivery_id, ()))),
            )
            for delivery_id, number in zip(ids, prepared.numbers, strict=True)
        ]


def _count_duplicates(connection: sa.Connection, events: Counter[tuple[str, str]]) -> None:
    """Note how often events have been delivered again.

    An event that somebody else has locked is left out: the request does not wait for that.

    :param events: The hook and key of each, with how often it was.
    """
    alike: dict[tuple[str, int], list[str]] = {}
    for (hook, key), number in events.items():
        alike.setdefault((hook, number), []).append(key)
    for (hook, number), keys in alike.items():
        for start in range(0, len(keys), _KEYS_AT_ONCE):
            some = event.c.key.in_(keys[start : start + _KEYS_AT_ONCE])
            free = sa.select(event.c.id).where(event.c.hook == hook, some)
            connection.execute(
                event.update()
                .where(event.c.id.in_(free.with_for_update(skip_locked=True)))
                .values(duplicates=sa.func.coalesce(event.c.duplicates, 0) + number)
            )


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
_KEYS_AT_ONCE: Final = 1000
