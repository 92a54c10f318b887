"""What becomes of an account. A receiver runs at least once for each event, so both may run twice."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from okta_hooks import EventHook, LogEvent

if TYPE_CHECKING:
    from flask import Flask

logger = logging.getLogger(__name__)

okta = EventHook("okta", url_prefix="/okta/events")


@okta.on("user.lifecycle.deactivate", "user.lifecycle.suspend", name="close-account")
def close_account(sender: Flask, event: LogEvent, **extra: object) -> None:
    """Let the user in no more. What is closed stays closed."""
    for user in event.targets_of("User"):
        logger.info("closed the account of %s", user.id)


@okta.on("user.lifecycle.deactivate", name="export-data", queue="slow")
def export_data(sender: Flask, event: LogEvent, **extra: object) -> None:
    """Pack up what the account held, for the user's manager. That takes long, so it has a queue of its own."""
    for user in event.targets_of("User"):
        time.sleep(sender.config["EXPORT_SECONDS"])
        logger.info("exported the data of %s", user.id)
