"""Which stored events are meant: what a person or a command can say of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from .tables import DONE, delivery, event, log_key, receipt


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which events: all that fit everything given.

    ``uuids`` choose the log's version of an event, too, if a hook delivered another: see :func:`.log_key`.
    ``patterns`` are patterns of event types; ``since`` and ``until`` bound when the event was received,
    in seconds since the epoch; ``unreceived`` chooses done events that no receiver was connected for.
    """

    uuids: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    hook: str | None = None
    since: float | None = None
    until: float | None = None
    unreceived: bool = False

    def conditions(self) -> list[Any]:
        """Return what to put into a WHERE over events and their deliveries."""
        found: list[Any] = []
        if self.uuids:
            found.append(event.c.key.in_([*self.uuids, *map(log_key, self.uuids)]))
        if self.states:
            found.append(event.c.state.in_(self.states))
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
