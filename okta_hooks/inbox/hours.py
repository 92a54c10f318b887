"""What was received, hour by hour: of an hour that is over it is written down once, so that nobody counts it again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import sqlalchemy as sa

from .tables import delivery, event, hour

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .database import Database

HOUR: Final = 3600
#: An hour is written down so many seconds after its end: what was received in it is committed then.
_MARGIN: Final = 600
#: As long as the keys of events are kept.
_MOST_HOURS: Final = 100 * 24
_AT_ONCE: Final = 24
_SECONDS: Final = 120.0
_LATEST_DELIVERIES: Final = 1000
_NO_NUMBER: Final = -1


class Received(NamedTuple):
    """What was received alike within an hour.

    ``first_at`` and ``last_at`` are when, in seconds since the epoch. ``source`` is empty if there is none.
    """

    hook: str
    via: str
    source: str
    secret_list: int
    secret: int
    deliveries: int
    events: int
    first_at: float
    last_at: float


class Numbers(NamedTuple):
    """How much was received, and when first and last, in seconds since the epoch."""

    deliveries: int
    events: int
    first_at: float
    last_at: float


class Hours:
    """Answers what was received, however much that is.

    Its methods raise :exc:`InboxUnavailable` if the database does not do what it is asked.

    :param clock: Returns the time, in seconds since the epoch.
    """

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def write_down(self) -> bool:
        """Write down what was received in hours that are over, some at a time.

        :return: whether there are more: call again.
        """
        now = self._clock()
        over = int((now - _MARGIN) // HOUR)
        with self._database.reading(seconds=_SECONDS) as connection:
            last = _last(connection)
            first_at = connection.scalar(sa.select(sa.func.min(delivery.c.received_at)))
        if last is None:
            if first_at is None:
                return False
            last = int(first_at // HOUR) - 1
        first = max(last + 1, over - _MOST_HOURS)
        for number in range(first, min(first + _AT_ONCE, over)):
            self._write_down(number)
        with self._database.transaction(seconds=_SECONDS) as connection:
            # A clock that went ahead has written down hours that are not over.
            is_wrong = (hour.c.hour >= over) | (hour.c.hour < over - _MOST_HOURS)
            connection.execute(hour.delete().where(is_wrong))
        return first + _AT_ONCE < over

    def _write_down(self, number: int) -> None:
        with self._database.reading(seconds=_SECONDS) as connection:
            found = _look(connection, number * HOUR, (number + 1) * HOUR, parts=False)
        rows = [(one.hook, number, *one[1:]) for one in found]
        rows.append(("", number, "", "", _NO_NUMBER, _NO_NUMBER, 0, 0, 0.0, 0.0))
        with self._database.transaction(seconds=_SECONDS) as connection:
            self._database.add(connection, tuple(hour.c), rows, skip_known=True)

    def received(self, since: float) -> dict[tuple[str, str], Numbers]:
        """Return how much was received since a time, in seconds since the epoch, by hook and how it came.

        What was backfilled came at that time.
        """
        whole = int(-(-since // HOUR))
        with self._database.reading(seconds=_SECONDS) as connection:
            live = _live_from(connection)
            if whole * HOUR >= live:
                parts = _look(connection, since)
            else:
                parts = [
                    *_look(connection, since, whole * HOUR),
                    *_written(connection, hour.c.hour >= whole, hour.c.hour < live // HOUR),
                    *_look(connection, live),
                ]
        found: dict[tuple[str, str], Numbers] = {}
        for one in parts:
            was = found.get((one.hook, one.via), Numbers(0, 0, one.first_at, one.last_at))
            found[one.hook, one.via] = Numbers(
                was.deliveries + one.deliveries,
                was.events + one.events,
                min(was.first_at, one.first_at),
                max(was.last_at, one.last_at),
            )
        return found

    def last_by_hook(self) -> dict[str, float]:
        """Return when Okta last delivered something new to each hook, in seconds since the epoch."""
        with self._database.reading() as connection:
            live = _live_from(connection)
            queries = (
                sa.select(hour.c.hook, sa.func.max(hour.c.last_at))
                .where(hour.c.via == "hook", hour.c.hour < live // HOUR)
                .group_by(hour.c.hook),
                sa.select(delivery.c.hook, sa.func.max(delivery.c.received_at))
                .where(delivery.c.via == "hook", delivery.c.received_at >= live)
                .group_by(delivery.c.hook),
            )
            # What was received later stands in the later query.
            return {hook: at for query in queries for hook, at in connection.execute(query)}

    def sources(self, hook: str) -> set[str]:
        """Return what sent the latest deliveries to a hook: URLs of hooks at Okta."""
        found: set[str] = set()
        number = 0
        for one in sorted(self._by_okta(hook), key=lambda one: one.last_at, reverse=True):
            if number >= _LATEST_DELIVERIES:
                break
            number += one.deliveries
            found.add(one.source)
        return found - {""}

    def secret_use(
        self, hook: str, secret_list: int, *, ignoring: str | None = None
    ) -> dict[int, tuple[float, float]]:
        """Return when each of a hook's secrets first and last authenticated a delivery, by its position.

        A position means something in one list only, so what counts is what was received
        since the last delivery that knew another list.

        :param secret_list: The tag of the list that is live now.
        :param ignoring: A source whose deliveries do not count.
        """
        rows = [one for one in self._by_okta(hook) if ignoring is None or one.source != ignoring]
        since = max((one.last_at for one in rows if one.secret_list != secret_list), default=0.0)
        found: dict[int, tuple[float, float]] = {}
        for one in rows:
            if one.secret_list != secret_list or one.secret == _NO_NUMBER or one.last_at <= since:
                continue
            first, last = found.get(one.secret, (one.last_at, 0.0))
            found[one.secret] = min(first, max(one.first_at, since)), max(last, one.last_at)
        return found

    def _by_okta(self, hook: str) -> list[Received]:
        with self._database.reading(seconds=_SECONDS) as connection:
            live = _live_from(connection)
            is_written = hour.c.hook == hook, hour.c.hour < live // HOUR
            rows = [*_written(connection, *is_written), *_look(connection, live)]
        return [one for one in rows if one.hook == hook and one.via == "hook"]


def _last(connection: sa.Connection) -> int | None:
    """Return the last hour that is written down."""
    found: int | None = connection.scalar(
        sa.select(sa.func.max(hour.c.hour)).where(hour.c.hook == "")
    )
    return found


def _live_from(connection: sa.Connection) -> float:
    """Return from when on the deliveries themselves have to be looked at."""
    last = _last(connection)
    return 0.0 if last is None else float((last + 1) * HOUR)


def _written(connection: sa.Connection, *conditions: Any) -> Sequence[Received]:
    query = sa.select(*(hour.c[name] for name in Received._fields)).where(
        hour.c.hook != "", *conditions
    )
    return [Received._make(row) for row in connection.execute(query)]


def _look(
    connection: sa.Connection, since: float, until: float | None = None, *, parts: bool = True
) -> Sequence[Received]:
    """Look at the deliveries that were received in some time.

    :param parts: Whether to keep apart what was received an hour later: which of two was first tells something.
    """
    number = (
        sa.select(sa.func.count()).where(event.c.delivery_id == delivery.c.id).scalar_subquery()
    )
    alike = (
        delivery.c.hook,
        delivery.c.via,
        sa.func.coalesce(delivery.c.source, ""),
        sa.func.coalesce(delivery.c.secret_list, _NO_NUMBER),
        sa.func.coalesce(delivery.c.secret, _NO_NUMBER),
    )
    found = (
        sa.select(
            *(column.label(name) for column, name in zip(alike, Received._fields, strict=False)),
            number.label("events"),
            delivery.c.received_at,
        )
        .where(
            delivery.c.received_at >= since,
            sa.true() if until is None else delivery.c.received_at < until,
        )
        .subquery()
    )
    keys = [found.c[name] for name in Received._fields[: len(alike)]]
    # One database cuts a number off, another rounds it.
    an_hour = [sa.cast(found.c.received_at / HOUR, sa.Integer)] if parts else []
    query = sa.select(
        *keys,
        sa.func.count(),
        sa.cast(sa.func.sum(found.c.events), sa.BigInteger),
        sa.func.min(found.c.received_at),
        sa.func.max(found.c.received_at),
    ).group_by(*keys, *an_hour)
    return [Received._make(row) for row in connection.execute(query)]
