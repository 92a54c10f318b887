from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest

from okta_hooks.exceptions import OktaUnavailable
from okta_hooks.org.client import LogPage
from okta_hooks.org.log import LogReader, forgotten
from okta_hooks.wire.limits import LARGEST_LOG_PAGE, LOG_RETENTION

if TYPE_CHECKING:
    from okta_hooks.org.client import OktaClient

FULL, SHORT, EMPTY = LARGEST_LOG_PAGE, 1, 0
START = datetime(2026, 5, 4, tzinfo=UTC)


class Pages:
    """An org whose log has pages of these lengths, and then no more; all of it happened at one time."""

    url = "https://acme.okta.com"

    def __init__(self, *lengths: int, until: datetime | None = None) -> None:
        self.lengths = list(lengths)
        self.until = until

    def now(self) -> float:
        """Return a time behind all of it."""
        return START.timestamp() + 60

    def page(self, number: int) -> list[Any]:
        """Return the events of a page."""
        length = self.lengths[number] if number < len(self.lengths) else 0
        published = START.isoformat()
        return [
            {"uuid": f"{number}-{each}", "eventType": "a.b", "published": published}
            for each in range(length)
        ]

    def log_page(self, url: str) -> LogPage:
        """Return the page of this number; the last leads to itself."""
        number = int(url)
        following = min(number + 1, len(self.lengths))
        return LogPage(self.page(number), str(following))

    def newest_events(self, since: datetime, until: datetime) -> list[Any]:
        """Return the last events of all, as many as fit on a page."""
        events = [event for number in range(len(self.lengths)) for event in self.page(number)]
        return events[: -LARGEST_LOG_PAGE - 1 : -1] if since <= START < until else []


def read(reader: LogReader) -> int:
    """Read to the end, and return how many events that were."""
    number = 0
    for _ in range(20):
        page = reader.fetch()
        is_last = reader.is_last(page)
        reader.advance(page)
        number += len(page.events)
        if is_last:
            return number
    raise AssertionError("no end")


@pytest.mark.parametrize(
    "lengths",
    [
        (),
        (FULL, FULL),
        (SHORT, SHORT),
        (FULL, SHORT, FULL, SHORT, SHORT),
        (SHORT, SHORT, SHORT, FULL),
        (SHORT, EMPTY, FULL, 7),
        (FULL, EMPTY, EMPTY, EMPTY, SHORT),
    ],
)
def test_where_the_log_ends(lengths: tuple[int, ...]) -> None:
    """Behind the event that is the newest, whatever pages before it are short or empty."""
    log = Pages(*lengths)

    reader = LogReader(cast("OktaClient", log), "0", 0.0)
    assert read(reader) == sum(lengths)
    log.lengths += [EMPTY, 3]
    assert read(reader) == 3


def test_a_log_that_does_not_hand_out_its_end() -> None:
    """A hole that does not pass is no end: it is told, and what comes after it is read when it has passed."""
    log = Pages(FULL, *[EMPTY] * 8, 7)
    reader = LogReader(cast("OktaClient", log), "0", 0.0)

    with pytest.raises(OktaUnavailable, match="does not hand out") as caught:
        read(reader)
    assert caught.value.is_transient
    log.lengths[1:9] = [EMPTY]
    reader.url = "1"
    assert read(reader) == 7


def test_what_was_read_before() -> None:
    """Whoever goes on where the last one stopped needs no event to know that there is none."""
    reader = LogReader(cast("OktaClient", Pages(FULL)), "1", START.timestamp())

    assert reader.is_last(reader.fetch())


def test_a_log_that_does_not_go_on() -> None:
    """Polling always says where, so an answer that does not is none."""
    pages = LogReader(cast("OktaClient", Pages()), "0", 0.0)
    with pytest.raises(OktaUnavailable, match="does not say where its log goes on"):
        pages.advance(LogPage([], None))


def test_what_okta_keeps() -> None:
    """What is older is told, with the time from which on there is something; a minute is none."""
    told: list[str] = []
    now = START.timestamp()
    oldest = now - LOG_RETENTION.total_seconds()

    assert forgotten(oldest - 59, now, told.append) is None
    assert told == []
    begin = oldest - timedelta(days=1).total_seconds()
    assert forgotten(begin, now, told.append) == (begin, oldest)
    assert "90 days" in told[0]
