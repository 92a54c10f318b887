"""What comes of attempts: the signals and log lines about them, once they are settled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from okta_hooks import signals
from okta_hooks.exceptions import RetryLater
from okta_hooks.inbox.tables import DEAD, DONE, PENDING
from okta_hooks.logs import get_logger

from . import dispatch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from okta_hooks.inbox.claims import Settlement
    from okta_hooks.wire.events import Delivery, LogEvent

    from .in_hand import Settled
    from .resources import Resources

logger = get_logger(__name__)


class Attempt(NamedTuple):
    """An attempt that is over."""

    settlement: Settlement
    delivery: Delivery
    event: LogEvent | None
    error: BaseException | None = None


class Outcomes:
    """Sends the signals about one receiver's attempts."""

    def __init__(self, resources: Resources, hook: str, receiver: str) -> None:
        self._resources = resources
        self._hook = hook
        self._receiver = receiver

    def notify(self, attempts: Sequence[Attempt], settled: Settled) -> None:
        """Send the signals about attempts, in their order.

        :param settled: Which of them count, and the events that they closed.
        """
        counted = {item.claim.event_id: item for item in settled.counted}
        if len(counted) < len(attempts):
            logger.warning(
                "%(count)d receipts of %(receiver)s were taken over by another worker: the lease had run out.",
                {
                    "hook": self._hook,
                    "receiver": self._receiver,
                    "count": len(attempts) - len(counted),
                },
            )
        for attempt in attempts:
            event_id = attempt.settlement.claim.event_id
            settlement = counted.get(event_id)
            self._notify_ran(attempt, settlement)
            if settlement is not None:
                self._notify_closed(attempt, settlement, settled.closed.get(event_id))

    def _notify_ran(self, item: Attempt, counted: Settlement | None) -> None:
        if item.event is None:
            return
        number = item.settlement.claim.attempts + 1
        dispatch.notify_ran(
            self._resources.app,
            hook=self._resources.hooks[self._hook],
            receiver=self._receiver,
            event=item.event,
            delivery=item.delivery,
            attempt=number,
            error=item.error,
        )
        if counted is not None and counted.state == PENDING:
            logger.warning(
                "Attempt %(attempt)d of the receiver %(receiver)s on %(event)s failed; the next is in "
                "%(wait_seconds).0f s.",
                {
                    "hook": self._hook,
                    "receiver": self._receiver,
                    "attempt": number,
                    "wait_seconds": counted.wait,
                    "error_type": None if item.error is None else type(item.error).__name__,
                    "delivery": item.delivery.event_id,
                    "via": item.delivery.via,
                    **dispatch.about(item.event),
                },
                exc_info=None if isinstance(item.error, RetryLater) else item.error,
            )

    def _notify_closed(self, item: Attempt, settlement: Settlement, state: str | None) -> None:
        resources = self._resources
        context: dict[str, Any] = {
            "hook": resources.hooks[self._hook],
            "event": item.event,
            "delivery": item.delivery,
        }
        if settlement.state == DEAD:
            dispatch.notify_dead(
                resources.app,
                **context,
                receiver=self._receiver,
                reason=settlement.error or "",
                error=item.error,
            )
        elif state == DONE and item.event is not None:
            signals.notify(signals.event_done, resources.app, **context)
