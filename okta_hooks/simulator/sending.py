"""Sending what is planned: in whatever thread asks for it, and one delivery at a time to each hook."""

from __future__ import annotations

import contextvars
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from okta_hooks.logs import plain_logger

from . import outgoing
from .log_events import failed_delivery

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from okta_hooks.calling import Request, Send

    from .deliveries import PlannedDeliveries, PlannedDelivery
    from .event_hooks import SimulatedHook
    from .hook_registry import HookRegistry

logger = plain_logger(__name__)

_ACCEPTED: Final = (HTTPStatus.OK, HTTPStatus.NO_CONTENT)
#: What is calling a hook or a receiver in this context, and so must not be settled in it. A context variable,
#: because asgiref runs an asynchronous receiver in another thread, with a copy of the context.
_calling_out: Final = contextvars.ContextVar[tuple["Sending", ...]]("calling_out", default=())


class Sending:
    """What an org has at work to deliver.

    :param changed: Guards deliveries and hooks, and is notified when there is something to send.
        It is never held while a hook is called.
    :param send: Sends a request to a hook.
    :param clock: Returns the time.
    :param request: Makes the request that is a delivery.
    :param log: Logs what happened to a hook: called with the event type, the hook, and what else the event says,
        while ``changed`` is held.
    """

    def __init__(
        self,
        deliveries: PlannedDeliveries,
        hooks: HookRegistry,
        changed: threading.Condition,
        *,
        send: Send,
        clock: Callable[[], datetime],
        request: Callable[[SimulatedHook, PlannedDelivery], Request],
        log: Callable[..., None],
    ) -> None:
        self._deliveries = deliveries
        self._hooks = hooks
        self._changed = changed
        self._send_request = send
        self._clock = clock
        self._request = request
        self._log = log

    def deliver_due(self) -> None:
        """Deliver what is due by the clock, in the caller's thread."""
        while (delivery := self._take(self._clock())) is not None:
            self._deliver(delivery)

    def settle(self) -> None:
        """Deliver all that is pending, in the caller's thread, as :meth:`Org.settle` says."""
        if self in _calling_out.get():
            raise RuntimeError("A receiver cannot settle the org that is delivering to it.")
        while True:
            with self._changed:
                delivery = self._deliveries.take(None)
                if delivery is None:
                    if not self._deliveries.is_any_sending:
                        return
                    self._changed.wait()
                    continue
            self._deliver(delivery)

    @contextmanager
    def calling_out(self) -> Iterator[None]:
        """Keep what runs meanwhile from settling this org: it would wait for itself."""
        token = _calling_out.set((*_calling_out.get(), self))
        try:
            yield
        finally:
            _calling_out.reset(token)

    def keep_delivering(self, stopping: threading.Event) -> None:
        """Deliver what is due, as time passes, until told to stop and woken.

        Several threads may do so: each hook gets one delivery after the other.
        """
        while True:
            with self._changed:
                if stopping.is_set():
                    return
                delivery = self._deliveries.take(self._clock())
                if delivery is None:
                    self._changed.wait(self._seconds_to_next())
                    continue
            try:
                self._deliver(delivery)
            except Exception:
                logger.exception("A delivery could not be made.")

    def _take(self, now: datetime) -> PlannedDelivery | None:
        with self._changed:
            return self._deliveries.take(now)

    def _seconds_to_next(self) -> float | None:
        due = self._deliveries.next_due()
        return None if due is None else max((due - self._clock()).total_seconds(), 0)

    def _deliver(self, delivery: PlannedDelivery) -> None:
        state = "failed"
        try:
            with self.calling_out():
                state = self._send(delivery)
        finally:
            with self._changed:
                self._deliveries.finish(delivery, state)
                self._changed.notify_all()

    def _send(self, delivery: PlannedDelivery) -> str:
        """Send a delivery, and return what became of it."""
        with self._changed:
            hook = self._hooks.find(delivery.hook_id)
            if hook is None or not hook.receives:
                return "dropped"
            delivery.url = hook.settings.uri
            request = self._request(hook, delivery)
        send = self._send_request
        if "unavailable" in delivery.faults:
            send = outgoing.refuse_with_503
        elif "timeout" in delivery.faults:
            send = outgoing.without_first_answer(send)
        try:
            outgoing.deliver(send, request, self._clock, delivery.attempts)
        finally:
            state = self._conclude(hook, delivery)
        return state

    def _conclude(self, hook: SimulatedHook, delivery: PlannedDelivery) -> str:
        """Tell what became of a delivery that was sent, and return it."""
        last = delivery.attempts[-1]
        if last.status in _ACCEPTED:
            logger.info(
                "%(count)d events to %(url)s: %(status)d.",
                {"count": len(delivery.events), "url": delivery.url, "status": last.status},
            )
            return "delivered"
        reason = last.error or f"The endpoint answered {last.status}"
        logger.warning(
            "%(count)d events to %(url)s: %(reason)s.",
            {"count": len(delivery.events), "url": delivery.url, "reason": reason},
        )
        with self._changed:
            self._log("event_hook.delivery", hook, **failed_delivery(delivery, reason))
        return "failed"
