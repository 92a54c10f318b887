"""The signals about the service itself.

They are sent with the Flask application as sender.
An error in a handler of theirs is logged and goes no further.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from blinker import Namespace

from .host_code import call, contained
from .logs import plain_logger

if TYPE_CHECKING:
    from blinker import NamedSignal
    from flask import Flask

logger = plain_logger(__name__)

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
receiver_started: Final = _service.signal(
    "receiver-started",
    "A receiver is about to be called for an event. Arguments: ``hook``, ``receiver`` (its name), ``event``, "
    "``delivery``, ``attempt``.",
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
    "The inbox holds what it must not. Arguments: ``hook``, ``kind`` (what it is, as ``inbox --check --json`` has it), "
    "``number`` (of events or receipts), and ``repaired`` (whether that has been put right).",
)
events_recovered: Final = _service.signal(
    "events-recovered",
    "A worker's backfill has stored events that no delivery had brought within a minute: the hook fails. "
    "Arguments: ``hook``, ``number``.",
)
registration_inactive: Final = _service.signal(
    "registration-inactive",
    "A hook at Okta that delivers to this app was found to be inactive or not verified. Arguments: ``hook``, ``name`` "
    "(the hook's at Okta), ``status``, ``verification_status``.",
)
quota_reached: Final = _service.signal(
    "quota-reached",
    "So many events have come in 24 hours that Okta warns, or sends no more, as its quota is the org's. "
    "Arguments: ``number`` (at least), ``limit``.",
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
audited: Final = _service.signal(
    "audited",
    "Somebody has seen a payload, or has changed what is in the inbox or what becomes of it, and that is written "
    "down. Arguments: ``hook`` (None for what is of no one hook), ``action`` (reveal, replay, prune, pause or resume), "
    "``subject``, ``number`` (None if it was not done to its end), ``who``, ``reason``, ``via`` (console or command).",
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
                logger.error,
                "A receiver of the signal %(signal)s failed.",
                {"signal": signal.name},
                exc_info=error,
            )
