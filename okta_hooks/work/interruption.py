"""Exceptions that handlers of signals raise in the main thread, as those of Celery's pool do at a time limit.

They may come between any two instructions. Only receivers are to be interrupted by them: in the midst of a claim nobody
would know what is claimed, and what has run would be taken for failed while it is being settled.
"""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class _MainThread:
    """What the main thread is doing. Nothing else changes this, and handlers of signals run in no other."""

    def __init__(self) -> None:
        self.is_working = False
        self.is_receiving = False
        #: Whether a receiver was interrupted in order to end this process.
        self.is_ended = False
        #: Calls of handlers that came when nothing was to be interrupted.
        self.held: list[Callable[[], Any]] = []
        self.is_end_held = False


_main = _MainThread()


def guard(number: int, *, ends: bool) -> None:
    """Have the handler of a signal called only when the main thread runs a receiver, or does nothing for a ticket.

    :param number: The signal, whose handler in Python is there already.
    :param ends: Whether the handler ends this process.
    """
    handler = signal.getsignal(number)
    if callable(handler):
        signal.signal(number, partial(_on_signal, handler, ends))


def _on_signal(handler: Callable[..., Any], ends: bool, number: int, frame: Any) -> None:  # noqa: FBT001 - see `partial`
    if _main.is_working and not _main.is_receiving:
        _main.held.append(partial(handler, number, frame))
        _main.is_end_held |= ends
        return
    _main.is_ended |= ends and _main.is_working
    handler(number, frame)


@contextmanager
def working() -> Iterator[None]:
    """Let nothing be interrupted in this block but receivers.

    A time limit that was reached meanwhile means nothing any more at the end of it; an order to end is obeyed then.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = _main.is_working, _main.is_receiving
    _main.is_working, _main.is_receiving = True, False
    try:
        yield
    finally:
        _main.is_working, _main.is_receiving = before
        if not _main.is_working:
            held, _main.held = _main.held, []
            is_end_held, _main.is_end_held = _main.is_end_held, False
            if is_end_held:
                held[-1]()


@contextmanager
def receiving() -> Iterator[None]:
    """Let a receiver be interrupted in this block."""
    if threading.current_thread() is not threading.main_thread() or not _main.is_working:
        yield
        return
    _main.is_receiving = True
    try:
        if _main.held:
            # It came just now, when it could not be given back any more.
            _main.is_ended |= _main.is_end_held
            _main.held.pop()()
        yield
    finally:
        _main.is_receiving = False


def is_due() -> bool:
    """Return whether this thread is to be interrupted as soon as it can be: no receiver is to begin in it."""
    return bool(_main.held) and threading.current_thread() is threading.main_thread()


def is_ended() -> bool:
    """Return whether a receiver was interrupted in order to end this process: what it ran stays claimed."""
    return _main.is_ended
