"""Whether PostgreSQL's vacuum keeps up with the inbox, and what holds it back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from . import autovacuum
from .tables import metadata

if TYPE_CHECKING:
    from .database import Database

#: Whoever asks waits for the answer.
_SECONDS: Final = 3.0
#: So many of what holds vacuum back are named, the oldest first.
_MOST_NAMED: Final = 5
#: When a slot or a standby has begun to is not known, only how many transactions have begun since then.
_MANY_TRANSACTIONS: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What the server knows of one table.

    ``trigger`` is at how many dead rows autovacuum begins, ``vacuumed`` how many seconds ago the last vacuum was, or
    None if there was none. ``is_automatic`` is False if autovacuum is off for the table.
    """

    name: str
    live: int
    dead: int
    trigger: float
    vacuumed: float | None
    is_automatic: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session whose transaction holds vacuum back, for so many seconds."""

    pid: int
    role: str | None
    application: str
    state: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A transaction that was prepared so many seconds ago, and neither committed nor rolled back."""

    name: str
    owner: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """A replication slot, or a standby without one, that needs rows which were deleted since.

    ``transactions`` is how many have begun since then.
    """

    name: str
    is_slot: bool
    is_active: bool
    transactions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was found.

    ``is_automatic`` is False if autovacuum is off for the server, ``unset`` are the tables without the inbox's storage
    parameters, ``hidden`` the pids of sessions whose transactions hold vacuum back, this role may not see since when.
    """

    tables: tuple[Table, ...]
    unset: tuple[str, ...]
    sessions: tuple[Session, ...]
    prepared: tuple[Prepared, ...]
    replicas: tuple[Replica, ...]
    hidden: tuple[int, ...]
    is_automatic: bool


class Vacuum:
    """Answers whether vacuum keeps up. What that takes does not depend on how much is in the inbox."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def report(self, *, older_than: float) -> Report | None:
        """Return what the server says of it, or None if it is SQLite, which has no vacuum to wait for.

        :param older_than: For how many seconds a transaction must have been open to be told of.
        :raises InboxUnavailable: if the database does not do what it is asked.
        """
        if self._database.path is not None:
            return None
        old = {"seconds": older_than, "most": _MOST_NAMED}
        large = {"transactions": _MANY_TRANSACTIONS, "most": _MOST_NAMED}
        with self._database.reading(seconds=_SECONDS) as connection:
            tables = connection.execute(_TABLES, {"names": list(metadata.tables)}).mappings().all()
            sessions = connection.execute(_SESSIONS, old).mappings().all()
            prepared = connection.execute(_PREPARED, old).mappings().all()
            replicas = connection.execute(_REPLICAS, large).mappings().all()
            return Report(
                tables=tuple(Table(**row) for row in tables),
                unset=tuple(autovacuum.unset(connection)),
                sessions=tuple(Session(**row) for row in sessions),
                prepared=tuple(Prepared(**row) for row in prepared),
                replicas=tuple(Replica(**row) for row in replicas),
                hidden=tuple(connection.scalars(_HIDDEN, {"most": _MOST_NAMED})),
                is_automatic=bool(connection.scalar(_IS_AUTOMATIC)),
            )


def _option(name: str, default: str) -> str:
    """Return the SQL for a storage parameter of the table ``c``."""
    return (
        f"coalesce((SELECT option_value FROM pg_options_to_table(c.reloptions)"  # noqa: S608 - our own names
        f" WHERE option_name = '{name}'), {default})"
    )


_THRESHOLD, _SCALE = (
    _option(f"autovacuum_vacuum_{name}", f"current_setting('autovacuum_vacuum_{name}')")
    for name in ("threshold", "scale_factor")
)
_TABLES: Final = sa.text(f"""
SELECT c.relname AS name, s.n_live_tup AS live, s.n_dead_tup AS dead,
  {_THRESHOLD}::float8 + {_SCALE}::float8 * greatest(c.reltuples, 0) AS trigger,
  extract(epoch FROM clock_timestamp() - greatest(s.last_vacuum, s.last_autovacuum))::float8 AS vacuumed,
  {_option("autovacuum_enabled", "'true'")}::boolean AS is_automatic
FROM pg_class c JOIN pg_stat_user_tables s ON s.relid = c.oid
WHERE c.oid IN (SELECT to_regclass(name) FROM unnest(CAST(:names AS text[])) AS name)
ORDER BY c.relname
""")  # noqa: S608 - our own names
# Of other databases, transactions do not count; nor does a vacuum, however long it takes.
_HOLDING: Final = """
FROM pg_stat_activity
WHERE datname = current_database() AND coalesce(backend_xmin, backend_xid) IS NOT NULL
  AND usesysid IS NOT NULL AND pid <> pg_backend_pid() AND pid NOT IN (SELECT pid FROM pg_stat_progress_vacuum)
"""
_SESSIONS: Final = sa.text(f"""
SELECT pid, usename AS role, coalesce(application_name, '') AS application, coalesce(state, '') AS state,
  extract(epoch FROM clock_timestamp() - xact_start)::float8 AS seconds
{_HOLDING} AND xact_start < clock_timestamp() - make_interval(secs => :seconds)
ORDER BY xact_start LIMIT :most
""")  # noqa: S608 - our own words
# For want of the right to see it, `xact_start` is NULL.
_HIDDEN: Final = sa.text(f"""
SELECT pid {_HOLDING} AND xact_start IS NULL
ORDER BY greatest(age(backend_xmin), age(backend_xid)) DESC LIMIT :most
""")
_PREPARED: Final = sa.text("""
SELECT gid AS name, owner, extract(epoch FROM clock_timestamp() - prepared)::float8 AS seconds
FROM pg_prepared_xacts
WHERE database = current_database() AND prepared < clock_timestamp() - make_interval(secs => :seconds)
ORDER BY prepared LIMIT :most
""")
# A standby tells its slot what it needs (`hot_standby_feedback`); one without a slot, the process that sends to it.
_REPLICAS: Final = sa.text("""
SELECT name, is_slot, is_active, transactions FROM (
  SELECT slot_name AS name, true AS is_slot, active AS is_active, age(xmin) AS transactions
  FROM pg_replication_slots WHERE xmin IS NOT NULL
  UNION ALL
  SELECT coalesce(application_name, ''), false, true, age(backend_xmin)
  FROM pg_stat_replication WHERE backend_xmin IS NOT NULL
) AS replica
WHERE transactions >= :transactions OR NOT is_active
ORDER BY transactions DESC LIMIT :most
""")
_IS_AUTOMATIC: Final = sa.text(
    "SELECT current_setting('autovacuum')::boolean AND current_setting('track_counts')::boolean"
)
