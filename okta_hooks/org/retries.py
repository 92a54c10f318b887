"""After which failures of an org, or of the inbox, its log is read again, and after how long."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from okta_hooks.exceptions import InboxUnavailable, OktaRefused, OktaUnavailable

_LONGEST_PAUSE: Final = 60.0
#: Who asks for more than an hour is asked again all the same: it may be over sooner.
_LONGEST_ASKED_FOR: Final = 3600.0


def may_pass(error: OktaUnavailable | OktaRefused | InboxUnavailable) -> bool:
    """Return whether the same may work later."""
    if isinstance(error, OktaRefused):
        return error.status >= HTTPStatus.INTERNAL_SERVER_ERROR or (
            error.status == HTTPStatus.TOO_MANY_REQUESTS
        )
    return error.is_transient


def pause_after(error: OktaUnavailable | OktaRefused | InboxUnavailable, failures: int) -> float:
    """Return for how many seconds to wait: longer each time, and at least as long as the org asks for.

    :param failures: How many there were in a row.
    """
    pause = min(2.0**failures, _LONGEST_PAUSE)
    if isinstance(error, OktaRefused) and error.retry_after is not None:
        pause = max(pause, min(error.retry_after, _LONGEST_ASKED_FOR))
    return pause
