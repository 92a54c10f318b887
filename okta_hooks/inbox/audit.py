"""What people have done to the inbox, or seen of it, and why: written down before it is done, kept for 400 days."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from okta_hooks.printable import printable

from .pauses import LONGEST_NAME, LONGEST_REASON
from .tables import audit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .database import Database

_BATCH: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One thing that somebody has done. ``at`` is in seconds since the epoch.

    ``hook`` is None for what is of no one hook. ``number`` is to how many events or receivers it was done;
    None if it was not done to its end.
    """

    id: int
    at: float
    hook: str | None
    action: str
    subject: str
    number: int | None
    who: str
    reason: str | None
    via: str


class Audit:
    """Keeps account of what people do.

    Its methods raise :exc:`InboxUnavailable` if the database does not do what it is asked.

    :param clock: Returns the time, in seconds since the epoch.
    """

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def write(
        self,
        *,
        action: str,
        subject: str,
        who: str,
        via: str,
        hook: str | None = None,
        number: int | None = None,
        reason: str | None = None,
    ) -> int:
        """Write down one thing that is about to be done; return its id.

        :param number: To how many events or receivers; None if that is to be known later: see :meth:`complete`.
        """
        row = {
            "at": self._clock(),
            "hook": hook,
            "action": action,
            "subject": printable(subject)[:LONGEST_REASON],
            "number": number,
            "who": printable(who)[:LONGEST_NAME],
            "reason": reason and printable(reason)[:LONGEST_REASON],
            "via": via,
        }
        statement = audit.insert().values(row).returning(audit.c.id)
        with self._database.transaction() as connection:
            return int(connection.execute(statement).scalar_one())

    def complete(self, entry_id: int, number: int) -> None:
        """Write down to how many events or receivers something was done."""
        with self._database.transaction() as connection:
            connection.execute(audit.update().where(audit.c.id == entry_id).values(number=number))

    def entries(
        self, *, limit: int = 100, before: int | None = None, hooks: Sequence[str] | None = None
    ) -> list[AuditEntry]:
        """Return what was done, newest first.

        :param before: The id of the last entry of the page before: only what comes after it.
        :param hooks: Only what was done to these, or to no one hook; None: all.
        """
        query = sa.select(audit).order_by(audit.c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(audit.c.id < before)
        if hooks is not None:
            query = query.where(_is_of(hooks))
        with self._database.reading() as connection:
            return [AuditEntry(**row) for row in connection.execute(query).mappings()]

    def number(self, action: str, *, since: float, hooks: Sequence[str]) -> int:
        """Return how often something was done since a time, in seconds since the epoch.

        :param hooks: As for :meth:`entries`.
        """
        query = (
            sa.select(sa.func.count())
            .select_from(audit)
            .where(audit.c.action == action, audit.c.at >= since, _is_of(hooks))
        )
        with self._database.reading() as connection:
            return int(connection.scalar(query) or 0)

    def prune(self, *, before: float) -> int:
        """Forget what was done before a time, one small batch; return how many entries: call again until it is 0."""
        old = sa.select(audit.c.id).where(audit.c.at < before).order_by(audit.c.at).limit(_BATCH)
        with self._database.reading() as connection:
            ids = list(connection.scalars(old))
        if not ids:
            return 0
        with self._database.transaction() as connection:
            return connection.execute(audit.delete().where(audit.c.id.in_(ids))).rowcount


def _is_of(hooks: Sequence[str]) -> sa.ColumnElement[bool]:
    return audit.c.hook.in_(hooks) | audit.c.hook.is_(None)
