"""Code of the host's is called here, receivers and handlers of signals alike: what it raises goes no further."""

from __future__ import annotations

import inspect
import os
import sys
import threading
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flask import Flask


def call(app: Flask, receiver: Callable[..., Any], /, **arguments: Any) -> None:
    """Call a receiver of any kind; if it is asynchronous, wait until it has finished.

    Of the processes that it may fork off, none comes back from here.

    :raises TypeError: if it returns a generator: nothing would run that, and its event would be taken for handled.
    """
    process = os.getpid()
    error: BaseException | None = None
    try:
        result = receiver(app, **arguments)
        if result is not None:
            _finish(app, result)
    except BaseException as raised:
        if os.getpid() == process:
            raise
        error = raised
    if os.getpid() != process:
        _end_child(error)


def _finish(app: Flask, result: object) -> None:
    """Wait for what an asynchronous receiver has returned.

    :raises TypeError: if it is a generator.
    """
    if inspect.isawaitable(result):
        app.ensure_sync(_await)(result)
    elif inspect.isgenerator(result) or inspect.isasyncgen(result):
        raise TypeError(
            "The receiver returned a generator, of which no line has run: "
            "a receiver must do its work itself, without yield."
        )


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


def text_of(value: object) -> str:
    """Return the text of an error of the host's: ``__str__`` is the host's code as well, and may raise anything."""
    try:
        return str(value)
    except BaseException:  # noqa: BLE001 - as in `contained`
        return "(no text)"


def _end_child(error: BaseException | None) -> NoReturn:
    """End a process that a receiver has forked off, and that would go on as the one that it came from.

    It would run receivers and write to the database on connections that are not its own. Nothing of it is cleaned up,
    for that would close these for both.
    """
    status = 0 if error is None else 1
    with suppress(Exception):
        if isinstance(error, SystemExit):
            status = _status_of(error)
        else:
            if error is not None:
                traceback.print_exception(error)
            sys.stderr.write(
                f"The process {os.getpid()}, which a receiver has forked off, has come back from it, and is ended "
                "here: let it end by os._exit(), or start it with subprocess.\n"
            )
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)


def _status_of(error: SystemExit) -> int:
    """Return the status with which Python ends a process at ``sys.exit``; a text is printed."""
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return error.code & 0xFF
    sys.stderr.write(f"{error.code}\n")
    return 1


async def _await(result: Awaitable[Any]) -> Any:
    return await result
