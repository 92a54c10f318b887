"""How the index of the events' keys is made, and how one looks into it.

The text of a uuid of version 1, as most of Okta's are, begins with the low digits of its time, which come round every
seven minutes: the events of one delivery go to as many pages of a large index on (hook, key), each of which is written
twice. So the index has the high digits first, and events go where those before them went.

:data:`~okta_hooks.inbox.tables.metadata` has a constraint on (hook, key) instead, as tables of an earlier version have:
of SQLite's indexes, Alembic sees none that has an expression, and would leave out what makes keys unique.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from .tables import event

if TYPE_CHECKING:
    from collections.abc import Sequence

#: The same in SQL for statements that are text.
BY_TIME_TEXT: Final = "(substr(key, 15, 4) || substr(key, 10, 4) || key)"


def by_time(key: str) -> str:
    """Return what the index has of a key.

    No two keys have the same there: what stands before a key is not shorter before a longer one.
    """
    return f"{key[14:18]}{key[9:13]}{key}"


def _in_sql(key: sa.Column[Any]) -> sa.ColumnElement[str]:
    # Literal: an expression with parameters would not be the index's.
    high, middle = (
        sa.func.substr(key, sa.literal_column(start), sa.literal_column("4"))
        for start in ("15", "10")
    )
    return high.concat(middle).concat(key)


BY_TIME: Final = _in_sql(event.c.key)


def has_key(keys: Sequence[str]) -> sa.ColumnElement[bool]:
    """Return the condition that an event has one of these keys. An index also needs its hook."""
    # Both: either kind of table has an index for one of them.
    return sa.and_(event.c.key.in_(keys), BY_TIME.in_([by_time(key) for key in keys]))


def index_by_time(events: sa.Table) -> sa.Index:
    """Give a copy of the table of events that index instead of the constraint, and return it."""
    events.constraints -= {
        each for each in events.constraints if isinstance(each, sa.UniqueConstraint)
    }
    name = "okta_hooks_event_key_by_time"
    return sa.Index(name, events.c.hook, _in_sql(events.c.key), unique=True)
