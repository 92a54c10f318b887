"""The app ``deadly`` in a process that takes a while to end at SIGTERM, as uvicorn does while connections are open."""

from __future__ import annotations

import signal

from tests.acceptance.deadly import app

__all__ = ["app"]


def _handle(*_: object) -> None:
    """Go on."""


_handle.__module__ = "uvicorn.server"
signal.signal(signal.SIGTERM, _handle)
