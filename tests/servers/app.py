"""The app ``stored``, with a receiver that fails twice for events that are called so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from okta_hooks import RetryLater
from tests.acceptance.stored import app, okta

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
