"""The System Log of an org, read page by page.

Polling is the only complete way to read the log: it is in the order of persistence, and goes on for ever.
https://developer.okta.com/docs/reference/system-log-query/#polling-requests
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from okta_hooks.exceptions import OktaUnavailable
from okta_hooks.wire.limits import LARGEST_LOG_PAGE, LOG_RETENTION

if TYPE_CHECKING:
    from collections.abc import Callable

    from .client import LogPage, OktaClient

#: For people.
TIME_FORMAT: Final = "%Y-%m-%dT%H:%M:%SZ"
_SLACK_SECONDS: Final = 60.0


def forgotten(since: float, now: float, tell: Callable[[str], Any]) -> tuple[float, float] | None:
    """Return from when to when Okta has forgotten what is to be read, and say so, or None if it has not.

    :param since: From when on it is to be read, in seconds since the epoch, as is ``now``.
    :param tell: Is called with a line for a person.
    """
    oldest = now - LOG_RETENTION.total_seconds()
    if since >= oldest - _SLACK_SECONDS:
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

    :param url: The first page to read.
    """

    def __init__(self, client: OktaClient, url: str) -> None:
        self._client = client
        self._was_short = False
        self.url = url

    def fetch(self) -> LogPage:
        """Return the page at :attr:`url`."""
        return self._client.log_page(self.url)

    def is_last(self, page: LogPage) -> bool:
        """Return whether a page that was fetched is the last for now.

        There may be more behind one page that is short, but not behind two in a row.
        """
        return not page.events or (_is_short(page) and self._was_short)

    def url_after(self, page: LogPage) -> str:
        """Return the URL at which the log goes on.

        :raises OktaUnavailable: if Okta has not said it, as polling should.
        """
        if page.next_url is None:
            raise OktaUnavailable(f"{self._client.url} does not say where its log goes on")
        return page.next_url

    def advance(self, page: LogPage) -> None:
        """Go on to the page after one that was fetched.

        :raises OktaUnavailable: as :meth:`url_after`.
        """
        is_last = self.is_last(page)
        self.url = self.url_after(page)
        self._was_short = _is_short(page) and not is_last

    def seek(self, url: str) -> None:
        """Go to another page."""
        self.url = url
        self._was_short = False


def _is_short(page: LogPage) -> bool:
    return len(page.events) < LARGEST_LOG_PAGE
