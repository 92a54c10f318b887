"""What becomes of a receipt after an attempt: done, dead, or tried again, and when. Decided here, done elsewhere."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from okta_hooks.exceptions import Reject, RetryLater
from okta_hooks.host_code import text_of
from okta_hooks.inbox.claims import Settlement
from okta_hooks.inbox.tables import DEAD, DONE, PENDING

if TYPE_CHECKING:
    from okta_hooks.inbox.claims import Claim

#: The longest that a receiver can ask to wait, in seconds.
LONGEST_WAIT: Final = 7 * 24 * 3600.0
_LONGEST_BACK_OFF: Final = 3600.0
_REFUSED: Final = "the database refused to write down what came of it"


def back_off(attempts: int, jitter: float) -> float:
    """Return the seconds to wait after so many attempts: 2, 8, 32 ... up to an hour, times 0.5 to 1.

    :param jitter: From 0 to 1, at random: receivers that failed together should not return together.
    """
    longest = min(2.0 * 4.0 ** min(attempts - 1, 10), _LONGEST_BACK_OFF)
    return float(longest) * (0.5 + jitter / 2)


def outcome(
    claim: Claim,
    error: BaseException | None,
    *,
    max_attempts: int,
    jitter: float,
    seconds: float | None = None,
) -> Settlement:
    """Return what is to become of a receipt after an attempt.

    :param error: What the receiver raised, or None.
    :param max_attempts: After so many attempts the receipt is dead.
    :param jitter: As for :func:`back_off`.
    :param seconds: How long the receiver ran.
    """
    if error is None:
        return Settlement(claim=claim, state=DONE, seconds=seconds)
    if isinstance(error, Reject):
        return Settlement(claim=claim, state=DEAD, error=text_of(error), seconds=seconds)
    return _failed(
        claim,
        f"{type(error).__name__}: {text_of(error)}",
        max_attempts=max_attempts,
        jitter=jitter,
        wait=_asked_for(error),
        seconds=seconds,
    )


def refused(claim: Claim, *, max_attempts: int, jitter: float) -> Settlement:
    """Return what is to become of a receipt if the database does not take down what came of it."""
    return _failed(claim, _REFUSED, max_attempts=max_attempts, jitter=jitter)


def _failed(
    claim: Claim,
    text: str,
    *,
    max_attempts: int,
    jitter: float,
    wait: float | None = None,
    seconds: float | None = None,
) -> Settlement:
    attempts = claim.attempts + 1
    if attempts >= max_attempts:
        given_up = f"{attempts} attempts; the last: {text}"
        return Settlement(claim=claim, state=DEAD, error=given_up, seconds=seconds)
    if wait is None:
        wait = back_off(attempts, jitter)
    return Settlement(claim=claim, state=PENDING, wait=wait, error=text, seconds=seconds)


def _asked_for(error: BaseException) -> float | None:
    """Return the seconds that a receiver asked to wait, as far as they can be meant; None if it asked for none."""
    if not isinstance(error, RetryLater):
        return None
    try:
        seconds = float(error.seconds)
    except BaseException:  # noqa: BLE001 - a subclass may have no such attribute, or one that does anything
        return None
    return None if math.isnan(seconds) else min(max(seconds, 0.0), LONGEST_WAIT)
