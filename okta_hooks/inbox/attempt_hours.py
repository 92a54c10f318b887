"""What was attempted, hour by hour: the totals as they were at the end of each, so that nobody counts attempts.

An hour is written down when the next has begun, by whoever is first to. What happened in hours at whose end nobody did
counts in the next one that was written down.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import sqlalchemy as sa

from .hours import HOUR
from .tables import DURATIONS, attempt_hour, total

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from .database import Database
    from .hours import Hours

DAY: Final = 24 * HOUR
#: What a chart can be by, in seconds; days are those of UTC.
STEPS: Final[dict[str, int]] = {"hour": HOUR, "day": DAY}
#: How many steps a chart has at most.
MOST_STEPS: Final = 200
#: For how long each hour is kept, and after that the last of each day; then nothing is.
_HOURS_KEPT: Final = 15 * 24
_MOST_HOURS: Final = 100 * 24
_SECONDS: Final = 20.0
_NUMBERS: Final = tuple(column.name for column in attempt_hour.c if not column.primary_key)
_SUMS: Final = [sa.func.sum(total.c[name]).label(name) for name in _NUMBERS]

_Lane: TypeAlias = tuple[str, str]
_Numbers: TypeAlias = tuple[float, ...]
Step: TypeAlias = Literal["hour", "day"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempted:
    """What the attempts of a receiver came to between two times, in seconds since the epoch.

    ``retried`` have failed and were tried again, ``dead`` were the last. In ``calls`` of them the receiver was called,
    and ran for ``seconds`` in all; ``within`` is how many of these took no longer than each of
    :data:`~okta_hooks.inbox.tables.DURATIONS`.
    """

    hook: str
    receiver: str
    begin: float
    end: float
    done: int
    retried: int
    dead: int
    seconds: float
    calls: int
    within: tuple[int, ...]

    @property
    def number(self) -> int:
        """How many attempts there were."""
        return self.done + self.failed

    @property
    def failed(self) -> int:
        """How many of them failed."""
        return self.retried + self.dead

    def quantile(self, share: float) -> float | None:
        """Return how many seconds a share of the calls took at most, estimated as Prometheus does; None without calls.

        What took longer than the last of the durations counts as if it had taken as long.

        :param share: Such as 0.99.
        """
        if not self.calls:
            return None
        rank = share * self.calls
        place = bisect_left(self.within, rank)
        if place == len(DURATIONS):
            return DURATIONS[-1]
        low, before = (DURATIONS[place - 1], self.within[place - 1]) if place else (0.0, 0)
        here = self.within[place] - before
        return low + (DURATIONS[place] - low) * ((rank - before) / here if here else 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """What happened between two times, in seconds since the epoch.

    ``received`` is of new events; ``handled`` is of attempts that succeeded, ``failed`` of those that did not.
    """

    begin: float
    end: float
    received: int
    handled: int
    failed: int


class AttemptHours:
    """Answers what was attempted, by hour or by day.

    Its methods raise :exc:`InboxUnavailable` if the database does not do what it is asked.

    :param clock: Returns the time, in seconds since the epoch.
    """

    def __init__(self, database: Database, hours: Hours, clock: Callable[[], float]) -> None:
        self._database = database
        self._hours = hours
        self._clock = clock

    def write_down(self) -> None:
        """Write down what the totals have come to by the end of the last hour, unless somebody has done so."""
        over = int(self._clock() // HOUR)
        with self._database.reading() as connection:
            written = _last_hour(connection, over)
            if written == over - 1:
                return
            before = {} if written is None else _snapshots(connection, [written])[written]
            now = _now(connection)
        rows = [(over - 1, *lane, *numbers) for lane, numbers in sorted(now.items())]
        with self._database.transaction() as connection:
            if now != before:
                self._database.add(connection, tuple(attempt_hour.c), rows, skip_known=True)
            _thin_out(connection, over)

    def chart(
        self,
        since: float,
        until: float,
        step: Step = "hour",
        *,
        hooks: Collection[str] | None = None,
    ) -> list[Span]:
        """Return what happened in each hour or day of a time, the first first.

        :param since: It begins with the hour or day of this time, in seconds since the epoch.
        :param until: It ends with that of this one, or at this moment.
        :param hooks: Only of these.
        """
        ends = _ends(since, until, STEPS[step])
        attempted = self._between(ends, hooks)
        received = self._hours.by_hour(ends[0], ends[-1], hooks=hooks)
        found = []
        for (begin, end), lanes in zip(pairwise(ends), attempted, strict=True):
            found.append(
                Span(
                    begin=begin,
                    end=end,
                    received=sum(number for at, number in received.items() if begin <= at < end),
                    handled=sum(one.done for one in lanes),
                    failed=sum(one.failed for one in lanes),
                )
            )
        return found

    def receivers(
        self,
        since: float,
        until: float,
        step: Step | None = None,
        *,
        hooks: Collection[str] | None = None,
    ) -> list[Attempted]:
        """Return what the attempts of each receiver came to in a time, or in each hour or day of it.

        There is nothing of a receiver where it had no attempts. They are sorted by hook, receiver and time.

        :param since: As for :meth:`chart`, also if there is no step: hours are the least that is known.
        """
        ends = _ends(since, until, STEPS[step or "hour"], most=None if step is None else MOST_STEPS)
        if step is None:
            ends = [ends[0], ends[-1]]
        found = [one for lanes in self._between(ends, hooks) for one in lanes]
        return sorted(found, key=lambda one: (one.hook, one.receiver, one.begin))

    def _between(self, ends: Sequence[int], hooks: Collection[str] | None) -> list[list[Attempted]]:
        """Return for each two neighbouring times what was attempted between them, by receiver."""
        now = self._clock()
        with self._database.reading(seconds=_SECONDS) as connection:
            # A row is of the end of its hour.
            hours = _hours_before(connection, [end // HOUR for end in ends if end <= now])
            snapshots = _snapshots(connection, [one for one in hours if one is not None])
            states: list[Mapping[_Lane, _Numbers]] = [
                {} if one is None else snapshots.get(one, {}) for one in hours
            ]
            if ends[-1] > now:
                states += [_now(connection)] * (len(ends) - len(states))
        found = []
        for (begin, end), (before, after) in zip(pairwise(ends), pairwise(states), strict=True):
            lanes = [
                _attempted(lane, begin, end, _difference(numbers, before.get(lane)))
                for lane, numbers in after.items()
                if hooks is None or lane[0] in hooks
            ]
            found.append([one for one in lanes if one.number])
        return found


def _ends(since: float, until: float, step: int, *, most: int | None = MOST_STEPS) -> list[int]:
    """Return the times between which the steps are.

    :raises ValueError: if there are none, or too many.
    """
    if not math.isfinite(since) or not math.isfinite(until):
        raise ValueError(f"no times: {since} and {until}")
    begin = int(since // step)
    end = max(-int(-until // step), begin + 1)
    if since > until or (most is not None and end - begin > most):
        raise ValueError(f"no time of 1 to {most} steps: {since} to {until}")
    return [number * step for number in range(begin, end + 1)]


def _last_hour(connection: sa.Connection, before: int) -> int | None:
    found: int | None = connection.scalar(
        sa.select(sa.func.max(attempt_hour.c.hour)).where(attempt_hour.c.hour < before)
    )
    return found


def _hours_before(connection: sa.Connection, hours: Sequence[int]) -> list[int | None]:
    """Return for each of these hours the last one before it that is written down."""
    if not hours:
        return []
    # Not through SQLAlchemy, which takes longer over it than the database.
    looks = ", ".join(_LOOK.format(hour=hour) for hour in hours)
    return list(connection.exec_driver_sql(f"SELECT {looks}").one())


def _snapshots(
    connection: sa.Connection, hours: Collection[int]
) -> dict[int, dict[_Lane, _Numbers]]:
    """Return what is written down of some hours."""
    found: dict[int, dict[_Lane, _Numbers]] = {hour: {} for hour in hours}
    query = sa.select(attempt_hour).where(attempt_hour.c.hour.in_(found))
    for hour, hook, receiver, *numbers in connection.execute(query):
        found[hour][hook, receiver] = tuple(numbers)
    return found


def _now(connection: sa.Connection) -> dict[_Lane, _Numbers]:
    """Return what the totals have come to."""
    query = (
        sa.select(total.c.hook, total.c.receiver, *_SUMS)
        .where(total.c.receiver != "")
        .group_by(total.c.hook, total.c.receiver)
    )
    return {
        (hook, receiver): tuple(kind(one) for kind, one in zip(_KINDS, numbers, strict=True))
        for hook, receiver, *numbers in connection.execute(query)
    }


def _difference(after: _Numbers, before: _Numbers | None) -> _Numbers:
    if before is None:
        return after
    return tuple(max(one - other, 0) for one, other in zip(after, before, strict=True))


def _attempted(lane: _Lane, begin: float, end: float, numbers: _Numbers) -> Attempted:
    done, retried, dead, seconds, calls, *within = numbers
    return Attempted(
        hook=lane[0],
        receiver=lane[1],
        begin=begin,
        end=end,
        done=int(done),
        retried=int(retried),
        dead=int(dead),
        seconds=seconds,
        calls=int(calls),
        within=tuple(int(number) for number in accumulate(within)),
    )


def _thin_out(connection: sa.Connection, over: int) -> None:
    """Forget hours that are not needed any more, but for the last one before those that are: it is where they begin."""
    column = attempt_hour.c.hour
    last = sa.func.max(column)
    whole = (over - _HOURS_KEPT) // 24 * 24
    of_days = sa.select(last).where(column < whole).group_by(column // 24)
    first = sa.select(last).where(column < over - _MOST_HOURS).scalar_subquery()
    # A clock that went ahead has written down hours that are not over.
    connection.execute(
        attempt_hour.delete().where(
            (column >= over) | (column < first) | ((column < whole) & column.not_in(of_days))
        )
    )


_KINDS: Final = tuple(float if name == "seconds" else int for name in _NUMBERS)
_LOOK: Final = f"(SELECT max(hour) FROM {attempt_hour.name} WHERE hour < {{hour}})"  # noqa: S608 - our own name
