"""What is stored of attempts that fail, in the transaction that settles them.

One that succeeds has no row: it is the last of its receipt, which says when it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from okta_hooks.printable import printable

from .statements import values
from .tables import ATTEMPTS_KEPT, DONE, attempt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .claims import Settlement
    from .database import Statement

_LONGEST_ERROR: Final = 500


def stored_error(error: str | None) -> str | None:
    """Return as much of an error as is stored."""
    return error and printable(error)[:_LONGEST_ERROR]


def addition(placeholder: str, now: float, counted: Sequence[Settlement]) -> Statement | None:
    """Return the statement that stores which attempts have failed, or None if none has.

    It belongs into the transaction that settles them.
    """
    rows = sorted(
        (
            one.claim.event_id,
            one.claim.receiver,
            one.claim.attempts % ATTEMPTS_KEPT,
            one.claim.attempts + 1,
            now,
            one.seconds,
            one.state,
            stored_error(one.error),
        )
        for one in counted
        if one.state != DONE
    )
    if not rows:
        return None
    text, parameters = values(placeholder, _STORED, rows)
    return text + _REPLACING, parameters


_STORED: Final = tuple(attempt.c)
_REPLACING: Final = " ON CONFLICT (event_id, receiver, place) DO UPDATE SET " + ", ".join(
    f"{column.name} = excluded.{column.name}" for column in _STORED if not column.primary_key
)
