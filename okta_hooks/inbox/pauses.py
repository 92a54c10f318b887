"""Which receivers are paused: their receipts stay pending, and nobody claims one until they are resumed.

The condition stands in the statements that claim, so that it holds for every process from the commit of the pause on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from okta_hooks.printable import printable

from .tables import pause

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .database import Database

LONGEST_REASON: Final = 500
LONGEST_NAME: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """A receiver that is paused: since when, in seconds since the epoch, by whom, and why."""

    hook: str
    receiver: str
    paused_at: float
    who: str
    reason: str | None


class Pauses:
    """Pauses and resumes receivers, whether they are connected anywhere or not.

    Its methods raise :exc:`InboxUnavailable` if the database does not do what it is asked.

    :param clock: Returns the time, in seconds since the epoch.
    """

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def pause(self, hook: str, receiver: str, *, who: str, reason: str | None = None) -> bool:
        """Let nobody claim receipts of a receiver from now on. What has been claimed before may still run.

        :return: whether it was not paused before: else who has paused it, and when, stays as it is.
        """
        row = {
            "hook": hook,
            "receiver": receiver,
            "paused_at": self._clock(),
            "who": printable(who)[:LONGEST_NAME],
            "reason": reason and printable(reason)[:LONGEST_REASON],
        }
        statement = self._database.insert(pause).values(row).on_conflict_do_nothing()
        with self._database.transaction() as connection:
            return connection.execute(statement.returning(pause.c.hook)).first() is not None

    def resume(self, hook: str, receiver: str) -> bool:
        """Let receipts of a receiver be claimed again; return whether it was paused."""
        mine = (pause.c.hook == hook) & (pause.c.receiver == receiver)
        with self._database.transaction() as connection:
            gone = connection.execute(pause.delete().where(mine).returning(pause.c.hook))
            return gone.first() is not None

    def paused(self) -> list[Pause]:
        """Return what is paused, by hook and receiver."""
        query = sa.select(pause).order_by(pause.c.hook, pause.c.receiver)
        with self._database.reading() as connection:
            return [Pause(**row) for row in connection.execute(query).mappings()]

    def is_paused(self, hook: str, receiver: str) -> bool:
        """Return whether a receiver is paused."""
        query = sa.select(pause.c.hook).where(pause.c.hook == hook, pause.c.receiver == receiver)
        with self._database.reading() as connection:
            return connection.execute(query).first() is not None


def is_paused(hook: Any, receiver: Any) -> sa.Exists:
    """Return the condition that a receiver is paused, for a statement that has it in parameters or columns."""
    return sa.exists().where(pause.c.hook == hook, pause.c.receiver == receiver)


def not_paused(
    connection: sa.Connection, receivers: Iterable[tuple[str, str]]
) -> list[tuple[str, str]]:
    """Return those of the receivers, each a hook and a name, that are not paused."""
    paused = {tuple(row) for row in connection.execute(sa.select(pause.c.hook, pause.c.receiver))}
    return [each for each in receivers if each not in paused]
