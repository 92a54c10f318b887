"""Backfill: the System Log of an org into the inbox, page by page behind a durable cursor."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from okta_hooks import signals
from okta_hooks.exceptions import InboxUnavailable, OktaRefused, OktaUnavailable, as_sentence
from okta_hooks.inbox.counters import of_stored, recovered
from okta_hooks.inbox.cursor import SECONDS, Cursor
from okta_hooks.logs import plain_logger
from okta_hooks.wire.events import Delivery
from okta_hooks.wire.limits import LOG_RETENTION
from okta_hooks.work import dispatch

from .log import TIME_FORMAT, LogReader, forgotten
from .log_end import MILLISECOND, SLACK_SECONDS, published_at
from .log_versions import HookPage, LogVersions
from .retries import may_pass, pause_after
from .selector import LogSelectors
from .tally import Tally

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from okta_hooks.inbox import Inbox
    from okta_hooks.inbox.intake import NewDelivery, Stored
    from okta_hooks.state import AppState

    from .client import LogPage, OktaClient
    from .registration import NamedHook

logger = plain_logger(__name__)

_OVERLAP_SECONDS: Final = 3600.0
#: A first backfill begins this long before now: the clocks of this host and of Okta may differ.
_HEAD_START_SECONDS: Final = 300.0


class Stopped(Exception):
    """A wait was broken off, because the work is to stop."""


def interruptible(stopping: threading.Event) -> Callable[[float], None]:
    """Return how an :class:`~okta_hooks.org.client.OktaClient` is to wait so that it can be stopped."""

    def wait(seconds: float) -> None:
        if stopping.wait(seconds):
            raise Stopped

    return wait


class Backfill:
    """Reads the System Log of an org into the inbox of an app.

    Its methods raise :exc:`OktaRefused` if the org does not let it read the log.

    :param client: For the org; it should wait as :func:`interruptible` does.
    :param stopping: Is set when the work is to stop, after the page that is in hand.
    :param named: Which hook at Okta one of the app's is, if a person has said it.
    :param stores_all_differing: Whether the log's versions are stored however many differ from what hooks delivered.
    :param tell: Is called with a line for a person.
    :param progress: Is called after each page.
    """

    def __init__(
        self,
        state: AppState,
        client: OktaClient,
        stopping: threading.Event,
        *,
        named: NamedHook | None = None,
        stores_all_differing: bool = False,
        tell: Callable[[str], Any] = logger.warning,
        progress: Callable[[Tally], Any] = lambda _: None,
    ) -> None:
        runtime = state.runtime()
        self.tally = Tally()
        self._inbox = runtime.inbox
        self._worker = runtime.worker
        self._client = client
        self._stopping = stopping
        self._tell = tell
        self._progress = progress
        self._selectors = LogSelectors(state, client, named=named, tell=tell)
        self._reader = LogReader(client, "", 0.0)
        self._versions = LogVersions(
            runtime.inbox.contradictions, tell, is_limited=not stores_all_differing
        )
        #: What is yet to be compared of pages that are stored.
        self._late: list[HookPage] = []
        self._cursor: Cursor | None = None
        self._recovered: dict[str, int] = {}
        # The last URLs that were made of a time, and that Okta refused: see `_page`.
        self._start_url = ""
        self._refused_url: str | None = None

    def begin(self, since: float | None = None) -> None:
        """Choose where to begin: where the last backfill stopped, or some minutes ago if there was none.

        Where that is, is in the inbox from now on.

        :param since: Begin at this time, in seconds since the epoch, unless the last backfill stopped earlier:
            nothing is passed over.
        """
        while True:
            self._cursor = self._inbox.cursors.of(self._client.url)
            if self._cursor is not None and _is_before(self._cursor, since):
                self._resume()
                return
            known = (
                None
                if self._cursor
                else cursor_under_other_name(self._inbox, self._client, self._tell)
            )
            if known is not None and _is_before(known, since):
                if self._store([], known) is not None:
                    self._resume()
                    return
                continue
            start_at = self._now() - _HEAD_START_SECONDS
            if since is not None and since > self._now():
                self._tell("That is later than now by Okta's clock: reading from five minutes ago.")
            elif since is not None:
                start_at = since
            self._begin_at(start_at)
            start = Cursor(next_url=self._reader.url, reached_at=self.tally.reached_at)
            if self._store([], start) is not None:
                return

    def _now(self) -> float:
        """Return what time it is by Okta's clock; by this host's as long as Okta has not said it."""
        return self._client.now() or self._inbox.clock()

    def _begin_at(self, moment: float) -> None:
        now = self._now()
        gap = forgotten(moment, now, self._tell)
        if gap is not None:
            self.tally.gap = gap
            moment = gap[1]
        self._start_url = self._client.log_url(since=datetime.fromtimestamp(moment, UTC))
        self._reader.seek(self._start_url, moment - MILLISECOND)
        self.tally.reached_at = moment
        if self.tally.began_at is None:
            self.tally.began_at = moment

    def _resume(self) -> None:
        cursor = self._cursor
        if cursor is None:  # somebody has deleted it
            return
        oldest = self._now() - LOG_RETENTION.total_seconds()
        if cursor.reached_at is not None and cursor.reached_at < oldest:
            self._begin_at(cursor.reached_at)
            return
        reached_at = self._now() if cursor.reached_at is None else cursor.reached_at
        self._reader.seek(cursor.next_url, reached_at)
        self.tally.reached_at = cursor.reached_at
        if self.tally.began_at is None:
            self.tally.began_at = cursor.reached_at

    def catch_up(self, *, max_failures: int | None = None) -> bool:
        """Read to the end of the log, or until the work is to stop.

        What may pass is waited for, longer each time: no answer from Okta, or a database that is locked or away.

        :param max_failures: How often in a row; by default, as long as it takes.
        :return: whether the end of the log was reached.
        """
        failures = 0
        while not self._stopping.is_set():
            try:
                is_end = self._read_page()
                failures = 0
                self._progress(self.tally)
                if is_end:
                    return True
            except Stopped:
                break
            except (OktaUnavailable, OktaRefused, InboxUnavailable) as error:
                failures += 1
                if not may_pass(error) or (max_failures is not None and failures > max_failures):
                    raise
                pause = pause_after(error, failures)
                self._tell(f"{as_sentence(error)} Trying again in {pause:.0f} s.")
                self._stopping.wait(pause)
        return False

    def follow(self, seconds: float) -> None:
        """Read the log until the work is to stop.

        :param seconds: How long to wait at the end of the log.
        """
        while not self._stopping.is_set():
            self.catch_up()
            self._stopping.wait(seconds)

    def _read_page(self) -> bool:
        """Read a page, store what it has for the app's hooks, and return whether it was the last for now."""
        self._store_late()
        page = self._page()
        is_end = self._reader.is_last(page)
        reached_at = self._reached(page.events, self._now())
        after = Cursor(next_url=self._reader.url_after(page), reached_at=reached_at)
        pages = self._versions.choose(self._hook_pages(page.events))
        stored = self._store([each.new for each in pages], after)
        if stored is None:
            # Another backfill is at work: go on from where it has got to.
            self._cursor = self._inbox.cursors.of(self._client.url)
            self._resume()
            return False
        self._reader.advance(page)
        self.tally.is_at_end = is_end
        self.tally.pages += 1
        self.tally.events += len(page.events)
        self.tally.reached_at = reached_at
        self._versions.note(pages)
        for each, result in zip(pages, stored, strict=True):
            self.tally.add(each.new.hook, result)
            self._announce(each, result)
            if late := each.late(result):
                self._late.append(late)
        self._store_late()
        return is_end

    def _store_late(self) -> None:
        """Store the log's version of what a hook delivered otherwise while the page was compared and stored.

        What the database does not do now is done before the next page.
        """
        if not self._late:
            return
        pages = self._versions.choose(self._late)
        versions = [page.reduced_to_versions() for page in pages if page.versions]
        new = [each.new for each in versions]
        stored = self._inbox.intake.store(new, seconds=SECONDS, reserved=False) if new else []
        self._inbox.counters.count(of_stored(new, stored))
        self._late.clear()
        self._versions.note(pages)
        for each, result in zip(versions, stored, strict=True):
            self.tally.replace_duplicates(each.new.hook, result)
            self._announce(each, result)

    def _page(self) -> LogPage:
        url = self._reader.url
        try:
            return self._reader.fetch()
        except OktaRefused as refused:
            # A cursor of Okta's may have expired: then the log is read again from a time. A URL that was made of
            # a time, or has been refused before, would be refused again.
            is_cursor = url not in {self._start_url, self._refused_url}
            if refused.status != HTTPStatus.BAD_REQUEST or not is_cursor:
                raise
            self._refused_url = url
            back = (self.tally.reached_at or self._now()) - _OVERLAP_SECONDS
            moment = datetime.fromtimestamp(back, UTC)
            self._tell(
                f"Okta does not go on from where the backfill stopped ({refused}). "
                f"Reading again from {moment:{TIME_FORMAT}}."
            )
            self._begin_at(back)
            return self._reader.fetch()

    def _reached(self, events: Sequence[Any], now: float) -> float | None:
        # The latest time that is not in the future: the clock behind one event may be wrong.
        times = (published_at(raw) for raw in events)
        read = [at for at in times if at is not None and at <= now + SLACK_SECONDS]
        if self.tally.reached_at is not None:
            read.append(self.tally.reached_at)
        return max(read, default=None)

    def _store(self, new: Sequence[NewDelivery], after: Cursor) -> list[Stored] | None:
        stored = self._inbox.cursors.advance(
            self._client.url, new, before=self._cursor, after=after
        )
        if stored is not None:
            self._cursor = after
        return stored

    def _hook_pages(self, events: Sequence[Any]) -> list[HookPage]:
        """Return for each hook what it is to have of a page; of that, one delivery is made."""
        received = Delivery(
            event_id=None,
            source=self._client.url,
            via="backfill",
            received_at=datetime.fromtimestamp(self._inbox.clock(), UTC),
        )
        pages = []
        for selector in self._selectors.current() if events else []:
            chosen = [raw for raw in events if selector.selects(raw, self._worker.app)]
            if chosen:
                pages.append(HookPage.of(selector.hook.name, chosen, received))
        return pages

    def _announce(self, page: HookPage, stored: Stored) -> None:
        if not stored.new:
            return
        self.tally.contradicting += self._versions.announce(page, stored)
        self._note_recovered(page.new, stored)
        dispatch.notify_stored(
            self._worker.app,
            hook=self._worker.hooks[page.new.hook],
            delivery=page.new.delivery,
            new=stored.new,
            duplicate=stored.duplicate,
            dead=stored.dead,
        )
        self._worker.wake()

    def _note_recovered(self, new: NewDelivery, stored: Stored) -> None:
        if number := recovered(new, stored):
            self._recovered[new.hook] = self._recovered.get(new.hook, 0) + number

    def tell_of_recovered(self) -> None:
        """Log how many events no hook had brought, of those since the last call, and send ``events_recovered``."""
        numbers, self._recovered = self._recovered, {}
        for hook, number in numbers.items():
            logger.warning(
                "The backfill has brought %(count)d events of the hook %(hook)r that no delivery had: "
                "does the hook fail? flask okta-hooks doctor looks for the reason.",
                {"hook": hook, "count": number},
            )
            signals.notify(
                signals.events_recovered,
                self._worker.app,
                hook=self._worker.hooks[hook],
                number=number,
            )


def _is_before(cursor: Cursor, since: float | None) -> bool:
    return since is None or (cursor.reached_at is not None and cursor.reached_at <= since)


def cursor_under_other_name(
    inbox: Inbox, client: OktaClient, tell: Callable[[str], Any] = logger.warning
) -> Cursor | None:
    """Return how far the log of an org was read while it had another address, or None.

    That is another spelling of it, or its domain at Okta, where its custom domain is configured now. If there are
    several, it is the one that is furthest.

    :param tell: Is called with a line for a person if the org does not say its names.
    """
    found = (inbox.cursors.of(name) for name in client.other_names(tell))
    known = [cursor for cursor in found if cursor is not None]
    return max(known, key=lambda cursor: cursor.reached_at or 0.0, default=None)
