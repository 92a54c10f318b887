"""The app ``stored``, with a receiver that fails twice for events that are called so, and a page that takes a while."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from okta_hooks import RetryLater
from tests.acceptance.stored import app, okta

from . import PAUSE

if TYPE_CHECKING:
    from flask import Flask

    from okta_hooks import LogEvent

__all__ = ["app"]

_FAILURES = 2


@okta.on("user.*", name="flaky")
def fail(sender: Flask, event: LogEvent, attempt: int, **extra: object) -> None:
    """Ask to be tried again, soon."""
    if (event.uuid or "").startswith("flaky") and attempt <= _FAILURES:
        raise RetryLater(1)


@app.get("/pause")
def pause() -> str:
    """Take a while."""
    time.sleep(PAUSE)
    return "done"
