"""What was received, hour by hour: of an hour that is over it is written down once, so that nobody counts it again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import sqlalchemy as sa

from .tables import delivery, event, hour

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from .database import Database

HOUR: Final = 3600
#: An hour is written down so many seconds after its end: what was received in it is committed then.
_MARGIN: Final = 600
#: As long as the keys of events are kept.
_MOST_HOURS: Final = 100 * 24
_AT_ONCE: Final = 24
_SECONDS: Final = 120.0
_LATEST_DELIVERIES: Final = 1000
#: How many hours that are not written down are looked at.
_MOST_LIVE: Final = 25
_NO_NUMBER: Final = -1
_WAY: Final = (delivery.c.hook, delivery.c.via)
_AUTHENTICATED: Final = (
    sa.func.coalesce(delivery.c.source, "").label("source"),
    sa.func.coalesce(delivery.c.secret_list, _NO_NUMBER).label("secret_list"),
    sa.func.coalesce(delivery.c.secret, _NO_NUMBER).label("secret"),
)
_ALIKE: Final = (*_WAY, *_AUTHENTICATED)


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
            found = _look(connection, _ALIKE, number * HOUR, (number + 1) * HOUR)
        rows = [(hook, number, *others) for hook, *others in found]
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
                parts = [_part(row) for row in _look(connection, _WAY, since)]
            else:
                parts = [
                    *map(_part, _look(connection, _WAY, since, whole * HOUR)),
                    *_written(connection, whole, live // HOUR),
                    *map(_part, _look(connection, _WAY, live)),
                ]
        found: dict[tuple[str, str], Numbers] = {}
        for key, one in parts:
            was = found.get(key, Numbers(0, 0, one.first_at, one.last_at))
            found[key] = Numbers(
                was.deliveries + one.deliveries,
                was.events + one.events,
                min(was.first_at, one.first_at),
                max(was.last_at, one.last_at),
            )
        return found

    def by_hour(
        self, begin: float, end: float, *, hooks: Collection[str] | None = None
    ) -> dict[int, int]:
        """Return how many new events were received in each hour of a time, by when the hour began.

        Hours that are not written down yet are looked at, but no more than the last ones: a chart must not count
        for long in an inbox of which nothing is written down.

        :param begin: Where an hour begins, in seconds since the epoch, as is ``end``.
        :param hooks: Only of these.
        """
        over = int(self._clock() // HOUR) + 1
        found: dict[int, int] = {}
        with self._database.reading(seconds=_SECONDS) as connection:
            live = int(_live_from(connection) // HOUR)
            written = (
                sa.select(hour.c.hook, hour.c.hour, sa.func.sum(hour.c.events))
                .where(
                    hour.c.hook.in_(_hooks(connection)),
                    hour.c.hour >= begin // HOUR,
                    hour.c.hour < min(live, end // HOUR),
                )
                .group_by(hour.c.hook, hour.c.hour)
            )
            rows = [tuple(row) for row in connection.execute(written)]
            for number in range(
                max(live, int(begin // HOUR), over - _MOST_LIVE), min(over, int(end // HOUR))
            ):
                looked_at = _look(connection, _WAY, number * HOUR, (number + 1) * HOUR)
                rows += [(row[0], number, row[3]) for row in looked_at]
        for hook, number, events in rows:
            if hooks is None or hook in hooks:
                found[number * HOUR] = found.get(number * HOUR, 0) + int(events)
        return found

    def last_by_hook(self) -> dict[str, float]:
        """Return when Okta last delivered something new to each hook, in seconds since the epoch."""
        with self._database.reading() as connection:
            live = _live_from(connection)
            found = {}
            for hook in _hooks(connection):
                at = _last_at(connection, live, _by_okta(hook))
                if at is not None:
                    found[hook] = at
            later = (
                sa.select(delivery.c.hook, sa.func.max(delivery.c.received_at))
                .where(delivery.c.via == "hook", delivery.c.received_at >= live)
                .group_by(delivery.c.hook)
            )
            found.update((hook, at) for hook, at in connection.execute(later))
            return found

    def sources(self, hook: str) -> set[str]:
        """Return what sent the latest deliveries to a hook: URLs of hooks at Okta."""
        with self._database.reading(seconds=_SECONDS) as connection:
            live = _live_from(connection)
            columns = hour.c.source, hour.c.deliveries
            # Each is of one delivery at least.
            written = (
                sa.select(*columns)
                .where(*_by_okta(hook), hour.c.hour < live // HOUR)
                .order_by(hour.c.hour.desc(), hour.c.last_at.desc())
                .limit(_LATEST_DELIVERIES)
            )
            looked_at = _look_by_okta(connection, hook, live)
            before = [tuple(row) for row in connection.execute(written)]
        found: set[str] = set()
        number = 0
        newest_first = sorted(looked_at, key=lambda one: one.last_at, reverse=True)
        latest = [(one.source, one.deliveries) for one in newest_first]
        for source, deliveries in (*latest, *before):
            if number >= _LATEST_DELIVERIES:
                break
            number += deliveries
            found.add(source)
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
        with self._database.reading(seconds=_SECONDS) as connection:
            live = _live_from(connection)
            rows = [
                one
                for one in _look_by_okta(connection, hook, live)
                if ignoring is None or one.source != ignoring
            ]
            counts = [*_by_okta(hook)]
            if ignoring is not None:
                counts.append(hour.c.source != ignoring)
            others = [one.last_at for one in rows if one.secret_list != secret_list]
            if others:
                since = max(others)
            else:
                of_others = [*counts, hour.c.secret_list != secret_list]
                since = _last_at(connection, live, of_others) or 0.0
            used = [
                (one.secret, one.first_at, one.last_at)
                for one in rows
                if one.secret_list == secret_list and one.last_at > since
            ]
            if not others:
                used += _uses(connection, live, [*counts, hour.c.secret_list == secret_list], since)
        found: dict[int, tuple[float, float]] = {}
        for secret, first_at, last_at in used:
            if secret == _NO_NUMBER:
                continue
            first, last = found.get(secret, (last_at, 0.0))
            found[secret] = min(first, max(first_at, since)), max(last, last_at)
        return found


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


def _by_okta(hook: str) -> tuple[Any, ...]:
    """Return what is true of the rows that tell what Okta delivered to a hook."""
    return hour.c.hook == hook, hour.c.via == "hook"


def _hooks(connection: sa.Connection) -> list[str]:
    """Return the hooks of which something is written down: one look into the index for each."""
    found: list[str] = []
    query = sa.select(sa.func.min(hour.c.hook))
    while (hook := connection.scalar(query.where(hour.c.hook > (found or [""])[-1]))) is not None:
        found.append(hook)
    return found


def _last_at(connection: sa.Connection, live: float, conditions: Sequence[Any]) -> float | None:
    """Return when the last delivery came of those that rows tell of which conditions are true."""
    is_before = hour.c.hour < live // HOUR
    last = sa.select(hour.c.hour).where(*conditions, is_before).order_by(hour.c.hour.desc())
    # Of one hour, and nothing else is said of it: there are many, and SQLite would go through them.
    of_last = hour.c.hour == last.limit(1).scalar_subquery()
    found: float | None = connection.scalar(
        sa.select(sa.func.max(hour.c.last_at)).where(*conditions, of_last)
    )
    return found


def _uses(
    connection: sa.Connection, live: float, conditions: Sequence[Any], since: float
) -> list[tuple[int, float, float]]:
    """Return the secrets that were used after a time, and when each was first and last."""
    query = (
        sa.select(hour.c.secret, sa.func.min(hour.c.first_at), sa.func.max(hour.c.last_at))
        .where(
            *conditions,
            # The index has it: nothing before needs to be looked at.
            hour.c.hour >= since // HOUR,
            hour.c.hour < live // HOUR,
            hour.c.last_at > since,
        )
        .group_by(hour.c.secret)
    )
    return [(secret, first, last) for secret, first, last in connection.execute(query)]


_Part: TypeAlias = tuple[tuple[str, str], Numbers]


def _part(row: Sequence[Any]) -> _Part:
    return (row[0], row[1]), Numbers._make(row[2:])


def _written(connection: sa.Connection, first: float, until: float) -> list[_Part]:
    """Return what is written down of some hours, by hook and how it came: added up by the database."""
    query = (
        sa.select(
            hour.c.hook,
            hour.c.via,
            *(
                sa.cast(sa.func.sum(hour.c[name]), sa.BigInteger)
                for name in ("deliveries", "events")
            ),
            sa.func.min(hour.c.first_at),
            sa.func.max(hour.c.last_at),
        )
        .where(
            hour.c.hook.in_(_hooks(connection)),  # the index begins with the hook
            hour.c.hour >= first,
            hour.c.hour < until,
        )
        .group_by(hour.c.hook, hour.c.via)
    )
    return [_part(row) for row in connection.execute(query)]


def _look(
    connection: sa.Connection, alike: Sequence[Any], since: float, until: float | None = None
) -> Sequence[Any]:
    """Look at the deliveries that were received in some time.

    :param alike: The columns of which the values are to be the same of what is counted together.
    :return: rows of these, and of what :class:`Numbers` has.
    """
    number = (
        sa.select(sa.func.count()).where(event.c.delivery_id == delivery.c.id).scalar_subquery()
    )
    found = (
        sa.select(*alike, number.label("events"), delivery.c.received_at)
        .where(
            delivery.c.received_at >= since,
            sa.true() if until is None else delivery.c.received_at < until,
        )
        .subquery()
    )
    keys = [found.c[column.name] for column in alike]
    query = sa.select(
        *keys,
        sa.func.count(),
        sa.cast(sa.func.sum(found.c.events), sa.BigInteger),
        sa.func.min(found.c.received_at),
        sa.func.max(found.c.received_at),
    ).group_by(*keys)
    return connection.execute(query).all()


class _Use(NamedTuple):
    """What Okta delivered alike within an hour."""

    source: str
    secret_list: int
    secret: int
    deliveries: int
    first_at: float
    last_at: float


def _look_by_okta(connection: sa.Connection, hook: str, since: float) -> Sequence[_Use]:
    """Look at the deliveries that a hook has had from Okta since a time.

    What was received an hour later is kept apart: which of two was first tells something.
    """
    found = (
        sa.select(*_AUTHENTICATED, delivery.c.received_at)
        .where(delivery.c.received_at >= since, delivery.c.hook == hook, delivery.c.via == "hook")
        .subquery()
    )
    keys = [found.c[column.name] for column in _AUTHENTICATED]
    query = sa.select(
        *keys, sa.func.count(), sa.func.min(found.c.received_at), sa.func.max(found.c.received_at)
    ).group_by(
        *keys,
        # One database cuts a number off, another rounds it.
        sa.cast(found.c.received_at / HOUR, sa.Integer),
    )
    return [_Use._make(row) for row in connection.execute(query)]
