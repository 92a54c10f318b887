"""The threads of this library."""

from __future__ import annotations

import contextvars
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def start_thread(target: Callable[..., Any], *arguments: Any, name: str) -> threading.Thread:
    """Start a daemon thread in an empty context, and return it.

    A thread that took the context of whoever starts it along would report everything it does
    as part of the request that happened to start it.
    """
    thread = threading.Thread(
        target=contextvars.Context().run, args=(target, *arguments), name=name, daemon=True
    )
    thread.start()
    return thread
