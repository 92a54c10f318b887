"""Events that contradict what is stored under their uuid: one of the two is a preview that somebody has edited.

Okta's Preview sends a past event with its uuid, which an administrator may have changed before. Nothing in a delivery
tells it from the real one, so neither may take the other's place.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from okta_hooks.exceptions import InboxUnavailable, UnreadableDelivery
from okta_hooks.wire import reading
from okta_hooks.wire.content import content_of

from .tables import delivery, event

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from okta_hooks.wire.content import Content

    from .database import Database
    from .intake import NewDelivery, NewEvent

_KEYS_AT_ONCE: Final = 500
#: A body may have megabytes.
_BODIES_AT_ONCE: Final = 20


class Contradictions:
    """Finds them, and gives each a key of its own: the uuid, and a short hash of what it says happened.

    What has lost its body contradicts nothing any more. Its methods raise :exc:`InboxUnavailable` if the database does
    not do what it is asked. They are not for within a transaction: bodies are read and parsed.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def told_apart(
        self, new: NewDelivery, events: Sequence[Any], *, seconds: float | None = None
    ) -> NewDelivery:
        """Return a delivery that may be stored without losing an event of it to another of the same uuid.

        :param events: Its events as they came.
        :param seconds: What it may take.
        """
        told = self._told_apart(new, list(enumerate(new.events)), events, seconds)
        if not told:
            return new
        made = [told.get(place, item) for place, item in enumerate(new.events)]
        return replace(new, events=tuple(made))

    def beside(
        self, new: NewDelivery, repeated: Collection[int], *, seconds: float | None = None
    ) -> NewDelivery | None:
        """Return what is to be stored of a delivery that was stored, beside events of the same uuid, or None.

        :param repeated: The places in it of the events that were there before.
        :param seconds: What it may take.
        """
        items = [(place, new.events[place]) for place in repeated]
        told = self._told_apart(new, items, _events_of(new.body), seconds)
        if not told:
            return None
        return replace(new, events=tuple(item for _, item in sorted(told.items())))

    def _told_apart(
        self,
        new: NewDelivery,
        items: Sequence[tuple[int, NewEvent]],
        events: Sequence[Any],
        seconds: float | None,
    ) -> dict[int, NewEvent]:
        """Return those that contradict what is stored, by their place, with a key of their own."""
        said = {
            place: content
            for place, item in items
            if place < len(events)
            and _has_uuid(events[place], item.key)
            and (content := content_of(events[place])) is not None
        }
        stored = self._stored(new.hook, {new.events[place].key for place in said}, seconds)
        told = {}
        for place, content in said.items():
            item = new.events[place]
            if item.key not in stored:
                continue
            there = stored[item.key]
            if there is None or content.contradicts(there):
                key = f"{item.key}~{content.digest}"
                told[place] = item._replace(key=key, place=place, is_beside=True)
        return told

    def _stored(
        self, hook: str, keys: Collection[str], seconds: float | None
    ) -> dict[str, Content | None]:
        """Return what stored events say happened, by key; None where that cannot be read."""
        deadline = None if seconds is None else time.monotonic() + seconds
        found: dict[str, Content | None] = {}
        for some in _slices(sorted(keys), _KEYS_AT_ONCE):
            places = sa.select(event.c.delivery_id, event.c.ordinal, event.c.key).where(
                event.c.hook == hook, event.c.key.in_(some)
            )
            in_delivery: dict[int, list[tuple[int, str]]] = {}
            with self._database.reading(seconds=_left(deadline)) as connection:
                for delivery_id, ordinal, key in connection.execute(places):
                    in_delivery.setdefault(delivery_id, []).append((ordinal, key))
            for ids in _slices(sorted(in_delivery), _BODIES_AT_ONCE):
                bodies = sa.select(delivery.c.id, delivery.c.body).where(
                    delivery.c.id.in_(ids), delivery.c.body.is_not(None)
                )
                with self._database.reading(seconds=_left(deadline)) as connection:
                    read = connection.execute(bodies).all()
                for delivery_id, body in read:
                    _left(deadline)
                    events = _events_of(body)
                    for ordinal, key in in_delivery[delivery_id]:
                        if ordinal < len(events):
                            found[key] = content_of(events[ordinal])
        return found


def _events_of(body: str) -> Sequence[Any]:
    try:
        return reading.load_delivery(body.encode()).events
    except UnreadableDelivery:  # it is nested deeper than this thread can read
        return ()


def _has_uuid(raw: Any, key: str) -> bool:
    return isinstance(raw, dict) and raw.get("uuid") == key


def _slices(things: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for begin in range(0, len(things), size):
        yield things[begin : begin + size]


def _left(deadline: float | None) -> float | None:
    if deadline is None:
        return None
    left = deadline - time.monotonic()
    if left <= 0:
        raise InboxUnavailable("what is stored could not be compared in time", is_transient=True)
    return left
