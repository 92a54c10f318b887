"""Completeness: what Okta meant for a hook, by its System Log, against what has arrived in the inbox."""

from __future__ import annotations

import math
import time
from array import array
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

from okta_hooks.inbox.contradictions import Match
from okta_hooks.inbox.intake import incoming
from okta_hooks.logs import plain_logger
from okta_hooks.wire import reading
from okta_hooks.wire.events import Delivery, Envelope

from .log import LogReader, forgotten
from .log_end import LONGEST_DELAY, MILLISECOND, NewestEvents, published_at
from .log_versions import DifferenceLimit
from .retries import MOST_FAILURES, patiently
from .selector import target_ids

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from okta_hooks.inbox import Inbox

    from .client import LogPage, OktaClient

Answer = TypeVar("Answer")

logger = plain_logger(__name__)

FAILED_DELIVERY: Final = "event_hook.delivery"

#: Okta delivers most events within seconds.
_UNDER_WAY_SECONDS: Final = 60.0
#: So many deliveries that failed are named; all are counted.
_MOST_FAILURES: Final = 1000
_NO_DELIVERY: Final = Delivery(
    event_id=None, source=None, via="backfill", received_at=datetime.fromtimestamp(0, UTC)
)


@dataclass(slots=True, kw_only=True)
class Report:
    """What Okta meant for a hook, and what became of it; all numbers are of events.

    ``missing`` are uuids. ``failures`` are deliveries that Okta recorded as failed, the first of ``failed``.
    ``unidentified`` have no uuid that tells them from others. ``not_compared`` of ``by_hook`` have lost their bodies:
    only their uuid is known to have arrived. ``not_meant`` were not meant for the hook, and are not in the
    inbox, though a backfill would bring them. ``differing`` of the missing are not what hooks delivered under
    their uuids; with ``has_too_many_differing`` a backfill does not bring these, unless it is told to.
    """

    meant: int = 0
    by_hook: int = 0
    by_backfill: int = 0
    under_way: int = 0
    unidentified: int = 0
    not_compared: int = 0
    not_meant: int = 0
    failed: int = 0
    missing: list[str] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)
    read: int = 0
    pages: int = 0
    reached_at: float | None = None
    gap: tuple[float, float] | None = None
    differing: int = 0
    has_too_many_differing: bool = False
    lateness: array[float] = field(default_factory=lambda: array("d"))

    def late(self, quantile: float) -> float | None:
        """Return within how many seconds of being published a fraction of the events came by the hook.

        :param quantile: The fraction, from 0 to 1; 1 stands for the latest.
        """
        if not self.lateness:
            return None
        return sorted(self.lateness)[max(math.ceil(quantile * len(self.lateness)) - 1, 0)]


def reconcile(
    client: OktaClient,
    inbox: Inbox,
    hook: str,
    ids: Collection[str],
    *,
    since: float,
    until: float | None = None,
    selects: Callable[[Any], bool] = lambda _: False,
    tell: Callable[[str], Any] = logger.warning,
    progress: Callable[[Report], Any] | None = None,
    wait: Callable[[float], Any] = time.sleep,
) -> Report:
    """Read the log page by page, and look up what has arrived of the events that were meant for a hook.

    What may pass is waited for, longer each time, a few times in a row.

    :param hook: The hook's name in the app.
    :param ids: What it is known by at Okta.
    :param since: Only events published at or after this time, in seconds since the epoch.
    :param until: Only events published before this time.
    :param selects: Says of an event, as it came, whether a backfill would bring it.
    :param tell: Is called with a line for a person.
    :param progress: Is called after each page.
    :param wait: Sleeps for so many seconds.
    """
    report = Report()
    report.gap = forgotten(since, client.now() or inbox.clock(), tell)
    if report.gap is not None:
        since = report.gap[1]
    # Polled, though it has an end: a bounded query may miss what came into the log late.
    url, before = client.log_url(since=datetime.fromtimestamp(since, UTC)), since - MILLISECOND
    reader = LogReader(client, url, before)
    newest = NewestEvents(client, after=before, until=until)
    limit = DifferenceLimit()

    def read() -> tuple[LogPage, bool]:
        page = reader.fetch()
        return page, reader.is_last(page)

    def unread() -> list[Any]:
        return newest.unread(client.now() or inbox.clock())

    while True:
        page, is_last = patiently(read, tell, wait, times=MOST_FAILURES)
        window = [raw for raw in page.events if _is_within(published_at(raw), since, until)]
        # The page has brought the org's own time.
        now = client.now() or inbox.clock()
        _compare(report, inbox, hook, window, ids, now, limit, tell)
        _count_others(report, inbox, hook, window, ids, selects)
        _note_failures(report, window, ids)
        report.pages += 1
        report.read += len(page.events)
        times = [at for raw in page.events if (at := published_at(raw)) is not None]
        report.reached_at = times[-1] if times else report.reached_at
        newest.note(window, now)
        if progress is not None:
            progress(report)
        if is_last:
            return report
        # That nothing before `until` comes any more is an inference: the log itself has to bear it out.
        is_behind = until is not None and min(times, default=until) > until + LONGEST_DELAY
        if is_behind and not patiently(unread, tell, wait, times=MOST_FAILURES):
            return report
        reader.advance(page)


