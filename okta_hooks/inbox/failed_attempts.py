"""What is stored of attempts that fail, in the transaction that settles them.

One that succeeds has no row: it is the last of its receipt, which says when it was.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Final

from okta_hooks.printable import printable

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
    one = f"({', '.join([placeholder] * len(_STORED))})"
    return _ADD.format(values=", ".join([one] * len(rows))), tuple(chain.from_iterable(rows))


_STORED: Final = tuple(column.name for column in attempt.c)
_KEPT: Final = tuple(column.name for column in attempt.c if not column.primary_key)
_ADD: Final = (
    f"INSERT INTO {attempt.name} ({', '.join(_STORED)}) VALUES {{values}}"  # noqa: S608 - our own names
    " ON CONFLICT (event_id, receiver, place) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in _KEPT)
)
