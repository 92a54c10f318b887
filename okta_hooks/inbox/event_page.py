"""Pages of stored events, for people: none takes longer the more events there are, whatever it is to show.

Where no index leads to what is wanted, a page looks at so many rows and no more, and says how far that was.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import sqlalchemy as sa

from .overview import STORED_EVENT, StoredEvent
from .selection import Selection, hooks_of_events
from .tables import CLAIMED, DEAD, DONE, STATES, delivery, event, receipt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from .database import Database

#: How many rows are looked at for one page at most.
MOST_LOOKED_AT: Final = 20_000
#: How far is counted.
MOST_COUNTED: Final = 1_000
_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPage:
    """Some events, newest first.

    ``older`` and ``newer`` are what :meth:`EventPages.find` takes as ``before`` and ``after`` for the pages beside it,
    or None if there is none. ``looked_to`` is given if the look ended before the page was full: events received before
    that time, in seconds since the epoch, were not looked at (after it, for a page that was asked for by ``after``).
    """

    events: tuple[StoredEvent, ...]
    older: str | None
    newer: str | None
    looked_to: float | None = None


class Capped(NamedTuple):
    """A number that was counted so far and no further: whether there may be more."""

    number: int
    has_more: bool

    def __str__(self) -> str:
        """Return it for people, such as ``1,000+``."""
        return f"{self.number:,}{'+' if self.has_more else ''}"


class Place(NamedTuple):
    """Where an event stands in a list."""

    received_at: float
    event_id: int

    @classmethod
    def parse(cls, text: str) -> Place:
        """Read what ``str`` has written.

        :raises ValueError: if it is none.
        """
        received_at, _, event_id = text.partition("_")
        place = cls(float(received_at), int(event_id))
        if not math.isfinite(place.received_at) or not 0 <= place.event_id < 2**63:
            raise ValueError(f"no place in a list: {text!r}")
        return place

    @classmethod
    def of(cls, one: StoredEvent) -> Place:
        """Return that of an event."""
        return cls(one.received_at, one.id)

    def __str__(self) -> str:
        """Return it for a URL."""
        return f"{self.received_at!r}_{self.event_id}"


class EventPages:
    """Lists events page by page, and counts them up to a number.

    Its methods raise :exc:`InboxUnavailable` if the database does not do what it is asked.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(
        self,
        chosen: Selection,
        *,
        limit: int = 50,
        before: str | None = None,
        after: str | None = None,
        most: int = MOST_LOOKED_AT,
    ) -> EventPage:
        """Return a page of events, newest first: the first one, or that before or after a place.

        :param before: ``older`` of another page.
        :param after: ``newer`` of another page.
        :param most: How many rows may be looked at.
        :raises ValueError: if ``before`` or ``after`` is no place.
        """
        is_up = after is not None
        given = after if is_up else before
        start = None if given is None else Place.parse(given)
        with self._database.reading(seconds=_SECONDS) as connection:
            walks = _walks(connection, chosen, most)
            others = _others(connection, chosen)
            bound = _bound(connection, walks, start, most=most, is_up=is_up)
            found = [
                StoredEvent(**row)
                for walk in walks
                for row in connection.execute(
                    walk.query(STORED_EVENT, walk.source, start, bound, is_up=is_up)
                    .where(*others)
                    .limit(limit + 1)
                ).mappings()
            ]
        key: Callable[[StoredEvent], Any] = Place.of if chosen.is_by_time else lambda one: one.id
        found.sort(key=key, reverse=not is_up)
        has_more = len(found) > limit
        shown = found[:limit]
        if is_up:
            shown.reverse()
        end = None if has_more else bound
        first = str(Place.of(shown[0])) if shown else None
        last = str(Place.of(shown[-1])) if shown else None
        looked_to = end.received_at if end is not None and len(shown) < limit else None
        if is_up:
            return EventPage(
                events=tuple(shown),
                newer=first if has_more else end and str(end),
                older=last or given,
                looked_to=looked_to,
            )
        return EventPage(
            events=tuple(shown),
            older=last if has_more else end and str(end),
            newer=given and (first or given),
            looked_to=looked_to,
        )

    def count(
        self, chosen: Selection, *, up_to: int = MOST_COUNTED, most: int = MOST_LOOKED_AT
    ) -> Capped:
        """Count events up to a number, among the newest.

        :param most: How many rows may be looked at.
        """
        with self._database.reading(seconds=_SECONDS) as connection:
            walks = _walks(connection, chosen, most)
            others = _others(connection, chosen)
            bound = _bound(connection, walks, None, most=most, is_up=False)
            number = 0
            for walk in walks:
                query = walk.query(walk.order, walk.source, None, bound, is_up=False)
                some = query.where(*others).limit(up_to + 1).subquery()
                number += connection.scalar(sa.select(sa.func.count()).select_from(some)) or 0
        return Capped(min(number, up_to), number > up_to or bound is not None)


