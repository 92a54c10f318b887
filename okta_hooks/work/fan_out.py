"""From stored events to receipts: which receivers an event has, decided before any transaction begins."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from okta_hooks.exceptions import InboxUnavailable, UnreadableEvent
from okta_hooks.inbox.assignments import Assignment
from okta_hooks.inbox.claims import DEATHS_ALLOWED, DIED_HERE
from okta_hooks.logs import get_logger
from okta_hooks.wire import reading

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from okta_hooks.inbox.assignments import Unassigned

    from .notices import Notices
    from .resources import Resources

logger = get_logger(__name__)

#: How long a pass goes on with events that are to be read one by one.
_SECONDS_OF_READING: Final = 1.0


class FanOut:
    """Gives events that have no receipts yet one for each receiver that is connected to their type."""

    def __init__(self, resources: Resources, notices: Notices) -> None:
        self._resources = resources
        self._notices = notices
        # Ids of unassigned events whose reading is counted already, and has not ended this process.
        self._read: set[int] = set()

    def assign(self, connected: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
        """Give a batch of stored events their receipts; return the receivers that have something to do by that.

        :param connected: The connected receivers, each a hook and a name.
        """
        # A hook without receivers is left alone: a deploy that forgot to import them must not finish events.
        hooks = sorted({hook for hook, _ in connected})
        events = self._resources.inbox.assignments.unassigned(hooks)
        suspects: list[Unassigned] = []
        others: list[Unassigned] = []
        for event in events:
            is_suspect = event.readings and event.event_id not in self._read
            (suspects if is_suspect else others).append(event)
        self._count_readings(others)
        readable = [event for event in others if event.type or event.event_id in self._read]
        assigned = self._assign([self._assignment(event) for event in readable])
        give_up_at = time.monotonic() + _SECONDS_OF_READING
        for event in suspects:
            # One by one: one of these may have ended a process while it was read.
            counted = self._count_readings([event])
            if counted:
                assigned += self._assign([self._assignment(event, *counted)])
            if time.monotonic() > give_up_at:
                break
        receivers = {(item.event.hook, name) for item in assigned for name in item.receivers}
        return receivers.intersection(connected)

    def _count_readings(self, events: Sequence[Unassigned]) -> list[int]:
        """Count the readings that are to come, but for those that this process has begun before, and survived."""
        ids = [event.event_id for event in events if event.type is None]
        fresh = [event_id for event_id in ids if event_id not in self._read]
        counted = self._resources.inbox.assignments.count_readings(fresh) if fresh else {}
        self._read.update(counted)
        return list(counted.values())

    def _assign(self, decided: Sequence[Assignment]) -> list[Assignment]:
        assigned = self._resources.inbox.assignments.assign(decided, self._resources.worker_id)
        self._read.difference_update(item.event.event_id for item in decided)
        for item in assigned:
            if item.reason is not None:
                self._notices.add_unreadable(item.event, item.reason)
        return assigned

    def _assignment(self, event: Unassigned, readings: int = 0) -> Assignment:
        """Decide which receivers an event has.

        :param readings: How often it has been about to be read, in processes that may have died of it.
        """
        if readings > DEATHS_ALLOWED:
            return Assignment(event=event, reason=DIED_HERE)
        try:
            event_type = event.type
            if event_type is None:
                _, raw = self._resources.bodies.event(event.delivery_id, event.ordinal)
                event_type = reading.event_keys(raw).event_type
            receivers = self._resources.hooks[event.hook].receivers.matching(
                event_type, self._resources.app
            )
        except UnreadableEvent as error:
            return Assignment(event=event, reason=error.reason)
        except InboxUnavailable:
            raise
        except Exception as error:
            # If it stayed pending, each pass would fail here before it came to any later event.
            logger.exception(
                "The receivers of the event %(id)d of the hook %(hook)r cannot be determined.",
                {"hook": event.hook, "id": event.event_id},
            )
            return Assignment(
                event=event, reason=f"its receivers cannot be determined: {type(error).__name__}"
            )
        return Assignment(event=event, receivers=tuple(each.name for each in receivers))
