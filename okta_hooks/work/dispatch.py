"""The one place where receivers are called, each in an application context of its own, and what is sent about that."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from okta_hooks import host_code, signals, tracing
from okta_hooks.exceptions import Reject, UnreadableEvent
from okta_hooks.logs import get_logger
from okta_hooks.threads import start_thread
from okta_hooks.wire import reading

from . import interruption

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flask import Flask

    from okta_hooks.receivers import Hook, Receiver
    from okta_hooks.wire.events import Delivery, LogEvent

logger = get_logger(__name__)


class ReceiverTimeout(TimeoutError):
    """A receiver has not returned within its ``timeout``."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"it did not return within {seconds:g} s")


def run(
    app: Flask,
    receiver: Receiver,
    *,
    hook: Hook,
    event: LogEvent,
    delivery: Delivery,
    attempt: int,
    on_given_up: Callable[[threading.Thread], object] | None = None,
) -> BaseException | None:
    """Send ``receiver_started``, and call one receiver for one event, in an application context of its own.

    :param app: The application object itself, not a proxy: receivers may be connected to it alone.
    :param attempt: 1 for the first time.
    :param on_given_up: Gets the thread of a receiver that is not waited for any longer.
    :return: what the receiver raised, or None. No signal has been sent about it: see :func:`notify_ran`.
    """
    context: dict[str, Any] = {
        "hook": hook,
        "event": event,
        "delivery": delivery,
        "attempt": attempt,
    }

    def call() -> None:
        error: BaseException | None = None
        span = tracing.begin(
            lambda tracer: tracer.process(hook.name, receiver.name, event, delivery, attempt)
        )
        try:
            # In here, so that a handler of it counts against the timeout.
            signals.notify(signals.receiver_started, app, **context, receiver=receiver.name)
            with app.app_context(), interruption.receiving():
                host_code.call(app, receiver.call, **context)
        except BaseException as raised:
            error = raised
            raise
        finally:
            tracing.end(span, error)

    if receiver.timeout is None:
        return host_code.contained(call)
    return _run_within(receiver.timeout, call, receiver.name, on_given_up)


def _run_within(
    seconds: float,
    call: Callable[[], None],
    receiver: str,
    on_given_up: Callable[[threading.Thread], object] | None,
) -> BaseException | None:
    """Call a receiver in a thread, and wait for it no longer than it may take.

    Nothing can end a thread: it may go on, but whatever comes of it is not looked at any more.
    """
    outcome: list[BaseException | None] = []
    # `Thread.join` takes a thread for ended if a handler of a signal interrupts it, before Python 3.13.
    is_over = threading.Event()

    def run_here() -> None:
        outcome.append(host_code.contained(call))
        is_over.set()

    def wait() -> None:
        # A time limit of Celery's raises in the main thread, which waits here.
        with interruption.receiving():
            is_over.wait(seconds)

    thread = start_thread(run_here, name=f"okta-hooks-timed-{receiver}")
    interrupted = host_code.contained(wait)
    # Looked at once: it may end at this very moment.
    ended = tuple(outcome)
    if ended:
        return ended[0]
    if on_given_up is not None:
        on_given_up(thread)
    return interrupted or ReceiverTimeout(seconds)


def notify_ran(
    app: Flask,
    *,
    hook: Hook,
    receiver: str,
    event: LogEvent,
    delivery: Delivery,
    attempt: int,
    error: BaseException | None,
) -> None:
    """Send ``receiver_done`` about an attempt, or with an error ``receiver_failed``."""
    context = {
        "hook": hook,
        "receiver": receiver,
        "event": event,
        "delivery": delivery,
        "attempt": attempt,
    }
    if error is None:
        signals.notify(signals.receiver_done, app, **context)
    else:
        signals.notify(signals.receiver_failed, app, **context, error=error)


def run_delivery(
    app: Flask, hook: Hook, delivery: Delivery, events: Iterable[object]
) -> list[BaseException]:
    """Run every receiver of every event of a delivery, here and now.

    About an event that cannot be read, or that a receiver rejects, ``event_dead`` is sent.

    :param hook: The :class:`~okta_hooks.EventHook` that received it.
    :param events: The elements of ``data.events``.
    :return: what the receivers raised that another attempt may cure.
    """
    failures: list[BaseException] = []
    context: dict[str, Any] = {"hook": hook, "delivery": delivery}
    for raw in events:
        try:
            event = reading.load_event(raw)
        except UnreadableEvent as unreadable:
            notify_dead(app, **context, event=None, receiver=None, reason=unreadable.reason)
            continue
        all_done = True
        for receiver in hook.receivers.matching(event.event_type, app):
            error = run(app, receiver, **context, event=event, attempt=1)
            notify_ran(app, **context, receiver=receiver.name, event=event, attempt=1, error=error)
            if error is None:
                continue
            all_done = False
            if isinstance(error, Reject):
                reason = host_code.text_of(error)
                notify_dead(app, **context, event=event, receiver=receiver.name, reason=reason)
            else:
                failures.append(error)
        if all_done:
            signals.notify(signals.event_done, app, **context, event=event)
    return failures


def notify_stored(
    app: Flask, *, hook: Hook, delivery: Delivery, new: int, duplicate: int, dead: Iterable[str]
) -> None:
    """Send the signals about a delivery that is in the inbox now: ``event_dead``, and then ``delivery_stored``.

    :param dead: Why those of its events that are new cannot be read, for each that cannot.
        One signal and one line of the log stand for all of them.
    """
    reasons = list(dead)
    if reasons:
        # Once for all of them: a hostile delivery may hold thousands.
        several = f"{len(reasons)} events cannot be read. The first: {reasons[0]}"
        reason = several if len(reasons) > 1 else reasons[0]
        notify_dead(app, hook=hook, delivery=delivery, event=None, receiver=None, reason=reason)
    signals.notify(
        signals.delivery_stored, app, hook=hook, delivery=delivery, new=new, duplicate=duplicate
    )


def about(event: LogEvent | None) -> dict[str, str | None]:
    """Return what messages say of an event: the event itself, its type and its uuid."""
    if event is None:
        return {"event": "an unreadable event", "event_type": None, "uuid": None}
    return {"event": repr(event), "event_type": event.event_type, "uuid": event.uuid}


def _origin(delivery: Delivery) -> str:
    if delivery.via == "backfill":
        return "a backfill"
    if delivery.event_id is None:
        return "a delivery without an eventId"
    return f"the delivery {delivery.event_id!r}"


def notify_dead(
    app: Flask,
    *,
    hook: Hook,
    delivery: Delivery,
    event: LogEvent | None,
    receiver: str | None,
    reason: str,
    error: BaseException | None = None,
) -> None:
    """Log that an event will not be tried again by itself, and send ``event_dead``.

    :param error: What the receiver raised at last, for the log.
    """
    logger.error(
        "Dead letter of the hook %(hook)r: %(event)s for %(receivers)s, from %(origin)s: %(reason)s",
        {
            "hook": hook.name,
            "receiver": receiver,
            "receivers": receiver or "all receivers",
            "delivery": delivery.event_id,
            "via": delivery.via,
            "origin": _origin(delivery),
            "reason": reason,
            **about(event),
        },
        exc_info=error if not isinstance(error, Reject) else None,
    )
    signals.notify(
        signals.event_dead,
        app,
        hook=hook,
        delivery=delivery,
        event=event,
        receiver=receiver,
        reason=reason,
    )
