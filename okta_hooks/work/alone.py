"""Which receivers may run side by side in one process: what kills it is to be told from what was beside it."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

#: A receipt with which so many processes have died runs alone.
DEATHS_TO_RUN_ALONE: Final = 2
#: How long others wait for one that runs alone, and that one for others, in seconds:
#: a receiver that never returns must not stop the rest.
LONGEST_WAIT: Final = 10.0


class Turns:
    """Lets runs go on side by side, but for those of suspects: of these one at a time, and nothing beside it.

    :param longest_wait: Seconds after which whoever waits goes on all the same.
    """

    def __init__(self, longest_wait: float = LONGEST_WAIT) -> None:
        self._longest_wait = longest_wait
        self._changed = threading.Condition()
        self._running = 0
        self._suspects = 0
        self._alone_since: float | None = None

    @contextmanager
    def taken(self, *, alone: bool) -> Iterator[None]:
        """Wait until a run may begin.

        :param alone: Whether it is that of a suspect.
        """
        if alone:
            self._begin_alone()
        else:
            self._begin()
        try:
            yield
        finally:
            with self._changed:
                self._running -= 1
                if alone:
                    self._alone_since = None
                    self._suspects -= 1
                self._changed.notify_all()

    def _begin(self) -> None:
        with self._changed:
            # Only while a suspect runs: one that waits its turn does not keep others waiting.
            while self._alone_since is not None:
                left = self._alone_since + self._longest_wait - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            self._running += 1

    def _begin_alone(self) -> None:
        with self._changed:
            self._suspects += 1
            while self._alone_since is not None:
                self._changed.wait()
            # From now on nothing else begins.
            self._alone_since = time.monotonic()
            give_up_at = self._alone_since + self._longest_wait
            while self._running and time.monotonic() < give_up_at:
                self._changed.wait(give_up_at - time.monotonic())
            self._alone_since = time.monotonic()
            self._running += 1
