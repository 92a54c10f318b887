"""The System Log of an org: what polling and bounded queries find, and in which order.

https://developer.okta.com/docs/reference/system-log-query/
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from okta_hooks.wire.limits import LARGEST_LOG_PAGE, LOG_RETENTION

from . import errors
from .log_events import as_logged
from .log_filter import read_log_filter
from .log_keywords import has_keywords, read_keywords

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .log_filter import Predicate

_USUAL_LIMIT: Final = 100
#: How far back a query without `since` looks.
_USUAL_SPAN: Final = timedelta(days=7)
_BEGINNING: Final = datetime.min.replace(tzinfo=UTC)


class _Entry(NamedTuple):
    """One event of the log; ``position`` is its place in the order of persistence."""

    position: int
    persisted: datetime
    published: datetime
    event: dict[str, Any]


class Page(NamedTuple):
    """One answer: the events, and the ``after`` of the next page, if there is one."""

    events: list[dict[str, Any]]
    after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogQuery:
    """What is asked of the log.

    A query without ``until``, in ascending order, is polling; any other is bounded.
    """

    since: datetime
    until: datetime | None
    matches: Predicate
    descending: bool
    limit: int
    after: str | None

    @property
    def is_polling(self) -> bool:
        """Whether it goes by persistence, and on for ever."""
        return self.until is None and not self.descending


def read_query(arguments: Mapping[str, str], now: datetime) -> LogQuery:
    """Read the arguments of ``GET /api/v1/logs``.

    :raises RequestRefused: if one is not as Okta takes it.
    """
    order = arguments.get("sortOrder", "ASCENDING")
    if order not in ("ASCENDING", "DESCENDING"):
        raise errors.invalid("sortOrder", "sortOrder: ASCENDING or DESCENDING")
    limit = arguments.get("limit", str(_USUAL_LIMIT))
    if not re.fullmatch(r"[0-9]{1,4}", limit) or int(limit) > LARGEST_LOG_PAGE:
        raise errors.invalid("limit", f"limit: A number from 0 to {LARGEST_LOG_PAGE}")
    until = _moment(arguments, "until")
    since = _moment(arguments, "since") or max(until or now, _BEGINNING + _USUAL_SPAN) - _USUAL_SPAN
    matches = read_log_filter(arguments["filter"]) if arguments.get("filter") else _anything
    keywords = read_keywords(arguments.get("q", ""))

    return LogQuery(
        since=since,
        until=until,
        matches=lambda event: matches(event) and has_keywords(event, keywords),
        descending=order == "DESCENDING",
        limit=int(limit),
        after=arguments.get("after"),
    )


class SystemLog:
    """The events of an org in the order of their persistence.

    It is not locked: the org does that.
    """

    def __init__(self) -> None:
        self._entries: list[_Entry] = []

    def append(self, event: dict[str, Any], now: datetime) -> None:
        """Persist an event.

        :param event: In the form that the log shows.
        :param now: An aware datetime.
        """
        published = _parsed(event.get("published")) or now
        self._entries.append(_Entry(len(self._entries), now, published, event))

    def record(self, event: dict[str, Any], now: datetime) -> None:
        """Persist an event that is in the form in which it is delivered."""
        self.append(as_logged(event, now), now)

    def find(self, event_type: str, uuid: str | None, now: datetime) -> dict[str, Any] | None:
        """Return the last event of a type that was persisted, or the one with a uuid, if there is one."""
        for entry in reversed(self._kept(now)):
            event: dict[str, Any] = entry.event
            if event.get("eventType") == event_type and uuid in (None, event.get("uuid")):
                return event
        return None

    def latest(self, count: int) -> list[dict[str, Any]]:
        """Return the last events that were persisted, the last one first."""
        return [entry.event for entry in reversed(self._entries[-count:])]

    def page(self, query: LogQuery, now: datetime) -> Page:
        """Return one page.

        :raises RequestRefused: if ``after`` was not made here.
        """
        kept = self._kept(now)
        return (
            _poll(kept, query, len(self._entries)) if query.is_polling else _look(kept, query, now)
        )

    def _kept(self, now: datetime) -> list[_Entry]:
        return [entry for entry in self._entries if entry.persisted > now - LOG_RETENTION]


def _poll(entries: list[_Entry], query: LogQuery, end: int) -> Page:
    """Go on in the order of persistence; there is a next page, whatever this one holds."""
    start = 0
    if query.after is not None:
        (start,) = _read_cursor(query.after, "poll", 1)
    found: list[dict[str, Any]] = []
    following = max(start, end)
    for entry in entries:
        if entry.position < start or entry.persisted < query.since:
            continue
        if len(found) == query.limit:
            following = entry.position
            break
        if query.matches(entry.event):
            found.append(entry.event)
    return Page(found, _cursor("poll", following))


def _look(entries: list[_Entry], query: LogQuery, now: datetime) -> Page:
    """Look at what was published in a span of time: ordered by that, and finite."""
    until = query.until or now
    hits = sorted(
        (
            (_microseconds(entry.published), entry.position, entry.event)
            for entry in entries
            if query.since <= entry.published < until and query.matches(entry.event)
        ),
        key=lambda hit: hit[:2],
        reverse=query.descending,
    )
    if query.after is not None:
        last = tuple(_read_cursor(query.after, "look", 2))
        hits = [hit for hit in hits if (hit[:2] < last if query.descending else hit[:2] > last)]
    page, rest = hits[: query.limit], hits[query.limit :]
    after = None
    if page and rest:
        after = _cursor("look", *page[-1][:2])
    return Page([event for _, _, event in page], after)


def _microseconds(moment: datetime) -> int:
    return (moment - _BEGINNING) // timedelta(microseconds=1)


def _cursor(kind: str, *numbers: int) -> str:
    # Opaque, as Okta's are, so that no client makes one itself.
    text = "_".join([kind, *map(str, numbers)])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_cursor(after: str, kind: str, length: int) -> list[int]:
    try:
        padded = after + "=" * (-len(after) % 4)
        found, *numbers = base64.urlsafe_b64decode(padded.encode()).decode().split("_")
        if found == kind and len(numbers) == length:
            return [int(number) for number in numbers]
    except ValueError:
        pass
    raise errors.invalid("after", "after: Take the whole URL of the next link, and change nothing")


def _moment(arguments: Mapping[str, str], name: str) -> datetime | None:
    given = arguments.get(name)
    if not given:
        return None
    moment = _parsed(given)
    if moment is None:
        raise errors.no_date(name)
    return moment


def _parsed(text: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)


def _anything(_: Mapping[str, Any]) -> bool:
    return True