class _Walk(NamedTuple):
    """A way along an index, from which a page is read.

    ``order`` is what it is sorted by: ids of events, or the times at which they were received and these; ``base`` has
    these columns. ``since`` and ``until`` bound the times. ``is_bounded`` is whether only a part may be looked at.
    """

    base: Any
    order: tuple[Any, ...]
    conditions: tuple[Any, ...] = ()
    since: float | None = None
    until: float | None = None
    is_bounded: bool = False

    def query(
        self,
        columns: Iterable[Any],
        source: Any,
        start: Place | None,
        bound: Place | None = None,
        *,
        is_up: bool,
    ) -> Any:
        """Select from behind a place to another that is still meant."""
        low, high = (start, bound) if is_up else (bound, start)
        return (
            sa.select(*columns)
            .select_from(source)
            .where(*self.conditions, *self._above(low, also_there=not is_up))
            .where(*self._below(high, also_there=is_up))
            .order_by(*(one.asc() if is_up else one.desc() for one in self.order))
        )

    def _above(self, low: Place | None, *, also_there: bool) -> list[Any]:
        *times, event_id = self.order
        since = self.since
        # One condition on the time, not two: SQLite would begin where the wider one does.
        if low is not None and times and since is not None and low.received_at < since:
            low = None
        if low is None:
            return [times[0] >= since] if since is not None else []
        least = event_id >= low.event_id if also_there else event_id > low.event_id
        if not times:
            return [least]
        return [times[0] >= low.received_at, sa.or_(times[0] > low.received_at, least)]

    def _below(self, high: Place | None, *, also_there: bool) -> list[Any]:
        *times, event_id = self.order
        until = self.until
        if high is not None and times and until is not None and high.received_at >= until:
            high = None
        if high is None:
            return [times[0] < until] if until is not None else []
        most = event_id <= high.event_id if also_there else event_id < high.event_id
        if not times:
            return [most]
        return [times[0] <= high.received_at, sa.or_(times[0] < high.received_at, most)]

    @property
    def source(self) -> Any:
        """Where the events of this way come from, with their deliveries."""
        if self.base is receipt:
            return receipt.join(_EVENTS, event.c.id == receipt.c.event_id)
        return _EVENTS