def _is_within(at: float | None, since: float, until: float | None) -> bool:
    return at is None or (since <= at and (until is None or at < until))


def _compare(
    report: Report,
    inbox: Inbox,
    hook: str,
    events: Sequence[Any],
    ids: Collection[str],
    now: float,
    limit: DifferenceLimit,
    tell: Callable[[str], Any],
) -> None:
    meant = [raw for raw in events if not target_ids(raw).isdisjoint(ids)]
    new = incoming(hook, Envelope(events=tuple(meant)), _NO_DELIVERY)
    matches = inbox.contradictions.compare(new, meant)
    if warning := limit.warning([(new, matches)]):
        report.has_too_many_differing = True
        tell(warning)
    limit.note([(new, matches)])
    arrived = inbox.overview.arrivals(hook, [event.key for event in new.events])
    for place, (raw, event) in enumerate(zip(meant, new.events, strict=True)):
        report.meant += 1
        match = matches.get(place)
        arrival = arrived.get(event.key)
        if event.key != raw.get("uuid"):
            # Its key is a digest of all that it says, which is not the same in the log and in a delivery.
            report.unidentified += 1
        elif match is Match.UNDER_LOG_KEY:
            report.by_backfill += 1
        elif arrival is None or match is Match.DIFFERENT:
            if event.published is not None and now - event.published < _UNDER_WAY_SECONDS:
                report.under_way += 1
            else:
                report.missing.append(raw["uuid"])
                report.differing += match is Match.DIFFERENT
        elif arrival.via == "hook":
            report.by_hook += 1
            report.not_compared += match is Match.NOT_COMPARED
            if event.published is not None:
                report.lateness.append(arrival.received_at - event.published)
        else:
            report.by_backfill += 1


def _count_others(
    report: Report,
    inbox: Inbox,
    hook: str,
    events: Sequence[Any],
    ids: Collection[str],
    selects: Callable[[Any], bool],
) -> None:
    # Okta means nothing for a hook while it is inactive or not verified, or before it has a type.
    others = [raw for raw in events if target_ids(raw).isdisjoint(ids) and selects(raw)]
    new = incoming(hook, Envelope(events=tuple(others)), _NO_DELIVERY).events
    arrived = inbox.overview.arrivals(hook, [event.key for event in new])
    report.not_meant += sum(event.key not in arrived for event in new)


def _note_failures(report: Report, events: Sequence[Any], ids: Collection[str]) -> None:
    for raw in events:
        if not isinstance(raw, dict) or raw.get("eventType") != FAILED_DELIVERY:
            continue
        event = reading.load_event(raw)
        if not any(target.id in ids for target in event.target):
            continue
        result = event.outcome.result if event.outcome else None
        if result and result.upper() == "SUCCESS":
            continue
        report.failed += 1
        if len(report.failures) < _MOST_FAILURES:
            data = (event.debug_context.debug_data if event.debug_context else None) or {}
            report.failures.append(
                {
                    "published": raw.get("published"),
                    "reason": event.outcome.reason if event.outcome else None,
                    "event_id": data.get("eventId"),
                }
            )
