from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, cast

import pytest

from okta_hooks.exceptions import OktaUnavailable
from okta_hooks.org.client import LogPage
from okta_hooks.org.log import LogReader, forgotten
from okta_hooks.wire.limits import LARGEST_LOG_PAGE, LOG_RETENTION

if TYPE_CHECKING:
    from okta_hooks.org.client import OktaClient

FULL, SHORT, EMPTY = LARGEST_LOG_PAGE, 1, 0


class Pages:
    """An org whose log has pages of these lengths."""

    url = "https://acme.okta.com"

    def __init__(self, *lengths: int) -> None:
        self._lengths = lengths

    def log_page(self, url: str) -> LogPage:
        """Return the page of this number."""
        number = int(url)
        return LogPage([{}] * self._lengths[number], str(number + 1))


def reader(*lengths: int) -> LogReader:
    return LogReader(cast("OktaClient", Pages(*lengths)), "0")


@pytest.mark.parametrize(
    "lengths",
    [
        (EMPTY,),
        (FULL, FULL, EMPTY),
        (SHORT, SHORT),
        (FULL, SHORT, FULL, SHORT, SHORT),
        (SHORT, EMPTY),
    ],
)
def test_where_the_log_ends(lengths: tuple[int, ...]) -> None:
    """It goes on behind one page that is not full, but not behind two, nor behind an empty one."""
    pages = reader(*lengths)
    ends = []
    for _ in lengths:
        page = pages.fetch()
        ends.append(pages.is_last(page))
        pages.advance(page)

    assert ends == [False] * (len(lengths) - 1) + [True]
    assert pages.url == str(len(lengths))


def test_after_the_end_it_takes_two_short_pages_again() -> None:
    """Who follows the log does not take the first short page after the end for the next end."""
    pages = reader(SHORT, SHORT, SHORT, SHORT)
    for _ in range(2):
        pages.advance(pages.fetch())

    assert not pages.is_last(pages.fetch())


def test_another_page_is_another_beginning() -> None:
    """What was read before does not count for where the log ends."""
    pages = reader(SHORT, SHORT)
    pages.advance(pages.fetch())
    pages.seek("0")

    assert not pages.is_last(pages.fetch())


def test_a_log_that_does_not_say_where_it_goes_on() -> None:
    """Polling always has a next page, so without one the answer cannot be right."""
    pages = reader(SHORT)

    with pytest.raises(OktaUnavailable, match=r"https://acme\.okta\.com does not say where"):
        pages.advance(LogPage([{}], None))
    assert pages.url == "0"


def test_what_okta_has_forgotten() -> None:
    """It keeps 90 days, and a minute more or less is not worth a word."""
    lines: list[str] = []
    now = timedelta(days=1000).total_seconds()
    oldest = now - LOG_RETENTION.total_seconds()

    assert forgotten(oldest - 59, now, lines.append) is None
    assert lines == []
    assert forgotten(oldest - 3600, now, lines.append) == (oldest - 3600, oldest)
    (line,) = lines
    assert line == (
        "Okta keeps its log for 90 days: what happened from 1972-06-28T23:00:00Z "
        "to 1972-06-29T00:00:00Z cannot be read any more."
    )
