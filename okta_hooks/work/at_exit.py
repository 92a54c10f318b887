"""What is done when a process ends in order."""

from __future__ import annotations

import atexit
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.util import Finalize


class AtExit:
    """Has a function called once when this process ends in order, unless that is cancelled before.

    A process that it forks off inherits this, and calls nothing.
    """

    def __init__(self, function: Callable[[], object]) -> None:
        self._function = function
        self._pid = os.getpid()
        atexit.register(self._call)
        self._finalize = _finalize_of_a_child(self._call)

    def cancel(self) -> None:
        """Do not call it."""
        atexit.unregister(self._call)
        if self._finalize is not None:
            self._finalize.cancel()

    def call_now(self) -> None:
        """Call it now, and not again when the process ends."""
        self.cancel()
        self._function()

    def _call(self) -> None:
        atexit.unregister(self._call)  # a child of multiprocessing may come to both
        if self._pid == os.getpid():
            self._function()


def _finalize_of_a_child(function: Callable[[], None]) -> Finalize | None:
    """Have a function called when this process ends, if it is a child of multiprocessing: few come to ``atexit``."""
    process = sys.modules.get("multiprocessing.process")
    if process is None or process.parent_process() is None:
        return None
    from multiprocessing.util import Finalize  # who is no child need not have it

    return Finalize(None, function, exitpriority=0)
