"""The System Log of an org, read page by page.

Polling is the only complete way to read the log: it is in the order of persistence, and goes on for ever.
https://developer.okta.com/docs/reference/system-log-query/#polling-requests
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from okta_hooks.exceptions import OktaUnavailable, UnreadableEvent
from okta_hooks.wire import reading
from okta_hooks.wire.limits import LARGEST_LOG_PAGE, LOG_RETENTION

if TYPE_CHECKING:
    from collections.abc import Callable

    from .client import LogPage, OktaClient

#: For people.
TIME_FORMAT: Final = "%Y-%m-%dT%H:%M:%SZ"
#: How far clocks may be apart: Okta's `Date` has whole seconds only.
SLACK_SECONDS: Final = 60.0
#: In a log of which nothing has been read.
_LOOK_BACK_SECONDS: Final = LOG_RETENTION.total_seconds()
#: So many pages in a row that are not full are followed, unless one is empty and leads to itself. A log to which
#: something is added all the time never has an empty one.
_MOST_SHORT: Final = 5


def forgotten(since: float, now: float, tell: Callable[[str], Any]) -> tuple[float, float] | None:
    """Return from when to when Okta has forgotten what is to be read, and say so, or None if it has not.

    :param since: From when on it is to be read, in seconds since the epoch, as is ``now``.
    :param tell: Is called with a line for a person.
    """
    oldest = now - LOG_RETENTION.total_seconds()
    if since >= oldest - SLACK_SECONDS:
        return None
    begin, end = (datetime.fromtimestamp(at, UTC) for at in (since, oldest))
    tell(
        f"Okta keeps its log for {LOG_RETENTION.days} days: "
        f"what happened from {begin:{TIME_FORMAT}} to {end:{TIME_FORMAT}} "
        "cannot be read any more."
    )
    return since, oldest


class LogReader:
    """Where one has got to in the log of an org.

    A page that is short or empty is no evidence of the log's end. It takes two things: polling leads nowhere any more,
    and the event that the log, asked apart from polling, names as the newest has been read.

    :param url: The first page to read.
    :param reached: When what was read before was published at the latest, in seconds since the epoch; if nothing was,
        the time from which on the log is read: what is older need not be. None if that is not known.
    """

    def __init__(self, client: OktaClient, url: str, reached: float | None = None) -> None:
        self._client = client
        self.seek(url, reached)

    def seek(self, url: str, reached: float | None = None) -> None:
        """Go to another page. The parameters are those of the class."""
        self.url = url
        self._latest = reached
        # Those that were published at `_latest`, or None if they were read by somebody before.
        self._at_latest: set[Any] | None = None
        self._newest: Any = None
        self._short = 0

    def fetch(self) -> LogPage:
        """Return the page at :attr:`url`."""
        return self._client.log_page(self.url)

    def is_last(self, page: LogPage) -> bool:
        """Return whether the log has been read to its end with a page that was fetched.

        :raises OktaUnavailable: if polling hands out nothing more, though there is more.
        """
        now = self._client.now() or time.time()
        self._note(page, now)
        if len(page.events) >= LARGEST_LOG_PAGE:
            self._short = 0
            return False
        self._short += 1
        stands_still = not page.events and page.next_url == self.url
        if not stands_still and self._short < _MOST_SHORT:
            return False
        if self._newest is None:
            since = now - _LOOK_BACK_SECONDS if self._latest is None else self._latest
            span = (datetime.fromtimestamp(at, UTC) for at in (since - SLACK_SECONDS, now))
            self._newest = self._client.newest_event(*span)
        newest = self._newest
        if (newest is None and not page.events) or (newest is not None and self._has_read(newest)):
            self._newest, self._short = None, 0
            return True
        if page.events or newest is None:
            return False
        self._newest, self._short = None, 0
        raise OktaUnavailable(
            f"The log of {self._client.url} has an event of {_time_of(newest)} "
            "that it does not hand out yet to who reads it page by page: try again later"
        )

    def _note(self, page: LogPage, now: float) -> None:
        for raw in page.events:
            at = published_at(raw)
            if at is None or at > now + SLACK_SECONDS:
                continue
            if self._latest is None or at > self._latest:
                self._latest, self._at_latest = at, set()
            if at == self._latest and self._at_latest is not None:
                self._at_latest.add(uuid_of(raw))

    def _has_read(self, raw: Any) -> bool:
        at = published_at(raw)
        if at is None:
            return True  # nothing can be said of it
        if self._latest is None or at != self._latest:
            return self._latest is not None and at < self._latest
        return self._at_latest is None or uuid_of(raw) in self._at_latest

    def url_after(self, page: LogPage) -> str:
        """Return the URL at which the log goes on.

        :raises OktaUnavailable: if Okta has not said it, as polling should.
        """
        if page.next_url is None:
            raise OktaUnavailable(
                f"{self._client.url} does not say where its log goes on, which it has to when it is polled: "
                "try again, and ask Okta's support if that stays so"
            )
        return page.next_url

    def advance(self, page: LogPage) -> None:
        """Go on to the page after one that was fetched.

        :raises OktaUnavailable: as :meth:`url_after`.
        """
        self.url = self.url_after(page)


def uuid_of(raw: Any) -> str | None:
    """Return the uuid of an event, or None if it has none."""
    uuid = raw.get("uuid") if isinstance(raw, dict) else None
    return uuid if isinstance(uuid, str) else None


def _time_of(raw: Any) -> str:
    return str(raw.get("published")) if isinstance(raw, dict) else "an unknown time"


def published_at(raw: object) -> float | None:
    """Return when an event was published, in seconds since the epoch, or None if it cannot be read."""
    try:
        return reading.event_keys(raw).published
    except UnreadableEvent:
        return None
