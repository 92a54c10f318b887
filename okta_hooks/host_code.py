"""Code of the host's is called here, receivers and handlers of signals alike: what it raises goes no further."""

from __future__ import annotations

import inspect
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flask import Flask


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
    """Return the text of an error of the host's: ``__str__`` is the host's code as well, and may raise anything."""
    try:
        return str(error)
    except BaseException:  # noqa: BLE001 - as in `contained`
        return "(no text)"


async def _await(result: Awaitable[Any]) -> Any:
    return await result
