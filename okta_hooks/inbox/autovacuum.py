"""What PostgreSQL's autovacuum is told about the tables in which every event changes rows.

By default it waits until a fifth of a table is dead. The inbox keeps what is done for 30 days and longer, so that a
fifth is days of work, and each claim walks past what has left the index of due receipts since the last vacuum.

Parameters in :data:`~okta_hooks.inbox.tables.metadata` would need SQLAlchemy 2.1, and old inboxes would lack them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from okta_hooks.logs import plain_logger

from .tables import event, receipt, ticket

if TYPE_CHECKING:
    from collections.abc import Sequence

logger = plain_logger(__name__)

#: Where a vacuum has found dead rows in less than 2 % of the pages, it leaves the indexes as they are: more often
#: would not help.
PARAMETERS: Final = "autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000"
_TABLES: Final = [event.name, receipt.name, ticket.name]
# A table with any storage parameter is left alone: these are set already, or somebody has other plans for it.
_UNSET: Final = sa.text(
    "SELECT relname FROM pg_class WHERE reloptions IS NULL"
    " AND oid IN (SELECT to_regclass(name) FROM unnest(CAST(:names AS text[])) AS name) ORDER BY relname"
)
_MAY_ALTER: Final = sa.text(
    "SELECT current_setting('transaction_read_only') = 'off' AND pg_has_role(relowner, 'USAGE')"
    " FROM pg_class WHERE oid = to_regclass(:name)"
)


def unset(connection: sa.Connection) -> Sequence[str]:
    """Return the tables that have no parameters yet."""
    return connection.scalars(_UNSET, {"names": _TABLES}).all()


def set_parameters(connection: sa.Connection, tables: Sequence[str]) -> None:
    """Set the parameters of these tables, unless that needs a right or a lock that is not to be had.

    The lock keeps nobody from reading and writing, but a vacuum that is running has it, too. It is not waited for:
    whoever opens the inbox next tries again.
    """
    for name in tables:
        if not connection.scalar(_MAY_ALTER, {"name": name}):
            continue
        try:
            with connection.begin_nested():
                connection.exec_driver_sql(
                    f"LOCK TABLE {name} IN SHARE UPDATE EXCLUSIVE MODE NOWAIT"
                )
                connection.exec_driver_sql(f"ALTER TABLE {name} SET ({PARAMETERS})")
        except sa.exc.DBAPIError as error:
            if error.connection_invalidated:
                raise
            logger.debug(
                "The table %(table)s keeps PostgreSQL's own parameters for now.", {"table": name}
            )
