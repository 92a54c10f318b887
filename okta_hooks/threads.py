"""The threads of this library."""

from __future__ import annotations

import contextvars
import queue
import threading
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_LOOK_SECONDS: Final = 0.25


def start_thread(
    target: Callable[..., Any], *arguments: Any, name: str, daemon: bool = True
) -> threading.Thread:
    """Start a thread in an empty context, and return it.

    A thread that took the context of whoever starts it along would report everything it does
    as part of the request that happened to start it.

    :param daemon: Whether the process may end while it runs.
    """
    thread = threading.Thread(
        target=contextvars.Context().run, args=(target, *arguments), name=name, daemon=daemon
    )
    thread.start()
    return thread


def next_in(arrived: queue.SimpleQueue[T]) -> T:
    """Wait in the main thread for what a handler of an operating system's signal puts into a queue, and return it.

    This kind of queue is made for that: its ``put`` may interrupt anything, another ``put`` too.
    It is not waited for in one go: a signal that comes between Python's last look for one and the wait
    does not end the wait, so its handler would not be called before another signal came.
    """
    while True:
        try:
            return arrived.get(timeout=_LOOK_SECONDS)
        except queue.Empty:
            continue
