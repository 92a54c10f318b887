"""Running receivers: a fresh application context for each call, and no failure that reaches another."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

from okta_hooks import signals
from okta_hooks.exceptions import Reject, UnreadableEvent
from okta_hooks.wire import reading

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flask import Flask

    from okta_hooks.receivers import Receiver
    from okta_hooks.wire.events import Delivery, LogEvent

logger = logging.getLogger(__name__)


def run(
    app: Flask,
    receiver: Receiver,
    *,
    hook: Any,
    event: LogEvent,
    delivery: Delivery,
    attempt: int,
) -> BaseException | None:
    """Call one receiver for one event.

    :param app: The application object itself, not a proxy: receivers may be connected to it alone.
    :param attempt: 1 for the first time.
    :return: what the receiver raised, or None; ``receiver_failed`` or ``receiver_done`` has told of it.
    """
    context = {
        "hook": hook,
        "receiver": receiver.name,
        "event": event,
        "delivery": delivery,
        "attempt": attempt,
    }
    try:
        with app.app_context():
            signals.call(
                app, receiver.call, event=event, delivery=delivery, hook=hook, attempt=attempt
            )
    except BaseException as error:
        # Ctrl-C and a server's order to stop reach the main thread as exceptions: they are not the receiver's.
        if isinstance(error, KeyboardInterrupt | SystemExit) and _in_main_thread():
            raise
        signals.notify(signals.receiver_failed, app, **context, error=error)
        return error
    signals.notify(signals.receiver_done, app, **context)
    return None


def run_delivery(
    app: Flask, hook: Any, delivery: Delivery, events: Iterable[object]
) -> list[BaseException]:
    """Run every receiver of every event of a delivery, here and now.

    An event that cannot be read, or that a receiver rejects, is announced by ``event_dead``.

    :param hook: The :class:`~okta_hooks.EventHook` that received it.
    :param events: The elements of ``data.events``.
    :return: what the receivers raised that another attempt may cure.
    """
    failures: list[BaseException] = []
    context = {"hook": hook, "delivery": delivery}
    for raw in events:
        try:
            event = reading.load_event(raw)
        except UnreadableEvent as unreadable:
            bury(app, **context, event=None, receiver=None, reason=unreadable.reason)
            continue
        all_done = True
        for receiver in hook.receivers.matching(event.event_type, app):
            error = run(app, receiver, **context, event=event, attempt=1)
            if error is None:
                continue
            all_done = False
            if isinstance(error, Reject):
                bury(app, **context, event=event, receiver=receiver.name, reason=error.reason)
            else:
                failures.append(error)
        if all_done:
            signals.notify(signals.event_done, app, **context, event=event)
    return failures


def tell_stored(
    app: Flask, *, hook: Any, delivery: Delivery, new: int, duplicate: int, dead: Iterable[str]
) -> None:
    """Tell of a delivery that is in the inbox now: ``event_dead``, and then ``delivery_stored``.

    :param dead: Why those of its events that are new cannot be read, for each that cannot.
    """
    for reason in dead:
        bury(app, hook=hook, delivery=delivery, event=None, receiver=None, reason=reason)
    signals.notify(
        signals.delivery_stored, app, hook=hook, delivery=delivery, new=new, duplicate=duplicate
    )


def bury(
    app: Flask,
    *,
    hook: Any,
    delivery: Delivery,
    event: LogEvent | None,
    receiver: str | None,
    reason: str,
    error: BaseException | None = None,
) -> None:
    """Tell the log and ``event_dead`` that an event will not be tried again by itself.

    :param error: What the receiver raised at last, for the log.
    """
    logger.error(
        "Dead letter of the hook %r: %r for %s, from %s: %s",
        hook.name,
        event or "an unreadable event",
        receiver or "all receivers",
        "a backfill" if delivery.via == "backfill" else f"the delivery {delivery.event_id!r}",
        reason,
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


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
