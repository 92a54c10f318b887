"""What the API of an org is told to do wrong."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Final

#: A token that has expired, the rate limit, and what fails at the org.
_REFUSALS: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS})
_LOWEST_FAILURE: Final = 500
_HIGHEST_FAILURE: Final = 599
_LONGEST_SECONDS: Final = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiFault:
    """How requests go wrong.

    :param path: What their paths begin with.
    :param status: The status of the answer; None for the usual answer, given late.
    :param seconds: How late it is.
    :param count: How many requests it is for.
    :param called_off: Ends the waiting.
    """

    path: str
    status: int | None
    seconds: float
    count: int
    called_off: threading.Event = field(repr=False, compare=False)

    def wait(self) -> None:
        """Wait until the answer is to be given."""
        self.called_off.wait(self.seconds)


class ApiFaults:
    """The faults that requests to an org's API are to meet, in the order in which they were asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[ApiFault] = []
        self._called_off = threading.Event()

    def add(
        self,
        count: int = 1,
        *,
        path: str = "/api/v1/",
        status: int | None = None,
        seconds: float = 0,
    ) -> None:
        """Let the next requests go wrong. Each request meets one fault at most.

        A request that is answered with a status of these has not been carried out;
        one that is only late has been, at once.

        :param count: How many requests.
        :param path: What their paths begin with, such as ``/api/v1/logs``, ``/oauth2/v1/token`` or ``/.well-known/``.
        :param status: 429 as over the rate limit, 401 as for a token that has expired, or 500 to 599.
        :param seconds: How late the answer is.
        :raises ValueError: if it is no fault at all, or cannot be.
        """
        if not isinstance(path, str) or not path.startswith("/"):
            raise ValueError(f"path begins with a slash, not {path!r}.")
        if type(count) is not int or count < 1:
            raise ValueError(f"count must be at least 1, not {count!r}.")
        if type(seconds) not in (int, float) or not 0 <= seconds <= _LONGEST_SECONDS:
            raise ValueError(f"seconds is a number from 0 to {_LONGEST_SECONDS}, not {seconds!r}.")
        if status is None and not seconds:
            raise ValueError("A fault has a status, or seconds by which the answer is late.")
        if status is not None and not _is_failure(status):
            raise ValueError(f"status is 401, 429, or 500 to 599, not {status!r}.")
        with self._lock:
            self._faults.append(
                ApiFault(
                    path=path,
                    status=status,
                    seconds=seconds,
                    count=count,
                    called_off=self._called_off,
                )
            )

    def clear(self) -> None:
        """Let nothing go wrong any more. Answers that are late already are given now."""
        with self._lock:
            self._faults.clear()
            self._called_off.set()
            self._called_off = threading.Event()

    def take(self, path: str) -> ApiFault | None:
        """Return what goes wrong with a request to a path: once for each request."""
        with self._lock:
            for index, fault in enumerate(self._faults):
                if path.startswith(fault.path):
                    self._faults[index : index + 1] = (
                        [replace(fault, count=fault.count - 1)] if fault.count > 1 else []
                    )
                    return fault
        return None


def _is_failure(status: object) -> bool:
    if not isinstance(status, int) or isinstance(status, bool):
        return False
    return status in _REFUSALS or _LOWEST_FAILURE <= status <= _HIGHEST_FAILURE
