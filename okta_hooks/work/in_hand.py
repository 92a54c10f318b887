"""What a lane has in hand: the receipts that it has claimed, and not yet settled or given back."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from okta_hooks.exceptions import InboxUnavailable
from okta_hooks.inbox.tickets import Ticket
from okta_hooks.logs import get_logger

from . import retry

if TYPE_CHECKING:
    from collections.abc import Callable

    from okta_hooks.inbox.claims import Claim, Settlement

    from .resources import Resources

logger = get_logger(__name__)

_SETTLE_SECONDS_WHEN_STOPPING: Final = 5.0
_SHORTEST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 2.0


class Settled(NamedTuple):
    """What counted of what was to be settled, the events that it closed with their states, and what was claimed."""

    counted: list[Settlement]
    closed: dict[int, str]
    claims: list[Claim]


class InHand:
    """Claims, settles and gives back receipts, and keeps account of them also when the database's answer is lost."""

    def __init__(self, resources: Resources, hook: str, receiver: str) -> None:
        self._resources = resources
        self._hook = hook
        self._name = receiver
        # Held while receipts are claimed, settled or given back, and for what is known of them.
        self._claiming = threading.Lock()
        self._claims: dict[int, Claim] = {}
        #: Whether there may be claims whose commit was not answered: the next claim finds out.
        self.is_in_doubt = False
        self._retries_first = False

    def claim(self, limit: int) -> list[Claim]:
        """Claim receipts that are due, at most so many."""
        resources = self._resources
        self._retries_first = not self._retries_first
        return self._claim(
            lambda: resources.inbox.claims.claim(
                resources.worker_id,
                self._hook,
                self._name,
                limit,
                retries_first=self._retries_first,
            )
        )

    def claim_event(self, event_id: int) -> list[Claim]:
        """Claim the receipt for one event, for which a ticket was presented, if it is due."""
        resources = self._resources
        presented = Ticket(self._hook, self._name, event_id)
        return self._claim(lambda: resources.inbox.tickets.claim(resources.worker_id, presented))

    def resolve(self) -> None:
        """Give back what may be claimed without being known of here."""
        if self.is_in_doubt:
            self._claim(list)

    def _claim(self, claim: Callable[[], list[Claim]]) -> list[Claim]:
        resources = self._resources
        with self._claiming, resources.at_database:
            if self.is_in_doubt:
                resources.inbox.claims.take_back(
                    resources.worker_id, self._hook, self._name, keep=list(self._claims.values())
                )
                self.is_in_doubt = False
            try:
                claims = claim()
            except BaseException:
                # It may have been committed all the same, and nobody else would look at it again.
                # A task queue may interrupt this at any place, when a time limit is reached.
                self.is_in_doubt = True
                raise
            self._claims.update((claim.event_id, claim) for claim in claims)
        resources.outage.worked()
        return claims

    def release(self, claims: list[Claim], *, wait: float = 0.0) -> None:
        """Give back claims that have not run.

        :param wait: Seconds for which nobody is to have them.
        """
        resources = self._resources
        with self._claiming, resources.at_database:
            # What was given back and claimed again since is another claim.
            mine = [claim for claim in claims if self._claims.get(claim.event_id) is claim]
            if not mine:
                return
            for claim in mine:
                del self._claims[claim.event_id]
            try:
                resources.inbox.claims.release(resources.worker_id, mine, wait=wait)
            except BaseException:
                self.is_in_doubt = True
                raise

    def abandon(self) -> None:
        """Give back what is in hand, though it may be running: this process is about to end."""
        with self._claiming:
            claims = list(self._claims.values())
            self._claims.clear()
        if claims:
            self._resources.inbox.claims.release(self._resources.worker_id, claims)

    def settle(self, settlements: list[Settlement], more: int) -> Settled:
        """Settle, however long it takes: these have run, and if that is not written down they run again.

        :param more: How many receipts to claim with the same transaction.
        """
        stopping = self._resources.stopping
        pause, give_up_at, has_failed = _SHORTEST_PAUSE, None, False
        while True:
            try:
                with self._claiming, self._resources.at_database:
                    settled = self._settle_and_claim(settlements, more)
                return self._confirmed(settlements, settled) if has_failed else settled
            except InboxUnavailable as error:
                if not error.is_transient:
                    return self._settle_refused(settlements, error)
                self._resources.outage.failed(error)
                more, has_failed = 0, True
                if stopping.is_set():
                    give_up_at = give_up_at or time.monotonic() + _SETTLE_SECONDS_WHEN_STOPPING
                    if time.monotonic() > give_up_at:
                        raise
                    time.sleep(pause)
                else:
                    stopping.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            except Exception as error:  # noqa: BLE001 - a driver refuses some values with errors that are no database's
                return self._settle_refused(settlements, error)

    def _confirmed(self, settlements: list[Settlement], settled: Settled) -> Settled:
        """Add what an earlier try has settled: its answer was lost."""
        missing = [item for item in settlements if item not in settled.counted]
        counted, closed = self._resources.inbox.claims.confirm(missing) if missing else ([], {})
        return Settled([*settled.counted, *counted], settled.closed | closed, settled.claims)

    def _settle_and_claim(self, settlements: list[Settlement], more: int) -> Settled:
        resources = self._resources
        # After a takeover and a replay the same receipt may be claimed anew, with the same fence:
        # only what is known here as in hand is settled.
        settlements = [
            each for each in settlements if self._claims.get(each.claim.event_id) is each.claim
        ]
        if not more or self.is_in_doubt:
            counted, closed = resources.inbox.claims.settle(resources.worker_id, settlements)
            claims: list[Claim] = []
        else:
            self._retries_first = not self._retries_first
            try:
                counted, closed, claims = resources.inbox.claims.settle_and_claim(
                    resources.worker_id,
                    settlements,
                    self._hook,
                    self._name,
                    more,
                    retries_first=self._retries_first,
                )
            except BaseException:
                self.is_in_doubt = True  # as in `_claim`
                raise
        for settlement in settlements:
            self._claims.pop(settlement.claim.event_id, None)
        self._claims.update((claim.event_id, claim) for claim in claims)
        return Settled(counted, closed, claims)

    def _settle_refused(self, settlements: list[Settlement], error: Exception) -> Settled:
        """Settle one by one what the database refuses together: one of them must not keep the others.

        What it refuses by itself becomes a failed attempt.
        """
        if len(settlements) > 1:
            each = [self.settle([settlement], 0) for settlement in settlements]
            counted = [settlement for one in each for settlement in one.counted]
            closed = {event_id: state for one in each for event_id, state in one.closed.items()}
            return Settled(counted, closed, [])
        (settlement,) = settlements
        logger.error(
            "The receipt of %(receiver)s for the event %(id)d cannot be settled: %(error)s",
            {
                "hook": self._hook,
                "receiver": self._name,
                "id": settlement.claim.event_id,
                "error": error,
            },
        )
        failed = retry.refused(
            settlement.claim,
            max_attempts=self._resources.max_attempts,
            jitter=self._resources.jitter(),
        )
        if settlement.error == failed.error:
            # Refused as well: somebody may have it another time.
            with contextlib.suppress(Exception):
                self.release([settlement.claim], wait=settlement.wait)
            return Settled([], {}, [])
        return self.settle([failed], 0)
