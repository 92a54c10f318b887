"""The System Log of an org, read page by page.

Polling is the only complete way to read the log: it is in the order of persistence, and goes on for ever.
https://developer.okta.com/docs/reference/system-log-query/#polling-requests
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from okta_hooks.exceptions import OktaUnavailable
from okta_hooks.wire.limits import LARGEST_LOG_PAGE, LOG_RETENTION

from .log_end import SLACK_SECONDS, NewestEvents

if TYPE_CHECKING:
    from collections.abc import Callable

    from .client import LogPage, OktaClient

#: For people.
TIME_FORMAT: Final = "%Y-%m-%dT%H:%M:%SZ"
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
    and the newest events that the log names, asked apart from polling, have been read.

    :param url: The first page to read.
    :param after: Events published up to this time need not be read, or were read before: in seconds since the epoch.
    """

    def __init__(self, client: OktaClient, url: str, after: float) -> None:
        self._client = client
        self.seek(url, after)

    def seek(self, url: str, after: float) -> None:
        """Go to another page. The parameters are those of the class."""
        self.url = url
        self._newest = NewestEvents(self._client, after=after)
        self._short = 0
        # Whether the last page lacked what the log has, and nothing has come since.
        self._is_behind = False

    def fetch(self) -> LogPage:
        """Return the page at :attr:`url`."""
        return self._client.log_page(self.url)

    def is_last(self, page: LogPage) -> bool:
        """Return whether the log has been read to its end with a page that was fetched.

        :raises OktaUnavailable: if polling hands out nothing more, though there is more.
        """
        now = self._client.now() or time.time()
        self._newest.note(page.events, now)
        if page.events:
            self._is_behind = False
        if len(page.events) >= LARGEST_LOG_PAGE:
            self._short = 0
            return False
        self._short += 1
        stands_still = not page.events and page.next_url == self.url
        if not stands_still and self._short < _MOST_SHORT:
            return False
        unread = self._newest.unread(now)
        if page.events and (unread or not self._newest.has_any):
            return False
        if unread and not self._is_behind:
            # It may have come into the log after the page: the next has it then.
            self._is_behind = True
            return False
        self._newest.ask_again()
        self._short = 0
        if not unread:
            return True
        raise OktaUnavailable(
            f"The log of {self._client.url} has {_events(len(unread))} that it does not hand out yet when it is read "
            f"page by page, such as the one of {unread[0].get('published')}: try again later"
        )

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


def _events(number: int) -> str:
    return "an event" if number == 1 else f"{number} events"
