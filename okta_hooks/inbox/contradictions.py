"""Events that a hook delivered otherwise than the System Log has them: previews that somebody has edited.

Okta's Preview sends a past event with its uuid, which an administrator may have changed before. Nothing in a delivery
tells it from the real one; the log has the real one only.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import sqlalchemy as sa

from okta_hooks.exceptions import UnreadableDelivery
from okta_hooks.wire import reading
from okta_hooks.wire.content import content_of

from .keys import has_key
from .tables import delivery, event, log_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from okta_hooks.wire.content import Content

    from .database import Database
    from .intake import NewDelivery

T = TypeVar("T")

_UUIDS_AT_ONCE: Final = 250
#: A body may have megabytes.
_BODIES_AT_ONCE: Final = 10
#: Commands wait for it, no request does.
_SECONDS: Final = 120.0


class Match(Enum):
    """What the inbox has of an event of the log."""

    #: A hook delivered it, and the two do not contradict each other.
    SAME = "same"
    #: What a hook delivered under its uuid contradicts it, or cannot be read.
    DIFFERENT = "different"
    #: What a hook delivered under its uuid has no body any more.
    NOT_COMPARED = "not compared"
    #: It came from the log.
    FROM_LOG = "from log"
    #: It came from the log, and is stored under :func:`~okta_hooks.inbox.tables.log_key`.
    UNDER_LOG_KEY = "under log key"


class _Delivered(NamedTuple):
    """Where an event is that a hook delivered."""

    uuid: str
    delivery_id: int
    ordinal: int


class Contradictions:
    """Compares events of the log with what is stored under their uuids.

    Its methods raise :exc:`InboxUnavailable` if the database does not do what it is asked. They are not for within a
    transaction, nor for a request: bodies are read and parsed.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def compare(self, new: NewDelivery, events: Sequence[Any]) -> dict[int, Match]:
        """Return what the inbox has of the events of a delivery, by their places in it.

        An event is left out if nothing is stored under its uuid, or if it has none that a column can hold.

        :param new: What is to be stored of a page of the log.
        :param events: Its events, as the log has them.
        """
        places: dict[str, list[int]] = {}
        for place, (item, raw) in enumerate(zip(new.events, events, strict=True)):
            if isinstance(raw, dict) and raw.get("uuid") == item.key:
                places.setdefault(item.key, []).append(place)
        matches: dict[int, Match] = {}
        delivered: list[_Delivered] = []
        for batch in _batches(list(places), _UUIDS_AT_ONCE):
            rows = self._rows(new.hook, batch)
            for uuid in batch:
                second, first = rows.get(log_key(uuid)), rows.get(uuid)
                if second is not None and second.via == "backfill":
                    match = Match.UNDER_LOG_KEY
                elif first is None:
                    continue
                elif first.via == "backfill":
                    match = Match.FROM_LOG
                else:
                    match = Match.NOT_COMPARED
                    delivered.append(_Delivered(uuid, first.delivery_id, first.ordinal))
                matches.update(dict.fromkeys(places[uuid], match))
        for uuid, content in self._contents(delivered):
            for place in places[uuid]:
                matches[place] = _match(content_of(events[place]), content)
        return matches

    def _rows(self, hook: str, uuids: Sequence[str]) -> dict[str, Any]:
        """Return where events are, and how they came, by their keys."""
        keys = [*uuids, *map(log_key, uuids)]
        query = (
            sa.select(event.c.key, event.c.delivery_id, event.c.ordinal, delivery.c.via)
            .join(delivery, delivery.c.id == event.c.delivery_id)
            .where(event.c.hook == hook, has_key(keys))
        )
        with self._database.reading(seconds=_SECONDS) as connection:
            return {row.key: row for row in connection.execute(query)}

    def _contents(self, delivered: Sequence[_Delivered]) -> Iterator[tuple[str, Content | None]]:
        """Yield the uuids of those that have a body, each with what it says happened; None if it cannot be read."""
        of_deliveries: dict[int, list[_Delivered]] = {}
        for each in delivered:
            of_deliveries.setdefault(each.delivery_id, []).append(each)
        for ids in _batches(sorted(of_deliveries), _BODIES_AT_ONCE):
            query = sa.select(delivery.c.id, delivery.c.body).where(
                delivery.c.id.in_(ids), delivery.c.body.is_not(None)
            )
            with self._database.reading(seconds=_SECONDS) as connection:
                rows = connection.execute(query).all()
            for row in rows:
                events = _events_of(row.body)
                for each in of_deliveries[row.id]:
                    if each.ordinal < len(events):
                        yield each.uuid, content_of(events[each.ordinal])


def _match(of_log: Content | None, delivered: Content | None) -> Match:
    if of_log is None:
        return Match.SAME
    is_different = delivered is None or of_log.contradicts(delivered)
    return Match.DIFFERENT if is_different else Match.SAME


def _events_of(body: str) -> Sequence[Any]:
    try:
        return reading.load_delivery(body.encode()).events
    except UnreadableDelivery:  # it is nested deeper than this thread can read
        return ()


def _batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for begin in range(0, len(items), size):
        yield items[begin : begin + size]
