"""Dead letters, as people look at them: by receiver and error; and what they do about them, batch by batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import sqlalchemy as sa

from .error_groups import grouped, key_of
from .event_page import MOST_COUNTED, MOST_LOOKED_AT, Capped
from .gauges import QUERIES
from .keys import has_key
from .overview import STORED_EVENT, StoredEvent
from .statements import HAS_DEAD, has_open, lock_events
from .tables import CLAIMED, DEAD, attempt, delivery, event, receipt

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from .database import Database
    from .upkeep import Upkeep

#: Of how many dead letters of a receiver the groups are made: the newest.
MOST_GROUPED: Final = 1000
#: Of how many of all receivers together: an incident that many have must not take longer to look at.
_MOST_GROUPED_IN_ALL: Final = 5000
#: How many are replayed or pruned in one transaction.
BATCH: Final = 500
#: How many rows one step of a replay looks at.
_MOST_IN_STEP: Final = 5000
_CHUNK: Final = 1000
_TOO_LARGE: Final = 2**63
_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadGroup:
    """Dead letters of one receiver with the same error, but for what differs from event to event.

    ``key`` stands for the group in a :class:`DeadChoice`, ``sample`` is the newest of the errors as it was.
    ``number`` is of those that were looked at; they were received between ``first_at`` and ``last_at``, in seconds
    since the epoch.
    """

    hook: str
    receiver: str
    key: str
    error: str
    sample: str
    number: int
    first_at: float
    last_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLane:
    """The dead letters of a receiver; that with an empty name has the events that could not be read.

    ``number`` is exact; the groups are those of the ``looked_at`` newest, the largest first.
    """

    hook: str
    receiver: str
    number: int
    looked_at: int
    groups: tuple[DeadGroup, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadChoice:
    """Which dead letters are meant: all of a receiver, those of a group, or those with one of some ``uuids``.

    ``until`` leaves out whose last attempt ended later, in seconds since the epoch.
    """

    hook: str
    receiver: str
    group: str | None = None
    uuids: tuple[str, ...] = ()
    until: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """An event that a receiver has given up, or that nobody could read; ``ended_at`` is of its last attempt."""

    event: StoredEvent
    receiver: str
    error: str | None
    attempts: int = 0
    ended_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadPage:
    """Some dead letters, newest first.

    ``older`` is what to ask for the next page by, or None. ``looked_to`` is the time, in seconds since the epoch,
    to which the look went if it ended before the page was full.
    """

    letters: tuple[DeadLetter, ...]
    older: str | None
    looked_to: float | None = None


class Step(NamedTuple):
    """What one transaction has done: to how many dead letters, and where the next goes on, or None at the end."""

    number: int
    next: str | None


class DeadLetters:
    """Groups dead letters, lists, replays and prunes them.

    Its methods raise :exc:`InboxUnavailable` if the database does not do what it is asked.
    """

    def __init__(self, database: Database, upkeep: Upkeep) -> None:
        self._database = database
        self._upkeep = upkeep

    def lanes(
        self, hooks: Collection[str] | None = None, receiver: str | None = None
    ) -> list[DeadLane]:
        """Return the receivers that have dead letters, those with most first.

        :param hooks: Only of these.
        :param receiver: Only this one; of no other are letters looked at.
        """
        found = []
        with self._database.reading(seconds=_SECONDS) as connection:
            numbers = {
                (hook, name): number
                for state, query in QUERIES
                if state == DEAD
                for hook, name, number, _ in connection.execute(query)
                if (hooks is None or hook in hooks) and receiver in (None, name)
            }
            most = min(MOST_GROUPED, max(_MOST_GROUPED_IN_ALL // max(len(numbers), 1), 1))
            for (hook, name), number in sorted(
                numbers.items(), key=lambda item: (-item[1], item[0])
            ):
                choice = DeadChoice(hook=hook, receiver=name)
                newest = []
                for row in _walk(connection, choice, None, most=MOST_LOOKED_AT):
                    if row.is_meant:
                        newest.append(row)
                    if len(newest) == most:
                        break
                found.append(
                    DeadLane(
                        hook=hook,
                        receiver=name,
                        number=number,
                        looked_at=len(newest),
                        groups=_groups(connection, choice, newest),
                    )
                )
        return found

    def find(
        self,
        choice: DeadChoice,
        *,
        limit: int = 50,
        before: str | None = None,
        most: int = MOST_LOOKED_AT,
    ) -> DeadPage:
        """Return a page of dead letters, newest first.

        :param before: ``older`` of the page before.
        :param most: How many rows may be looked at.
        :raises ValueError: if ``before`` is none.
        """
        start = None if before is None else _number(before)
        ids: list[int] = []
        last: int | None = None
        looked_at = 0
        with self._database.reading(seconds=_SECONDS) as connection:
            for row in _walk(connection, choice, start, most=most):
                looked_at += 1
                if row.is_meant:
                    if len(ids) == limit:
                        break
                    ids.append(row.event_id)
                last = row.event_id
            else:
                # All has been looked at, or as much as may be.
                letters = _letters(connection, choice.receiver, ids)
                if looked_at < most:
                    return DeadPage(letters=letters, older=None)
                return DeadPage(
                    letters=letters, older=str(last), looked_to=_received_at(connection, last)
                )
            return DeadPage(letters=_letters(connection, choice.receiver, ids), older=str(ids[-1]))

    def count(
        self, choice: DeadChoice, *, up_to: int = MOST_COUNTED, most: int = MOST_LOOKED_AT
    ) -> Capped:
        """Count dead letters up to a number, among the newest.

        :param most: How many rows may be looked at.
        """
        number = looked_at = 0
        with self._database.reading(seconds=_SECONDS) as connection:
            for row in _walk(connection, choice, None, most=most):
                looked_at += 1
                number += row.is_meant
                if number > up_to:
                    return Capped(up_to, has_more=True)
        return Capped(number, has_more=looked_at == most)

    def replay(self, choice: DeadChoice, after: str | None = None, *, most: int = BATCH) -> Step:
        """Let the receiver try some of its dead letters again, the oldest first, in one transaction.

        Events that are stored after the first step are not touched by the others, nor, by ``until`` of the choice,
        what becomes a dead letter meanwhile.

        :param after: ``next`` of the step before.
        :param most: How many at most.
        :raises ValueError: if ``after`` is none.
        """

        def reset(connection: sa.Connection, ids: Sequence[int]) -> int:
            query = (
                sa.select(event.c.id, event.c.hook, event.c.state)
                .join(delivery, delivery.c.id == event.c.delivery_id)
                .where(event.c.id.in_(ids), delivery.c.body.is_not(None), _is_dead(choice))
            )
            rows = connection.execute(query).all()
            self._upkeep.reset(connection, rows, choice.receiver or None)
            return len(rows)

        return self._step(choice, after, most, reset)

    def prune(self, choice: DeadChoice, after: str | None = None, *, most: int = BATCH) -> Step:
        """Delete some dead letters, the oldest first, in one transaction.

        Their events go, too, with their keys, unless another receiver has not finished with them or has given them up.

        :param after: ``next`` of the step before.
        :param most: How many at most.
        :raises ValueError: if ``after`` is none.
        """

        def delete(connection: sa.Connection, ids: Sequence[int]) -> int:
            query = sa.select(event.c.id).where(event.c.id.in_(ids), _is_dead(choice))
            dead = connection.scalars(query).all()
            if choice.receiver:
                for table in (attempt, receipt):
                    mine = table.c.event_id.in_(dead), table.c.receiver == choice.receiver
                    connection.execute(table.delete().where(*mine))
            bare = sa.select(event.c.id).where(
                event.c.id.in_(dead), ~has_open(event.c.id), ~HAS_DEAD
            )
            self._upkeep.delete(connection, connection.scalars(bare).all())
            return len(dead)

        return self._step(choice, after, most, delete)

    def _step(
        self,
        choice: DeadChoice,
        after: str | None,
        most: int,
        change: Callable[[sa.Connection, Sequence[int]], int],
    ) -> Step:
        if choice.uuids:
            return self._step_of_uuids(choice, _number(after or "0"), most, change)
        with self._database.reading(seconds=_SECONDS) as connection:
            begin, last = _places(after) if after else (0, _newest(connection))
            ids, end = [], None
            looked_at = 0
            for row in _walk(connection, choice, begin, most=_MOST_IN_STEP, last=last):
                looked_at += 1
                end = row.event_id
                if row.is_meant:
                    ids.append(row.event_id)
                if len(ids) == most:
                    break
        has_more = looked_at == _MOST_IN_STEP or len(ids) == most
        return Step(self._change(ids, change), f"{end}-{last}" if has_more else None)

    def _step_of_uuids(
        self,
        choice: DeadChoice,
        begin: int,
        most: int,
        change: Callable[[sa.Connection, Sequence[int]], int],
    ) -> Step:
        some = choice.uuids[begin : begin + most]
        query = sa.select(event.c.id).where(event.c.hook == choice.hook, has_key(some))
        with self._database.reading(seconds=_SECONDS) as connection:
            ids = connection.scalars(query).all()
        end = begin + most
        return Step(self._change(ids, change), str(end) if end < len(choice.uuids) else None)

    def _change(
        self, ids: Sequence[int], change: Callable[[sa.Connection, Sequence[int]], int]
    ) -> int:
        if not ids:
            return 0
        with self._database.transaction(seconds=_SECONDS) as connection:
            lock_events(self._database, connection, ids)
            return change(connection, ids)


class _Row(NamedTuple):
    event_id: int
    error: str | None
    is_meant: bool


def _walk(
    connection: sa.Connection,
    choice: DeadChoice,
    start: int | None,
    *,
    most: int,
    last: int | None = None,
) -> Iterator[_Row]:
    """Go through dead letters of a receiver, and say which of them are meant: newest first, or up to a last one.

    Of events that could not be read there is no index: all that are dead are gone through.

    :param start: The id behind which to begin.
    """
    is_up = last is not None
    if choice.receiver:
        event_id = receipt.c.event_id
        query = sa.select(
            event_id,
            receipt.c.error,
            sa.literal(choice.hook).label("hook"),
            receipt.c.ended_at,
        ).where(
            receipt.c.state == DEAD,
            receipt.c.hook == choice.hook,
            receipt.c.receiver == choice.receiver,
        )
    else:
        event_id = event.c.id
        query = sa.select(event_id, event.c.reason, event.c.hook, sa.null()).where(
            event.c.state == DEAD
        )
    query = query.order_by(event_id.asc() if is_up else event_id.desc())
    if last is not None:
        query = query.where(event_id <= last)
    keys = _keys(connection, choice) if choice.uuids else None
    while most > 0:
        number = min(most, _CHUNK)
        page = query.limit(number)
        if start is not None:
            page = page.where(event_id > start if is_up else event_id < start)
        rows = connection.execute(page).all()
        for one, error, hook, ended_at in rows:
            is_meant = (
                hook == choice.hook
                and (bool(choice.receiver) or error is not None)
                and (choice.group is None or key_of(grouped(error)) == choice.group)
                and (keys is None or one in keys)
                and (choice.until is None or ended_at is None or ended_at <= choice.until)
            )
            yield _Row(one, error, is_meant)
        if len(rows) < number:
            return
        start = rows[-1][0]
        most -= number


def _keys(connection: sa.Connection, choice: DeadChoice) -> set[int]:
    query = sa.select(event.c.id).where(event.c.hook == choice.hook, has_key(choice.uuids))
    return set(connection.scalars(query))


def _groups(
    connection: sa.Connection, choice: DeadChoice, newest: Sequence[_Row]
) -> tuple[DeadGroup, ...]:
    by_error: dict[str, list[_Row]] = {}
    for row in newest:
        by_error.setdefault(grouped(row.error), []).append(row)
    ends = {row.event_id for rows in by_error.values() for row in (rows[0], rows[-1])}
    received = _times(connection, ends)
    return tuple(
        DeadGroup(
            hook=choice.hook,
            receiver=choice.receiver,
            key=key_of(error),
            error=error,
            sample=rows[0].error or "",
            number=len(rows),
            first_at=received.get(rows[-1].event_id, 0.0),
            last_at=received.get(rows[0].event_id, 0.0),
        )
        for error, rows in sorted(by_error.items(), key=lambda item: (-len(item[1]), item[0]))
    )


def _times(connection: sa.Connection, event_ids: Collection[int]) -> dict[int, float]:
    found: dict[int, float] = {}
    ids = sorted(event_ids)
    for start in range(0, len(ids), BATCH):
        query = (
            sa.select(event.c.id, delivery.c.received_at)
            .join(delivery, delivery.c.id == event.c.delivery_id)
            .where(event.c.id.in_(ids[start : start + BATCH]))
        )
        found.update((row.id, row.received_at) for row in connection.execute(query))
    return found


def _received_at(connection: sa.Connection, event_id: int | None) -> float | None:
    return None if event_id is None else _times(connection, [event_id]).get(event_id)


def _letters(
    connection: sa.Connection, receiver: str, ids: Sequence[int]
) -> tuple[DeadLetter, ...]:
    events = (
        sa.select(*STORED_EVENT)
        .join(delivery, delivery.c.id == event.c.delivery_id)
        .where(event.c.id.in_(ids))
        .order_by(event.c.id.desc())
    )
    receipts = sa.select(
        receipt.c.event_id, receipt.c.error, receipt.c.attempts, receipt.c.ended_at
    ).where(receipt.c.event_id.in_(ids), receipt.c.receiver == receiver)
    tried = {row.event_id: row for row in connection.execute(receipts)}
    found = []
    for row in connection.execute(events).mappings():
        one = StoredEvent(**row)
        mine: Any = tried.get(one.id)
        found.append(
            DeadLetter(event=one, receiver="", error=one.reason)
            if mine is None
            else DeadLetter(
                event=one,
                receiver=receiver,
                error=mine.error,
                attempts=mine.attempts,
                ended_at=mine.ended_at,
            )
        )
    return tuple(found)


def _is_dead(choice: DeadChoice) -> Any:
    """Return the condition that an event is a dead letter of a receiver since early enough, or could not be read."""
    if not choice.receiver:
        return sa.and_(event.c.state == DEAD, event.c.reason.is_not(None))
    mine = [
        receipt.c.event_id == event.c.id,
        receipt.c.receiver == choice.receiver,
        receipt.c.state == DEAD,
    ]
    if choice.until is not None:
        ended_at = receipt.c.ended_at
        mine.append(ended_at.is_(None) | (ended_at <= choice.until))
    return sa.and_(event.c.state.in_([CLAIMED, DEAD]), sa.exists().where(*mine))


def _newest(connection: sa.Connection) -> int:
    return int(connection.scalar(sa.select(sa.func.max(event.c.id))) or 0)


def _places(text: str) -> tuple[int, int]:
    begin, _, last = text.partition("-")
    return _number(begin), _number(last)


def _number(text: str) -> int:
    """Read a number that a database can hold: it may come from a URL."""
    number = int(text)
    if not 0 <= number < _TOO_LARGE:
        raise ValueError(f"no place in a list: {text!r}")
    return number
