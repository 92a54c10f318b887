"""Suspects run one at a time and with nothing beside them: the next death of the process shows whether it is theirs."""

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
#: How long others wait for a suspect, and a suspect for others, in seconds:
#: a receiver that never returns must not stop the rest.
PATIENCE: Final = 10.0
#: How long a suspect keeps other suspects from beginning, in seconds.
LONGEST_ALONE: Final = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """Permission to run.

    ``is_alone``: nothing ran beside it when it was granted.
    ``ends_alone``: the inbox may still have another run marked as alone, which has to be undone first.
    """

    is_alone: bool = False
    ends_alone: bool = False


class Permits:
    """Lets runs go on side by side, except that of a suspect, which runs alone.

    :param patience: Seconds after which others go on beside a suspect, and a suspect beside others.
    :param longest_alone: Seconds after which another suspect goes on beside a suspect.
    """

    def __init__(self, *, patience: float = PATIENCE, longest_alone: float = LONGEST_ALONE) -> None:
        self._patience = patience
        self._longest_alone = longest_alone
        self._changed = threading.Condition()
        self._running = 0
        # Identifies the run of the suspect that began last.
        self._suspect: object | None = None
        self._suspect_since = 0.0
        self._is_alone = False
        # Held while a mark is written, so that marks are written in the order in which they were decided.
        self._marking = threading.Lock()
        self._may_be_marked = False
        # Threads of runs that have taken longer than their timeout: they may still go on.
        self._overdue: list[threading.Thread] = []

    @contextmanager
    def granted(self, *, alone: bool) -> Iterator[Permit | None]:
        """Wait until a run may begin; yield None if it must not now, because another suspect runs.

        :param alone: Whether it is the run of a suspect.
        """
        me = object()
        permit = self._begin_alone(me) if alone else self._begin()
        if permit is None:
            yield None
            return
        try:
            yield permit
        finally:
            with self._changed:
                self._running -= 1
                if self._suspect is me:
                    self._suspect = None
                    self._is_alone = False
                self._changed.notify_all()

    def add_overdue(self, thread: threading.Thread) -> None:
        """Take note that a run goes on in a thread though its permit ends: what begins beside it is not alone."""
        with self._changed:
            self._overdue.append(thread)

    def mark(self, permit: Permit, write: Callable[[bool], None]) -> None:
        """Write whether a run is alone, if that has to be written before it begins.

        A mark holds until another is written: also when the run has ended, or ``write`` has raised,
        since it may have been committed all the same.

        :param write: Is called with whether the run is alone.
        """
        if not permit.is_alone and not permit.ends_alone:
            return
        with self._marking:
            with self._changed:
                is_alone = permit.is_alone and self._is_alone
                if not is_alone and not self._may_be_marked:
                    return
                self._may_be_marked = True
            write(is_alone)
            if not is_alone:
                with self._changed:
                    self._may_be_marked = False

    def _begin(self) -> Permit:
        with self._changed:
            while self._suspect is not None:
                left = self._suspect_since + self._patience - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            self._running += 1
            self._is_alone = False
            return Permit(ends_alone=self._may_be_marked)

    def _begin_alone(self, me: object) -> Permit | None:
        with self._changed:
            now = time.monotonic()
            if self._suspect is not None and now < self._suspect_since + self._longest_alone:
                return None
            # From here on `_begin` waits.
            self._suspect, self._suspect_since, self._is_alone = me, now, False
            while self._running and (left := now + self._patience - time.monotonic()) > 0:
                self._changed.wait(left)
            self._suspect_since = time.monotonic()
            self._overdue = [thread for thread in self._overdue if thread.is_alive()]
            self._is_alone = not self._running and not self._overdue
            self._running += 1
            return Permit(is_alone=self._is_alone, ends_alone=self._may_be_marked)
