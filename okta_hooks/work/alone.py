"""Runs receipts suspected of killing the process one at a time, so that the next crash names the culprit."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

#: A receipt with which so many processes have died runs alone.
DEATHS_TO_RUN_ALONE: Final = 2
#: How long others wait for one that runs alone, and that one for others, in seconds:
#: a receiver that never returns must not stop the rest.
LONGEST_WAIT: Final = 10.0
#: How long a suspect keeps other suspects from beginning, in seconds.
LONGEST_ALONE: Final = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Permission to run. ``is_alone``: nothing runs beside it; ``ends_alone``: another run was alone until this one."""

    is_alone: bool = False
    ends_alone: bool = False


class Turns:
    """Lets runs go on side by side, except that of a suspect, which runs alone.

    :param longest_wait: Seconds after which others go on beside a suspect, and a suspect beside others.
    :param longest_alone: Seconds after which another suspect goes on beside a suspect.
    """

    def __init__(
        self, *, longest_wait: float = LONGEST_WAIT, longest_alone: float = LONGEST_ALONE
    ) -> None:
        self._longest_wait = longest_wait
        self._longest_alone = longest_alone
        self._changed = threading.Condition()
        self._running = 0
        # Stands for the suspect that began last.
        self._suspect: object | None = None
        self._suspect_since = 0.0
        self._is_alone = False

    @contextmanager
    def taken(self, *, alone: bool) -> Iterator[Turn | None]:
        """Wait until a run may begin; None if it must not now, because another suspect runs.

        :param alone: Whether it is that of a suspect.
        """
        me = object()
        turn = self._begin_alone(me) if alone else self._begin()
        if turn is None:
            yield None
            return
        try:
            yield turn
        finally:
            with self._changed:
                self._running -= 1
                if self._suspect is me:
                    self._suspect = None
                    self._is_alone = False
                self._changed.notify_all()

    def _begin(self) -> Turn:
        with self._changed:
            while self._suspect is not None:
                left = self._suspect_since + self._longest_wait - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            self._running += 1
            ends_alone, self._is_alone = self._is_alone, False
            return Turn(ends_alone=ends_alone)

    def _begin_alone(self, me: object) -> Turn | None:
        with self._changed:
            now = time.monotonic()
            if self._suspect is not None and now < self._suspect_since + self._longest_alone:
                return None
            ends_alone = self._is_alone
            # From here on `_begin` waits.
            self._suspect, self._suspect_since, self._is_alone = me, now, False
            while self._running and (left := now + self._longest_wait - time.monotonic()) > 0:
                self._changed.wait(left)
            self._suspect_since = time.monotonic()
            self._is_alone = not self._running
            self._running += 1
            return Turn(is_alone=self._is_alone, ends_alone=ends_alone)
