"""Whether the inbox takes anything now, found out by one thread for all who ask."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from okta_hooks.host_code import contained, text_of
from okta_hooks.threads import start_thread

if TYPE_CHECKING:
    from collections.abc import Callable

#: For how long an outcome counts: who asks needs no secret, and may ask often.
_SECONDS: Final = 1.0
_LATE: Final = "it was not written in time"


class Outcome(NamedTuple):
    """Why the inbox takes nothing, or None if it does; and whether this is the one who has tried."""

    reason: str | None
    is_new: bool


class _Attempt:
    """One attempt. ``before`` is what the one before it has come to, and the times are monotonic."""

    def __init__(self, deadline: float, before: str | None) -> None:
        self.deadline = deadline
        self.before = before
        self.is_over = threading.Event()
        self.ended = 0.0
        self.reason: str | None = None


class Trial:
    """Tries whether the inbox can be written, in a thread: a name server that is silent knows no time limit.

    :param write: Writes to the inbox for so many ``seconds`` at most, or raises something.
    """

    def __init__(self, write: Callable[..., None]) -> None:
        self._write = write
        self._lock = threading.Lock()
        self._latest: _Attempt | None = None

    def outcome(self, seconds: float) -> Outcome:
        """Return what an attempt comes to, or has come to within a second.

        While it is tried again after a failure, that failure is what others get:
        of those who ask a silent database, one waits.

        :param seconds: How long to wait at most.
        """
        deadline = time.monotonic() + seconds
        with self._lock:
            attempt = self._latest
            is_new = attempt is None or (
                attempt.is_over.is_set() and time.monotonic() - attempt.ended > _SECONDS
            )
            if attempt is None or is_new:
                before = attempt.reason if attempt is not None else None
                attempt = _Attempt(deadline, before)
                start_thread(self._run, attempt, seconds, name="okta-hooks-opener")
                self._latest = attempt
        if not is_new and attempt.before is not None and not attempt.is_over.is_set():
            return Outcome(attempt.before, is_new)
        left = min(deadline, attempt.deadline) - time.monotonic()
        is_over = attempt.is_over.wait(max(left, 0.0))
        return Outcome(attempt.reason if is_over else _LATE, is_new)

    def _run(self, attempt: _Attempt, seconds: float) -> None:
        error = contained(self._write, seconds=seconds)
        # Its text alone: an error would keep what its frames hold.
        attempt.reason = None if error is None else text_of(error)
        attempt.ended = time.monotonic()
        attempt.is_over.set()
