"""The deliveries whose events are being handled, read from the inbox and kept for a while."""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

from okta_hooks.exceptions import UnreadableDelivery
from okta_hooks.threads import start_thread
from okta_hooks.wire import reading

if TYPE_CHECKING:
    from okta_hooks.inbox import Inbox
    from okta_hooks.wire.events import Delivery

_MOST_CHARACTERS: Final = 4 * 1024 * 1024
_MOST_DELIVERIES: Final = 100


class Bodies:
    """The deliveries that were read last: their events are handled one after another, and may be thousands."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, tuple[Delivery, tuple[Any, ...], int]] = OrderedDict()
        self._generation = inbox.generation
        self._characters = 0

    def event(self, delivery_id: int, ordinal: int) -> tuple[Delivery, Any]:
        """Return a delivery and one of its events, as it came; None if retention has taken it."""
        with self._lock:
            if self._generation != self._inbox.generation:
                self._generation = self._inbox.generation
                self._kept.clear()
                self._characters = 0
            if delivery_id in self._kept:
                self._kept.move_to_end(delivery_id)
                delivery, events, _ = self._kept[delivery_id]
                return delivery, _at(events, ordinal)
            generation = self._generation
        delivery, body = self._inbox.deliveries.load(delivery_id)
        events = _events_of(body) if body is not None else ()
        with self._lock:
            # If the database was replaced by another meanwhile, the id may be that of another delivery.
            if delivery_id not in self._kept and generation == self._inbox.generation:
                self._kept[delivery_id] = delivery, events, len(body or "")
                self._characters += len(body or "")
            while len(self._kept) > 1 and (
                self._characters > _MOST_CHARACTERS or len(self._kept) > _MOST_DELIVERIES
            ):
                _, (_, _, characters) = self._kept.popitem(last=False)
                self._characters -= characters
        return delivery, _at(events, ordinal)


def _events_of(body: str) -> tuple[Any, ...]:
    try:
        return reading.load_delivery(body.encode()).events
    except UnreadableDelivery:
        # It could be read when it was stored. How deep JSON may be nested depends on how deep in calls the thread
        # is that reads it: a new one is in none.
        read: list[tuple[Any, ...]] = []

        def read_again() -> None:
            with contextlib.suppress(UnreadableDelivery):
                read.append(reading.load_delivery(body.encode()).events)

        start_thread(read_again, name="okta-hooks-reader").join()
        return read[0] if read else ()


def _at(events: tuple[Any, ...], ordinal: int) -> Any:
    # None, which is no event, also if somebody has changed the body by hand.
    return events[ordinal] if ordinal < len(events) else None
