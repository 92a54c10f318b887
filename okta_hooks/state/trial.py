"""Whether the inbox takes anything now, found out by one thread for all who ask."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

from okta_hooks.host_code import contained, text_of
from okta_hooks.in_time import InTime

if TYPE_CHECKING:
    from collections.abc import Callable

#: For how long a failure counts: who asks needs no secret, and may ask often.
_SECONDS: Final = 1.0
_LATE: Final = "it was not written in time"


class _Failure(NamedTuple):
    """Why the inbox took nothing, and when, by a monotonic clock."""

    reason: str
    at: float


class Trial:
    """Tries whether the inbox can be written, in a thread: a name server that is silent knows no time limit.

    :param write: Writes to the inbox, or raises something.
    """

    def __init__(self, write: Callable[[], None]) -> None:
        self._write = write
        self._attempt = InTime(self._try)
        # What the last attempt has come to, or None if it has worked.
        self._failure: _Failure | None = None

    def why_closed(self, seconds: float) -> str | None:
        """Return why the inbox takes nothing; None if it takes what comes now.

        A failure counts for a second, and as long as it is tried again: of those who ask a silent database, one waits.

        :param seconds: How long to wait at most.
        """
        known = self._failure
        if known is not None:
            is_fresh = time.monotonic() - known.at <= _SECONDS
            if is_fresh or self._attempt.is_going_on:
                return known.reason
        try:
            return self._attempt.ask(seconds)
        except TimeoutError:
            self._failure = _Failure(_LATE, time.monotonic())
            return _LATE

    def _try(self) -> str | None:
        error = contained(self._write)
        # Its text alone: an error would keep what its frames hold.
        reason = None if error is None else text_of(error)
        self._failure = None if reason is None else _Failure(reason, time.monotonic())
        return reason
