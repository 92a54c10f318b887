"""An exchange in a transaction that has begun already, and that somebody else commits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sqlalchemy as sa

    from .database import Statement


class OneByOne:
    """Executes one statement after another.

    That is enough for a library in the same process, where a statement waits for nothing but the disk.
    """

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self.changed = 0

    def run(self, *statements: Statement) -> list[list[Any]]:
        """Execute statements one after another."""
        found: list[list[Any]] = []
        self.changed = 0
        for text, parameters in statements:
            result = self._connection.exec_driver_sql(text, tuple(parameters))
            if result.returns_rows:
                found.append(list(result.all()))
            else:
                self.changed += result.rowcount
        return found

    def finish(self, *statements: Statement) -> list[list[Any]]:
        """Execute the last statements; whoever has begun the transaction commits it."""
        return self.run(*statements)
