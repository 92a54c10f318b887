"""Which stored events are meant: what a person or a command can say of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from .keys import has_key
from .tables import DONE, delivery, event, log_key, receipt


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which events: all that fit everything given.

    ``uuids`` choose the log's version of an event, too, if a hook delivered another: see :func:`.log_key`.
    ``patterns`` are patterns of event types; ``since`` and ``until`` bound when the event was received,
    in seconds since the epoch; ``unreceived`` chooses done events that no receiver was connected for.
    ``receiver`` chooses events that have a receipt of this receiver; ``states`` are those of that receipt then.
    """

    uuids: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    hook: str | None = None
    since: float | None = None
    until: float | None = None
    unreceived: bool = False
    receiver: str | None = None

    @property
    def is_by_time(self) -> bool:
        """Whether it says when the events were received."""
        return self.since is not None or self.until is not None

    @property
    def is_quick(self) -> bool:
        """Whether there is an index for it, so that finding some takes no longer the more events there are."""
        if self.uuids:
            return True
        only_open_or_dead = bool(self.states) and DONE not in self.states
        if self.receiver is not None:
            return False
        others = bool(self.patterns) or self.hook is not None or self.unreceived
        if self.is_by_time:
            return not others and not self.states
        return only_open_or_dead or not (others or self.states)

    def conditions(self, connection: sa.Connection) -> list[Any]:
        """Return what to put into a WHERE over events and their deliveries."""
        found: list[Any] = []
        if self.uuids:
            found.append(has_key([*self.uuids, *map(log_key, self.uuids)]))
            if self.hook is None:
                # The index begins with the hook.
                found.append(event.c.hook.in_(hooks_of_events(connection)))
        found += self._of_states()
        if self.patterns and "*" not in self.patterns:
            exact = [event.c.type == p for p in self.patterns if not p.endswith(".*")]
            # Not LIKE: SQLite's does not tell cases apart.
            below = [
                sa.func.substr(event.c.type, 1, len(p) - 1) == p.removesuffix("*")
                for p in self.patterns
                if p.endswith(".*")
            ]
            found.append(sa.or_(*exact, *below))
        if self.hook is not None:
            found.append(event.c.hook == self.hook)
        if self.since is not None:
            found.append(delivery.c.received_at >= self.since)
        if self.until is not None:
            found.append(delivery.c.received_at < self.until)
        if self.unreceived:
            # Receipts go with the body.
            found += [
                event.c.state == DONE,
                delivery.c.body.is_not(None),
                ~sa.exists().where(receipt.c.event_id == event.c.id),
            ]
        return found

    def _of_states(self) -> list[Any]:
        if self.receiver is not None:
            mine = [receipt.c.event_id == event.c.id, receipt.c.receiver == self.receiver]
            if self.states:
                mine.append(receipt.c.state.in_(self.states))
            return [sa.exists().where(*mine)]
        if len(self.states) == 1:  # SQLite has no index for a list of one
            return [event.c.state == self.states[0]]
        return [event.c.state.in_(self.states)] if self.states else []


def hooks_of_events(connection: sa.Connection) -> list[str]:
    """Return the hooks that have events: one look into an index for each."""
    found: list[str] = []
    query = sa.select(sa.func.min(event.c.hook))
    hook = connection.scalar(query)
    while hook is not None:
        found.append(hook)
        hook = connection.scalar(query.where(event.c.hook > hook))
    return found
