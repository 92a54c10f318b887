"""Whether this process has got SIGTERM, where nothing of Python's runs at it.

Some servers leave that signal to the system, which ends the process at once: waitress, ``flask run``, cheroot.
uvicorn does so in the end, when it has closed its connections.
Then nobody can write down that the process was told to end, and whoever comes next would take that for a death.
A handler in Python is not a library's to install: it would change how somebody else's process ends, and keep a server
alive whose loop is in C. That of :mod:`faulthandler` writes a few lines to a file, and the process ends as ever.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import tempfile
import threading
from contextlib import suppress
from typing import Final

from okta_hooks.forks import in_children


class _Note:
    """Where the handler writes to: one file descriptor, which is never closed, and leads to one file or another."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.descriptor: int | None = None
        self.file: int | None = None


_note: Final = _Note()


def listen() -> None:
    """Have SIGTERM noted from now on, if it is left to the system here, at once or in the end."""
    with _note.lock, suppress(OSError, RuntimeError, ValueError):
        if (
            _note.descriptor is None
            and hasattr(faulthandler, "register")
            and _ends_by_the_system(signal.getsignal(signal.SIGTERM))
        ):
            descriptor = _nowhere()
            faulthandler.register(signal.SIGTERM, file=descriptor, all_threads=False, chain=True)
            _note.descriptor = descriptor


def _ends_by_the_system(handler: object) -> bool:
    return handler == signal.SIG_DFL or str(getattr(handler, "__module__", "")).startswith(
        "uvicorn."
    )


def has_come() -> bool:
    """Return whether SIGTERM has come: a process lives on that is the first of its container."""
    return _note.descriptor is not None and os.fstat(_note.descriptor).st_size > 0


def note_in(file: int) -> None:
    """Have it noted in a file, so that whoever comes next can see it there.

    The first file counts: to leave one for another would drop the locks that this process has on it.

    :param file: The descriptor of an empty file.
    """
    with _note.lock:
        if _note.descriptor is not None and _note.file is None:
            os.dup2(file, _note.descriptor, inheritable=False)
            _note.file = file


def leave(file: int) -> None:
    """Have it noted in that file no more, which is about to be closed."""
    with _note.lock:
        if _note.descriptor is not None and _note.file == file:
            _lead_nowhere(_note.descriptor)


def _lead_nowhere(descriptor: int) -> None:
    nowhere = _nowhere()
    os.dup2(nowhere, descriptor, inheritable=False)
    os.close(nowhere)
    _note.file = None


def _nowhere() -> int:
    """Return the descriptor of a file that nobody else sees."""
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _forget() -> None:
    """Note nothing of what a child gets that was forked off: the file is its parent's."""
    _note.lock = threading.Lock()  # somebody may have held it
    if _note.descriptor is not None:
        with suppress(OSError):
            _lead_nowhere(_note.descriptor)


in_children(_forget)
