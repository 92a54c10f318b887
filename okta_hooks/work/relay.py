"""The relay: gives what is due to a task queue, as tickets, and no more of them than its workers can keep up with.

A ticket is marked in the inbox and committed before it is sent. What is lost on the way is sent again when its mark
has lapsed; what arrives twice finds nothing to claim.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Protocol

from okta_hooks.exceptions import InboxUnavailable, OktaHooksError
from okta_hooks.inbox.tickets import InFlight
from okta_hooks.logs import get_logger
from okta_hooks.outage import Lines, Outage

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from okta_hooks.inbox.tickets import Ticket
    from okta_hooks.receivers import Receiver

    from .member import Key
    from .resources import Resources

logger = get_logger(__name__)

_SHORTEST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 5.0
_SECONDS_BETWEEN_CLEANINGS: Final = 60.0
_SECONDS_WITHOUT_REFUSAL: Final = 120.0
#: At once, so that what is marked is sent soon, and the relay can be stopped in between.
_MOST_AT_ONCE: Final = 200
_REFUSED: Final = Lines(
    begins="Tickets for the receiver %(receiver)s of the hook %(hook)r are refused, and tried again later: %(error)s",
    goes_on="Tickets have been refused for %(seconds).0f s now, %(count)d times; the last, for the receiver"
    " %(receiver)s of the hook %(hook)r: %(error)s",
    ends="No ticket is refused any more, after %(seconds).0f s and %(count)d times.",
)
_BROKER_AWAY: Final = Lines(
    begins="The relay cannot give tickets to the broker: %(error)s",
    goes_on="The relay cannot give tickets to the broker for %(seconds).0f s now, %(count)d tries: %(error)s",
    ends="The relay can give tickets to the broker again, after %(seconds).0f s and %(count)d tries.",
)


class BrokerUnavailable(OktaHooksError):
    """The broker took no ticket, or not all.

    :param reason: What went wrong, without any secret.
    :param sent: How many tickets it has taken or refused.
    """

    def __init__(self, reason: str, sent: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.sent = sent


class Broker(Protocol):
    """What a relay asks of a task queue. It is used by one thread at a time."""

    def queue_of(self, hook: str, receiver: Receiver) -> str:
        """Return the name of the queue in which tickets of a receiver wait.

        The host's routes are asked, and may raise anything.
        """

    def waiting(self, queue: str) -> int:
        """Return how many messages wait in a queue, or 0 if the broker does not tell.

        :raises BrokerUnavailable: if it does not answer.
        """

    def publish(self, tickets: Sequence[Ticket]) -> list[tuple[Ticket, Exception]]:
        """Send tickets, in their order, and return those that are refused, each with what was raised.

        :raises BrokerUnavailable: if the broker cannot be reached (any more).
        """

    def close(self) -> None:
        """Close the connection. The next use opens another."""


class Window:
    """Chooses what is due for tickets, as far as there is room for them.

    :param size: The most tickets of one queue that may be on their way.
    :param resend: After how many seconds a ticket whose receipt nobody has claimed is taken for lost.
    """

    def __init__(self, resources: Resources, *, size: int, resend: float) -> None:
        self._resources = resources
        self._size = size
        self._resend = resend
        self._clean_at = float("-inf")
        self._retries_first: dict[str, bool] = {}

    def take(
        self,
        queue: str,
        receivers: Sequence[Key],
        *,
        waiting: int = 0,
        unmarked: int = 0,
        limit: int | None = None,
    ) -> list[Ticket]:
        """Return tickets of a queue, marked as sent: see :meth:`.Tickets.mark`."""
        self._clean()
        retries_first = self._retries_first[queue] = not self._retries_first.get(queue, False)
        return self._resources.inbox.tickets.mark(
            queue,
            receivers,
            window=self._size,
            waiting=waiting,
            unmarked=unmarked,
            seconds=self._resend,
            limit=limit,
            retries_first=retries_first,
        )

    def _clean(self) -> None:
        now = time.monotonic()
        if now >= self._clean_at:
            self._resources.inbox.tickets.clean()
            self._clean_at = now + _SECONDS_BETWEEN_CLEANINGS


class Relay:
    """Sends tickets for what is due."""

    def __init__(self, resources: Resources, window: Window, broker: Broker) -> None:
        self._resources = resources
        self._window = window
        self._broker = broker
        self._outage = Outage(logger, _BROKER_AWAY)
        self._refusals = Outage(logger, _REFUSED, calm=_SECONDS_WITHOUT_REFUSAL)
        self._pause = 0.0
        self._paused_until = float("-inf")
        self._noted: float | None = None

    def close(self) -> None:
        """Close the connection to the broker."""
        self._broker.close()

    def send(self, connected: Mapping[Key, Receiver]) -> int:
        """Send tickets for what is due of these receivers, as far as the windows allow; return how many.

        While the broker is away this does nothing, but for a try now and then.

        :raises InboxUnavailable: if the inbox cannot be used.
        """
        if time.monotonic() < self._paused_until:
            return 0
        sent = 0
        try:
            if self._pause:
                # Before anything is marked that could not be sent.
                for queue in list(self._by_queue(connected, connected))[:1]:
                    self._broker.waiting(queue)
            with_work = self._resources.inbox.claims.with_work(list(connected))
            if with_work:
                in_flight = self._resources.inbox.tickets.in_flight()
                for queue, receivers in self._by_queue(connected, with_work).items():
                    sent += self._send_to(queue, receivers, in_flight.get(queue, InFlight()))
        except BrokerUnavailable as error:
            self._failed(error)
            return sent + error.sent
        self._worked()
        return sent

    def _by_queue(
        self, connected: Mapping[Key, Receiver], with_work: Collection[Key]
    ) -> dict[str, list[Key]]:
        found: dict[str, list[Key]] = {}
        for key in with_work:
            try:
                queue = self._broker.queue_of(key[0], connected[key])
            except Exception as error:  # noqa: BLE001 - routes are the host's code, and the other receivers' go on
                self._refused(key, error)
            else:
                found.setdefault(queue, []).append(key)
        return found

    def _send_to(self, queue: str, receivers: Sequence[Key], in_flight: InFlight) -> int:
        # Tickets that were taken for lost may all be in the queue still, because its workers are slow, and so may
        # the second ones of receipts that have been claimed by the first: no mark stands for any of these.
        # Where there is none of ours, what waits is the host's: its tasks must not keep receivers out.
        waiting = self._broker.waiting(queue) if in_flight != InFlight() else 0
        unmarked = max(waiting - in_flight.sent, 0)
        tickets = self._window.take(
            queue, receivers, waiting=waiting, unmarked=unmarked, limit=_MOST_AT_ONCE
        )
        try:
            # The marks of those that are refused lapse: that is when they are tried again.
            for ticket, error in self._broker.publish(tickets) if tickets else ():
                self._refused((ticket.hook, ticket.receiver), error)
        except BrokerUnavailable as unavailable:
            self._withdraw(tickets[unavailable.sent :])
            raise
        return len(tickets)

    def _refused(self, key: Key, error: Exception) -> None:
        # The text may hold the URL of the broker, and that a password.
        reason = str(error) if isinstance(error, OktaHooksError) else type(error).__name__
        self._refusals.failed(BrokerUnavailable(reason), hook=key[0], receiver=key[1])

    def _withdraw(self, tickets: Sequence[Ticket]) -> None:
        try:
            self._resources.inbox.tickets.withdraw(tickets)
        except InboxUnavailable as error:
            # Their marks lapse.
            self._resources.outage.failed(error)

    def _failed(self, error: BrokerUnavailable) -> None:
        self._outage.failed(error)
        self._pause = min(max(2 * self._pause, _SHORTEST_PAUSE), _LONGEST_PAUSE)
        self._paused_until = time.monotonic() + self._pause
        # Each time: when this process was taken for dead, the note went with its place in the list of workers.
        self._note(self._noted or self._resources.inbox.clock())

    def _worked(self) -> None:
        self._outage.worked()
        self._refusals.worked()
        self._pause = 0.0
        if self._noted is not None:
            self._note(None)

    def _note(self, away_since: float | None) -> None:
        """Write down for others how the broker is."""
        self._resources.inbox.workers.note_broker(self._resources.worker_id, away_since)
        self._noted = away_since