def _bound(
    connection: sa.Connection,
    walks: Sequence[_Walk],
    start: Place | None,
    *,
    most: int,
    is_up: bool,
) -> Place | None:
    """Return the last place that may be looked at, or None if that is the end."""
    found: list[int] = []
    for walk in walks:
        if not walk.is_bounded:
            continue
        if walk.since is not None or walk.until is not None:
            return _bound_in_time(connection, walk, start, most=most, is_up=is_up)
        last = max(most // len(walks), 1) - 1
        query = walk.query(walk.order, walk.base, start, is_up=is_up).offset(last).limit(1)
        event_id = connection.scalar(query)
        if event_id is not None:
            found.append(event_id)
    if not found:
        return None
    nearest = min(found) if is_up else max(found)
    received_at = (
        sa.select(delivery.c.received_at)
        .join(event, event.c.delivery_id == delivery.c.id)
        .where(event.c.id == nearest)
    )
    return Place(connection.scalar(received_at) or 0.0, nearest)


def _bound_in_time(
    connection: sa.Connection, walk: _Walk, start: Place | None, *, most: int, is_up: bool
) -> Place | None:
    """Do as :func:`_bound` by the deliveries alone: the events of so many are looked at."""
    at = delivery.c.received_at
    end = _LAST_ID if is_up else 0
    query = sa.select(at).order_by(at.asc() if is_up else at.desc()).offset(most - 1).limit(1)
    if walk.since is not None:
        query = query.where(at >= walk.since)
    if walk.until is not None:
        query = query.where(at < walk.until)
    if start is not None:
        # What was received at that time has been looked at if the page before ended there.
        if start.event_id != end:
            behind = at >= start.received_at if is_up else at <= start.received_at
        else:
            behind = at > start.received_at if is_up else at < start.received_at
        query = query.where(behind)
    found = connection.scalar(query)
    return None if found is None else Place(found, end)


def _walks(connection: sa.Connection, chosen: Selection, most: int) -> list[_Walk]:
    """Return on which ways along indexes the events are found: all that none of them passes is not meant."""
    if chosen.is_by_time:
        return [_walk_in_time(connection, chosen, most)]
    by_id = (event.c.id,)
    if chosen.uuids:
        return [_Walk(event, by_id)]
    if chosen.receiver is not None and set(chosen.states) == {DEAD}:
        hooks = [chosen.hook] if chosen.hook is not None else hooks_of_events(connection)
        return [
            _Walk(
                receipt,
                (receipt.c.event_id,),
                (
                    receipt.c.state == DEAD,
                    receipt.c.hook == hook,
                    receipt.c.receiver == chosen.receiver,
                ),
                is_bounded=bool(chosen.patterns) or chosen.unreceived,
            )
            for hook in hooks
        ]
    of_states = _states_walked(chosen)
    is_picky = (
        bool(chosen.patterns)
        or chosen.hook is not None
        or chosen.receiver is not None
        or chosen.unreceived
    )
    if of_states:
        return [
            _Walk(event, by_id, (event.c.state == state,), is_bounded=is_picky)
            for state in of_states
        ]
    return [_Walk(event, by_id, is_bounded=is_picky or bool(chosen.states))]


def _walk_in_time(connection: sa.Connection, chosen: Selection, most: int) -> _Walk:
    at, event_id, since, until = delivery.c.received_at, event.c.id, chosen.since, chosen.until
    # An expression, so that no database goes by the time after all.
    not_by_time = (at + 0.0, event_id)
    if chosen.uuids:
        return _Walk(_EVENTS, not_by_time)
    for column, conditions in _short_ways(connection, chosen):
        some = sa.select(column).where(*conditions).limit(most + 1).subquery()
        if (connection.scalar(sa.select(sa.func.count()).select_from(some)) or 0) <= most:
            return _Walk(column.table, not_by_time, conditions, since, until)
    is_all = chosen == Selection(since=since, until=until)
    return _Walk(event, (at, event_id), (), since, until, is_bounded=not is_all)


def _short_ways(
    connection: sa.Connection, chosen: Selection
) -> Iterator[tuple[sa.Column[int], tuple[Any, ...]]]:
    """Return along which indexes it may be quicker to go than by the time: ids of events, and conditions."""
    if chosen.receiver is not None and set(chosen.states) == {DEAD}:
        hooks = [chosen.hook] if chosen.hook is not None else hooks_of_events(connection)
        yield (
            receipt.c.event_id,
            (
                receipt.c.state == DEAD,
                receipt.c.hook.in_(hooks),
                receipt.c.receiver == chosen.receiver,
            ),
        )
    states = _states_walked(chosen)
    if len(states) == 1:  # SQLite has no index for a list of one
        yield event.c.id, (event.c.state == states[0],)
    elif states:
        yield event.c.id, (event.c.state.in_(states),)


def _states_walked(chosen: Selection) -> tuple[str, ...]:
    """Return the states by whose indexes the events can be found, if they can."""
    states = set(chosen.states)
    if not states or DONE in states:
        return ()
    if chosen.receiver is None:
        return tuple(sorted(states))
    # An event is claimed as long as any of its receipts is open.
    return (CLAIMED, DEAD) if DEAD in states else (CLAIMED,)


def _others(connection: sa.Connection, chosen: Selection) -> list[Any]:
    """Return what else must be true of the events.

    Written so that a database does not look for an index: it does not know that few rows are looked at.
    """
    if chosen.uuids:
        return chosen.conditions(connection)
    bare = replace(chosen, states=(), hook=None, receiver=None, since=None, until=None)
    found = bare.conditions(connection)
    if chosen.hook is not None:
        found.append(event.c.hook.concat("") == chosen.hook)
    if chosen.receiver is not None:
        state = (
            sa.select(receipt.c.state)
            .where(receipt.c.event_id == event.c.id, receipt.c.receiver == chosen.receiver)
            .correlate(event)
            .scalar_subquery()
        )
        found.append(state.in_(chosen.states or STATES))
    elif chosen.states:
        found.append(event.c.state.concat("").in_(chosen.states))
    return found


_LAST_ID: Final = 2**63 - 1
_EVENTS: Final = event.join(delivery, delivery.c.id == event.c.delivery_id)
