"""The signals about the service itself, and how a callable of any kind is called.

They are sent with the Flask application as sender.
An error in a receiver of theirs is logged and goes no further.
"""

from __future__ import annotations

import inspect
import logging
import threading
from typing import TYPE_CHECKING, Any, Final

from blinker import Namespace

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from blinker import NamedSignal
    from flask import Flask

logger = logging.getLogger(__name__)

_service = Namespace()

hook_verified: Final = _service.signal(
    "hook-verified",
    "Okta's verification was answered. Arguments: ``hook``.",
)
delivery_stored: Final = _service.signal(
    "delivery-stored",
    "A delivery is in the inbox. Arguments: ``hook``, ``delivery``, and the counts ``new`` and ``duplicate``.",
)
delivery_refused: Final = _service.signal(
    "delivery-refused",
    "A delivery was not accepted. Arguments: ``hook``, ``status`` (the answer's), ``reason``.",
)
receiver_done: Final = _service.signal(
    "receiver-done",
    "A receiver has handled an event. Arguments: ``hook``, ``receiver`` (its name), ``event``, "
    "``delivery``, ``attempt``.",
)
receiver_failed: Final = _service.signal(
    "receiver-failed",
    "An attempt failed. Arguments: ``hook``, ``receiver`` (its name), ``event``, ``delivery``, ``attempt``, ``error``.",
)
inconsistency_found: Final = _service.signal(
    "inconsistency-found",
    "The inbox holds what it must not. Arguments: ``hook``, ``kind`` (a word for what it is), ``number`` "
    "(of events or receipts), and ``repaired`` (whether that has been put right).",
)
event_done: Final = _service.signal(
    "event-done",
    "Every receiver has finished an event. Arguments: ``hook``, ``event``, ``delivery``.",
)
event_dead: Final = _service.signal(
    "event-dead",
    "An event will not be tried again by itself. Arguments: ``hook``, ``delivery``, ``reason``, "
    "``receiver`` (its name), ``event``; the last two are None if the event could not be read.",
)


def notify(signal: NamedSignal, sender: Flask, /, **arguments: Any) -> None:
    """Send a signal about the service, so that no receiver of it can disturb the service."""
    if signal.is_muted:
        return
    for receiver in list(signal.receivers_for(sender)):
        error = contained(call, sender, receiver, **arguments)
        if error is not None:
            # What the host has attached to the log may fail as well.
            contained(
                logger.error, "A receiver of the signal %s failed.", signal.name, exc_info=error
            )


def call(app: Flask, receiver: Callable[..., Any], /, **arguments: Any) -> None:
    """Call a receiver of any kind; if it is asynchronous, wait until it has finished."""
    result = receiver(app, **arguments)
    if inspect.isawaitable(result):
        app.ensure_sync(_await)(result)


def contained(
    function: Callable[..., Any], /, *arguments: Any, **named: Any
) -> BaseException | None:
    """Call code of the host's, and return what it raised, or None: whatever that is, it goes no further.

    Only Ctrl-C and a server's order to stop come out: they reach the main thread as exceptions.
    """
    try:
        function(*arguments, **named)
    except BaseException as error:
        is_order = isinstance(error, KeyboardInterrupt | SystemExit)
        if is_order and threading.current_thread() is threading.main_thread():
            raise
        return error
    return None


def text_of(error: BaseException) -> str:
    """Return what an error of the host's says; how it says it is the host's code, and may fail at anything."""
    try:
        return str(error)
    except BaseException:  # noqa: BLE001 - as in `contained`
        return "(no text)"


async def _await(result: Awaitable[Any]) -> Any:
    return await result
