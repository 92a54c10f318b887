"""What is logged, and sent as signals, about dead letters and inconsistencies that no lane has found."""

from __future__ import annotations

import logging
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Final

from okta_hooks import signals
from okta_hooks.exceptions import InboxUnavailable, UnreadableEvent
from okta_hooks.inbox.claims import DIED_HERE
from okta_hooks.logs import get_logger
from okta_hooks.wire import reading

from . import dispatch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from okta_hooks.inbox.assignments import Unassigned
    from okta_hooks.inbox.consistency import Inconsistency
    from okta_hooks.inbox.workers import DeadReceipt
    from okta_hooks.wire.events import Delivery, LogEvent

    from .housekeeping import Quota
    from .resources import Resources

logger = get_logger(__name__)

_SECONDS_BETWEEN: Final = 0.4


class Notices:
    """What a pass has found is added here, and sent by another thread: a handler of a signal may take long."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._unsent: deque[Callable[[], None]] = deque()
        self._numbers: dict[tuple[str, str], int] = {}

    def add_dead(self, receipts: Sequence[DeadReceipt], reason: str = DIED_HERE) -> None:
        """Add receipts that were given up without an attempt."""
        self._unsent.extend(partial(self._send_dead, receipt, reason) for receipt in receipts)

    def add_unreadable(self, event: Unassigned, reason: str) -> None:
        """Add an event that is dead because its receivers cannot be determined."""
        self._unsent.append(partial(self._send_unreadable, event, reason))

    def add_inconsistencies(self, found: Sequence[Inconsistency]) -> None:
        """Add what was repaired, and of what stays as it is, that of which the number has changed."""
        for item in found:
            if item.repaired or self._numbers.get((item.kind, item.hook)) != item.number:
                self._unsent.append(partial(self._send_inconsistency, item))
            self._numbers[item.kind, item.hook] = item.number

    def add_quota(self, found: Quota | None) -> None:
        """Add that much of Okta's quota is used, if that was found."""
        if found is not None:
            self._unsent.append(partial(self._send_quota, found))

    def send_until_stopped(self) -> None:
        """Send what is added, until the worker is to stop."""
        is_stopped = False
        while not is_stopped:
            is_stopped = self._resources.stopping.wait(_SECONDS_BETWEEN)
            try:
                self.send()
            except InboxUnavailable as error:
                self._resources.outage.failed(error)
            except BaseException:
                logger.exception("The signals about dead letters could not be sent.")

    def send(self) -> None:
        """Send what was added.

        :raises InboxUnavailable: if a dead letter cannot be read now; what is not sent yet stays.
        """
        while self._unsent:
            send = self._unsent.popleft()
            try:
                send()
            except InboxUnavailable:
                self._unsent.appendleft(send)
                raise

    def _send_dead(self, died: DeadReceipt, reason: str) -> None:
        resources = self._resources
        if died.hook not in resources.hooks:
            # Of another app over the same inbox, whose signals are not ours to send.
            logger.error(
                "Dead letter of the hook %(hook)r, for %(receiver)s: %(reason)s",
                {
                    "hook": died.hook,
                    "receiver": died.receiver,
                    "id": died.event_id,
                    "reason": reason,
                },
            )
            return
        position = resources.inbox.deliveries.position_of(died.event_id)
        if position is None:
            return
        delivery, event = self._event_at(*position)
        dispatch.notify_dead(
            resources.app,
            hook=resources.hooks[died.hook],
            delivery=delivery,
            event=event,
            receiver=died.receiver,
            reason=reason,
        )

    def _send_unreadable(self, event: Unassigned, reason: str) -> None:
        resources = self._resources
        delivery, _ = resources.bodies.event(event.delivery_id, event.ordinal)
        dispatch.notify_dead(
            resources.app,
            hook=resources.hooks[event.hook],
            delivery=delivery,
            event=None,
            receiver=None,
            reason=reason,
        )

    def _send_inconsistency(self, found: Inconsistency) -> None:
        if found.repaired:
            logger.warning(
                "In the inbox: %(count)d times a %(finding)s, of the hook %(hook)r, which has been put right.",
                {
                    "hook": found.hook,
                    "count": found.number,
                    "finding": found.kind.description,
                    "kind": found.kind.value,
                },
            )
        else:
            logger.warning(
                "In the inbox: %(count)d times a %(finding)s, of the hook %(hook)r.",
                {
                    "hook": found.hook,
                    "count": found.number,
                    "finding": found.kind.description,
                    "kind": found.kind.value,
                },
            )
        signals.notify(
            signals.inconsistency_found,
            self._resources.app,
            hook=self._resources.hooks.get(found.hook),
            kind=found.kind,
            number=found.number,
            repaired=found.repaired,
        )

    def _send_quota(self, found: Quota) -> None:
        is_used_up = found.number >= found.allowed
        logger.log(
            logging.ERROR if is_used_up else logging.WARNING,
            "At least %(count)d events have come in 24 hours; of an org, Okta sends %(limit)d in that time "
            "to all of its hooks, and no more.",
            {"count": found.number, "limit": found.allowed},
        )
        signals.notify(
            signals.quota_reached, self._resources.app, number=found.number, limit=found.allowed
        )

    def _event_at(self, delivery_id: int, ordinal: int) -> tuple[Delivery, LogEvent | None]:
        delivery, raw = self._resources.bodies.event(delivery_id, ordinal)
        try:
            return delivery, reading.load_event(raw)
        except UnreadableEvent:
            return delivery, None
