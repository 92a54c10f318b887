"""Runs receipts suspected of killing the process one at a time, so that the next crash names the culprit."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: A receipt with which so many processes have died runs alone.
DEATHS_TO_RUN_ALONE: Final = 2
#: How long others wait for one that runs alone, and that one for others, in seconds:
#: a receiver that never returns must not stop the rest.
LONGEST_WAIT: Final = 10.0
#: How long a suspect keeps other suspects from beginning, in seconds.
LONGEST_ALONE: Final = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Permission to run. ``is_alone``: nothing ran beside it when it was given.

    ``ends_alone``: another run may still be said to be alone, which has to be taken back first.
    """

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
        # Held while something is said, so that what is said last is so.
        self._saying = threading.Lock()
        self._may_be_said = False

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

    def announce(self, turn: Turn, say: Callable[[bool], None]) -> None:
        """Say whether a run is alone, if that has to be said before it begins.

        What was said holds until something else was: also when the run has ended, or ``say`` has raised,
        since it may have been heard all the same.

        :param say: Is called with whether it is alone.
        """
        if not turn.is_alone and not turn.ends_alone:
            return
        with self._saying:
            with self._changed:
                is_alone = turn.is_alone and self._is_alone
                if not is_alone and not self._may_be_said:
                    return
                self._may_be_said = True
            say(is_alone)
            if not is_alone:
                with self._changed:
                    self._may_be_said = False

    def _begin(self) -> Turn:
        with self._changed:
            while self._suspect is not None:
                left = self._suspect_since + self._longest_wait - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            self._running += 1
            self._is_alone = False
            return Turn(ends_alone=self._may_be_said)

    def _begin_alone(self, me: object) -> Turn | None:
        with self._changed:
            now = time.monotonic()
            if self._suspect is not None and now < self._suspect_since + self._longest_alone:
                return None
            # From here on `_begin` waits.
            self._suspect, self._suspect_since, self._is_alone = me, now, False
            while self._running and (left := now + self._longest_wait - time.monotonic()) > 0:
                self._changed.wait(left)
            self._suspect_since = time.monotonic()
            self._is_alone = not self._running
            self._running += 1
            return Turn(is_alone=self._is_alone, ends_alone=self._may_be_said)
