"""How often events have been delivered again, which is stored with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .keys import BY_TIME_TEXT, by_time

if TYPE_CHECKING:
    from collections import Counter

    from .database import Database, Statement

_KEYS_AT_ONCE: Final = 1000


def addition(database: Database, events: Counter[tuple[str, str]]) -> list[Statement]:
    """Return the statements that note how often events have been delivered again.

    An event that somebody else has locked is left out: the request does not wait for that.

    :param events: The hook and key of each, with how often it was.
    """
    mark = database.placeholder
    lock = " FOR UPDATE SKIP LOCKED" if database.path is None else ""
    alike: dict[tuple[str, int], list[str]] = {}
    for (hook, key), number in events.items():
        alike.setdefault((hook, number), []).append(key)
    statements: list[Statement] = []
    for (hook, number), keys in alike.items():
        for start in range(0, len(keys), _KEYS_AT_ONCE):
            some = keys[start : start + _KEYS_AT_ONCE]
            marks = ", ".join([mark] * len(some))
            text = _ADD.format(mark=mark, keys=marks, by_time=BY_TIME_TEXT, lock=lock)
            statements.append((text, (number, hook, *some, *map(by_time, some))))
    return statements


_ADD: Final = (
    "UPDATE okta_hooks_event SET duplicates = coalesce(duplicates, 0) + {mark} WHERE id IN ("
    "SELECT id FROM okta_hooks_event WHERE hook = {mark}"
    # As `has_key` has it.
    " AND key IN ({keys}) AND {by_time} IN ({keys}){lock})"
)
