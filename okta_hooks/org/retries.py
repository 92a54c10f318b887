"""After which failures of an org, or of the inbox, its log is read again, and after how long."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, TypeVar

from okta_hooks.exceptions import InboxUnavailable, OktaRefused, OktaUnavailable, as_sentence

if TYPE_CHECKING:
    from collections.abc import Callable

Answer = TypeVar("Answer")

#: After so many in a row, which take about a minute, a command that ends by itself gives up.
MOST_FAILURES: Final = 5
_LONGEST_PAUSE: Final = 60.0
_MOST_DOUBLINGS: Final = 10
#: Who asks for more than an hour is asked again all the same: it may be over sooner.
_LONGEST_ASKED_FOR: Final = 3600.0


def may_pass(error: OktaUnavailable | OktaRefused | InboxUnavailable) -> bool:
    """Return whether the same may work later."""
    if isinstance(error, OktaRefused):
        return error.status >= HTTPStatus.INTERNAL_SERVER_ERROR or (
            error.status == HTTPStatus.TOO_MANY_REQUESTS
        )
    return error.is_transient


def patiently(
    call: Callable[[], Answer],
    tell: Callable[[str], Any],
    wait: Callable[[float], Any],
    *,
    times: float,
) -> Answer:
    """Ask an org, and ask again after failures that may pass.

    :param tell: Is called with a line for a person before each pause.
    :param times: After so many failures the next is raised.
    """
    failures = 0
    while True:
        try:
            return call()
        except (OktaUnavailable, OktaRefused) as error:
            failures += 1
            if not may_pass(error) or failures > times:
                raise
            pause = pause_after(error, failures)
            tell(f"{as_sentence(error)} Trying again in {pause:.0f} s.")
            wait(pause)


def pause_after(error: OktaUnavailable | OktaRefused | InboxUnavailable, failures: int) -> float:
    """Return for how many seconds to wait: longer each time, and at least as long as the org asks for.

    :param failures: How many there were in a row.
    """
    # After a day of failures the power itself would be too large for a float.
    pause = min(2.0 ** min(failures, _MOST_DOUBLINGS), _LONGEST_PAUSE)
    if isinstance(error, OktaRefused) and error.retry_after is not None:
        pause = max(pause, min(error.retry_after, _LONGEST_ASKED_FOR))
    return pause
