"""What proves that the log of an org was read to an end: no page does, as one may be short or empty before it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from okta_hooks.exceptions import UnreadableEvent
from okta_hooks.wire import reading
from okta_hooks.wire.limits import LARGEST_LOG_PAGE, LOG_RETENTION

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .client import OktaClient

#: How far clocks may be apart: Okta's `Date` has whole seconds only.
SLACK_SECONDS: Final = 60.0
#: How much later than it was published an event may come into the log.
LONGEST_DELAY: Final = 3600.0
#: The log is asked for in milliseconds.
MILLISECOND: Final = 0.001


class NewestEvents:
    """The newest events of a span that were read, against those that the log has when it is asked apart from polling.

    The log is asked once, for one page: at most a thousand events. As many are remembered.

    :param after: Only events published after this time are looked at, in seconds since the epoch: others need not be
        read, or were read before.
    :param until: Only events published before this time, if there is one.
    """

    def __init__(self, client: OktaClient, *, after: float, until: float | None = None) -> None:
        self._client = client
        self._after = after
        self._until = until
        self._read: dict[str, float] = {}
        self._most = 2 * LARGEST_LOG_PAGE
        self._unread: dict[str, Any] | None = None
        self.has_any = False

    def note(self, events: Iterable[Any], now: float) -> None:
        """Take note of events that were read.

        :param now: By Okta's clock.
        """
        for raw in events:
            uuid, at = uuid_of(raw), published_at(raw)
            if uuid is None or at is None or not self._is_within(at):
                continue
            self._read[uuid] = at
            if self._unread is not None:
                self._unread.pop(uuid, None)
        if len(self._read) > self._most:
            self._forget_older(now + SLACK_SECONDS)

    def _forget_older(self, latest: float) -> None:
        """Forget what cannot be among the newest thousand, not counting what the clock behind it dates too late."""
        times = sorted((at for at in self._read.values() if at <= latest), reverse=True)
        if len(times) > LARGEST_LOG_PAGE:
            oldest = times[LARGEST_LOG_PAGE - 1]
            self._read = {uuid: at for uuid, at in self._read.items() if at >= oldest}
        # Many may be of one time: then they stay, and the next look is at twice as many.
        self._most = 2 * max(len(self._read), LARGEST_LOG_PAGE)

    def unread(self, now: float) -> list[Any]:
        """Return the events that the log has, and that have not been read, as they came.

        :param now: By Okta's clock.
        """
        if self._unread is None:
            asked = self._ask(now)
            self.has_any = bool(asked)
            self._unread = {
                uuid: raw
                for raw in asked
                if (uuid := uuid_of(raw)) is not None and uuid not in self._read
            }
        return list(self._unread.values())

    def ask_again(self) -> None:
        """Let the next question go to the log once more: time has passed."""
        self._unread = None

    def _ask(self, now: float) -> list[Any]:
        since, until = max(self._after, now - LOG_RETENTION.total_seconds()), self._until
        if until is None:
            until = now + SLACK_SECONDS
            # What has not been read came into the log after all that has.
            last = max((at for at in self._read.values() if at <= until), default=since)
            since = max(since, last - LONGEST_DELAY)
        span = (datetime.fromtimestamp(at, UTC) for at in (since, max(since, until)))
        # Whether the end of a span is in it is not known, so what is at it is left out here.
        return [
            raw
            for raw in self._client.newest_events(*span)
            if (at := published_at(raw)) is not None and self._is_within(at)
        ]

    def _is_within(self, at: float) -> bool:
        return at > self._after and (self._until is None or at < self._until)


def uuid_of(raw: Any) -> str | None:
    """Return the uuid of an event, or None if it has none."""
    uuid = raw.get("uuid") if isinstance(raw, dict) else None
    return uuid if isinstance(uuid, str) else None


def published_at(raw: object) -> float | None:
    """Return when an event was published, in seconds since the epoch, or None if it cannot be read."""
    try:
        return reading.event_keys(raw).published
    except UnreadableEvent:
        return None
