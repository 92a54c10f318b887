"""One receiver's events in one worker: claim some, run them one after another, settle them, tell what came of it."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from okta_hooks import signals
from okta_hooks.exceptions import InboxUnavailable, RetryLater, UnreadableEvent
from okta_hooks.inbox.claims import Settlement
from okta_hooks.inbox.tables import DEAD, DONE, PENDING
from okta_hooks.outage import Lines, Outage
from okta_hooks.threads import start_thread
from okta_hooks.wire import reading

from . import dispatch, retry
from .alone import DEATHS_TO_RUN_ALONE, Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flask import Flask

    from okta_hooks.inbox import Inbox
    from okta_hooks.inbox.claims import Claim
    from okta_hooks.receivers import Hook, Receiver
    from okta_hooks.wire.events import Delivery, LogEvent

    from .bodies import Bodies
    from .lease import Lease

logger = logging.getLogger(__name__)

_INBOX_AWAY: Final = Lines(
    begins="The worker cannot use the inbox: %s",
    goes_on="The worker cannot use the inbox for %.0f s now, %d tries: %s",
    ends="The worker can use the inbox again, after %.0f s and %d tries.",
)
#: The most receipts of one lane that are claimed and not settled.
MOST_IN_HAND: Final = 20
#: How many runs of one receiver may have been given up and still go on, for each that it may have at once.
_MOST_GIVEN_UP: Final = 10
_IDLE_SECONDS: Final = 5.0
_SETTLE_SECONDS: Final = 0.5
_SETTLE_SECONDS_WHEN_STOPPING: Final = 5.0
_SHORTEST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 2.0
_SLOW_SECONDS: Final = 60.0


@dataclass(kw_only=True)
class Resources:
    """What the lanes of one worker have in common.

    ``receiver`` returns a connected receiver by hook and name, or None if it is not connected (any more).
    ``closed`` counts the events that were brought to an end.
    """

    app: Flask
    hooks: Mapping[str, Hook]
    inbox: Inbox
    worker_id: str
    lease: Lease
    bodies: Bodies
    receiver: Callable[[str, str], Receiver | None]
    max_attempts: int
    jitter: Callable[[], float]
    stopping: threading.Event = field(default_factory=threading.Event)
    turns: Turns = field(default_factory=Turns)
    outage: Outage = field(default_factory=lambda: Outage(logger, _INBOX_AWAY))
    closed: int = 0

    @property
    def may_run(self) -> bool:
        """Whether another receiver may be called now."""
        return not self.stopping.is_set() and self.lease.holds()


class Lane:
    """The threads of one receiver, or the thread of whoever calls :meth:`work`."""

    def __init__(self, resources: Resources, hook: str, name: str) -> None:
        self._resources = resources
        self._hook = hook
        self._name = name
        self._threads: set[threading.Thread] = set()
        self._running: dict[int, _Run] = {}
        self._given_up: list[threading.Thread] = []
        # Held while receipts are claimed, settled or given back, and for what is known of them.
        self._claiming = threading.Lock()
        self._in_hand: dict[int, Claim] = {}
        self._is_in_doubt = False
        self._retries_first = False
        self._changed = threading.Condition()
        self._calls = 0

    def call(self, concurrency: int) -> None:
        """Say that there is something to do: a thread that waits does it, or one more.

        :param concurrency: How many threads there may be.
        """
        with self._changed:
            self._threads = {thread for thread in self._threads if thread.is_alive()}
            if self._calls < concurrency:
                self._calls += 1
            if len(self._threads) < min(concurrency, self._calls + len(self._running)):
                most = max(1, MOST_IN_HAND // concurrency)
                thread = start_thread(self._run, most, name=f"okta-hooks-lane-{self._name}")
                self._threads.add(thread)
            self._changed.notify()

    def is_full(self, concurrency: int) -> bool:
        """Return whether as many events are being handled as may be at once."""
        return len(self._running) >= concurrency

    @property
    def has_ended(self) -> bool:
        """Whether no thread is at work."""
        return not any(thread.is_alive() for thread in list(self._threads))

    def stop_waiting(self) -> None:
        """Let threads that wait for something to do see that the worker is to stop."""
        with self._changed:
            self._changed.notify_all()

    def join(self, timeout: float) -> None:
        """Wait until no thread is at work, but not longer than so many seconds for each."""
        for thread in list(self._threads):
            thread.join(timeout)

    def abandon(self) -> None:
        """Give back what is in hand, though it may be running: this process is about to end."""
        with self._claiming:
            claims = list(self._in_hand.values())
            self._in_hand.clear()
        if claims:
            self._resources.inbox.claims.release(self._resources.worker_id, claims)

    def warn_if_slow(self) -> None:
        """Log receivers that have been running for long, each once."""
        for run in list(self._running.values()):
            seconds = self._resources.inbox.elapsed() - run.since
            if seconds > _SLOW_SECONDS and not run.is_warned:
                run.is_warned = True
                logger.warning(
                    "The receiver %s of the hook %r has been running for %d s on %r.",
                    self._name,
                    self._hook,
                    seconds,
                    run.event,
                )

    def _run(self, most: int) -> None:
        while self._wait_for_a_call():
            try:
                self.work(1, most=most)
            except InboxUnavailable as error:
                self._resources.outage.failed(error)
                self._resources.stopping.wait(_LONGEST_PAUSE)
            except BaseException:
                # Whatever it is, it was in one pass, and a thread that ended with it would be missed.
                logger.exception("A pass of a lane failed.")

    def _wait_for_a_call(self) -> bool:
        """Wait until there is something to do; return False if this thread is not needed any more."""
        stopping = self._resources.stopping
        with self._changed:
            self._changed.wait_for(lambda: self._calls or stopping.is_set(), _IDLE_SECONDS)
            if stopping.is_set() or not self._calls:
                self._threads.discard(threading.current_thread())
                return False
            self._calls -= 1
            return True

    def work(self, size: int, *, most: int = 0) -> int:
        """Claim receipts, run them, settle them, and claim the next with that until there are none.

        :param size: How many to claim first.
        :param most: How many to claim at once later on; by default that is for another call.
        :return: how many were claimed.
        """
        total = 0
        claims = self._claim(size) if self._resources.may_run else []
        while claims:
            total += len(claims)
            began = time.monotonic()
            left = list(reversed(claims))
            claims = []
            try:
                ran = self._attempt_all(left)
                # A slow receiver takes one at a time, so that other workers can have the rest.
                quick = time.monotonic() - began < _SETTLE_SECONDS
                size = min(size * 2, most) if quick else 1
                goes_on = not left and self._resources.may_run
                claims = self._settle(ran, min(size, most) if goes_on else 0)
            finally:
                self._release(left)
        return total

    def _attempt_all(self, left: list[Claim]) -> list[_Ran]:
        """Take claims off the end of a list, and run them until there are none or the worker must stop.

        :return: what ran and is not settled yet.
        """
        resources = self._resources
        waiting: list[_Ran] = []
        settled_at = time.monotonic()
        receiver = resources.receiver(self._hook, self._name)
        try:
            while receiver and left and resources.may_run and self._has_room(receiver):
                # It is given back if the attempt cannot be made: what is neither settled nor released
                # would be in hand as long as this worker lives.
                waiting.append(self._attempt(receiver, left[-1]))
                left.pop()
                if time.monotonic() - settled_at > _SETTLE_SECONDS:
                    ran, waiting = waiting, []
                    self._settle(ran)
                    settled_at = time.monotonic()
        except BaseException:
            self._settle(waiting)
            raise
        return waiting

    def _has_room(self, receiver: Receiver) -> bool:
        """Wait while too many runs go on that were given up; return whether another may begin."""
        stopping = self._resources.stopping
        while not stopping.is_set():
            self._given_up = [thread for thread in self._given_up if thread.is_alive()]
            if len(self._given_up) < _MOST_GIVEN_UP * receiver.concurrency:
                return True
            if not self._resources.lease.holds():
                return False
            stopping.wait(_LONGEST_PAUSE)
        return False

    def _claim(self, limit: int) -> list[Claim]:
        resources = self._resources
        with self._claiming:
            if self._is_in_doubt:
                resources.inbox.claims.take_back(
                    resources.worker_id, self._hook, self._name, keep=set(self._in_hand)
                )
                self._is_in_doubt = False
            self._retries_first = not self._retries_first
            try:
                claims = resources.inbox.claims.claim(
                    resources.worker_id,
                    self._hook,
                    self._name,
                    limit,
                    retries_first=self._retries_first,
                )
            except InboxUnavailable:
                # It may have been committed all the same, and nobody else would look at it again.
                self._is_in_doubt = True
                raise
            self._in_hand.update((claim.event_id, claim) for claim in claims)
        resources.outage.worked()
        return claims

    def _release(self, claims: list[Claim]) -> None:
        resources = self._resources
        with self._claiming:
            mine = [claim for claim in claims if self._in_hand.pop(claim.event_id, None)]
            if not mine:
                return
            try:
                resources.inbox.claims.release(resources.worker_id, mine)
            except InboxUnavailable:
                self._is_in_doubt = True
                raise

    def _attempt(self, receiver: Receiver, claim: Claim) -> _Ran:
        resources = self._resources
        is_suspect = claim.deaths >= DEATHS_TO_RUN_ALONE
        with resources.turns.taken(alone=is_suspect):
            delivery, raw = resources.bodies.event(claim.delivery_id, claim.ordinal)
            try:
                event = reading.load_event(raw)
            except UnreadableEvent as unreadable:
                dead = Settlement(claim=claim, state=DEAD, error=unreadable.reason)
                return _Ran(dead, delivery, None)
            me = threading.get_ident()
            self._running[me] = _Run(event, resources.inbox.elapsed())
            try:
                error = dispatch.run(
                    resources.app,
                    receiver,
                    hook=resources.hooks[self._hook],
                    event=event,
                    delivery=delivery,
                    attempt=claim.attempts + 1,
                )
            finally:
                del self._running[me]
        if isinstance(error, dispatch.ReceiverTimeout):
            self._given_up.append(error.thread)
        settlement = retry.outcome(
            claim, error, max_attempts=resources.max_attempts, jitter=resources.jitter()
        )
        return _Ran(settlement, delivery, event, error)

    def _settle(self, ran: list[_Ran], more: int = 0) -> list[Claim]:
        """Write down what ran, and tell of it.

        :param more: How many receipts to claim with the same transaction.
        :return: what was claimed.
        """
        if not ran:
            return self._claim(more) if more else []
        settled = self._write_down([item.settlement for item in ran], more)
        self._resources.outage.worked()
        try:
            self._tell(ran, settled)
        except BaseException:
            self._release(settled.claims)
            raise
        return settled.claims

    def _write_down(self, settlements: list[Settlement], more: int) -> _Settled:
        """Settle, however long it takes: these have run, and if that is not written down they run again."""
        stopping = self._resources.stopping
        pause, give_up_at = _SHORTEST_PAUSE, None
        while True:
            try:
                with self._claiming:
                    return self._settle_and_claim(settlements, more)
            except InboxUnavailable as error:
                if not error.is_transient:
                    return self._settle_singly(settlements)
                self._resources.outage.failed(error)
                more = 0
                if stopping.is_set():
                    give_up_at = give_up_at or time.monotonic() + _SETTLE_SECONDS_WHEN_STOPPING
                    if time.monotonic() > give_up_at:
                        raise
                    time.sleep(pause)
                else:
                    stopping.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    def _settle_and_claim(self, settlements: list[Settlement], more: int) -> _Settled:
        resources = self._resources
        if not more or self._is_in_doubt:
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
            except InboxUnavailable:
                self._is_in_doubt = True  # as in _claim
                raise
        for settlement in settlements:
            self._in_hand.pop(settlement.claim.event_id, None)
        self._in_hand.update((claim.event_id, claim) for claim in claims)
        return _Settled(counted, closed, claims)

    def _settle_singly(self, settlements: list[Settlement]) -> _Settled:
        """Settle one by one what the database refuses together: one of them must not keep the others.

        What it refuses by itself counts as a failed attempt.
        """
        counted: list[Settlement] = []
        closed: dict[int, str] = {}
        for settlement in settlements:
            failed = Settlement(
                claim=settlement.claim,
                state=PENDING,
                wait=retry.back_off(settlement.claim.attempts + 1, self._resources.jitter()),
                error="the database refused to write down what came of it",
            )
            for attempt in (settlement, failed):
                try:
                    with self._claiming:
                        one = self._settle_and_claim([attempt], 0)
                except InboxUnavailable as error:
                    logger.error(  # noqa: TRY400 - a traceback would show no more than its text
                        "The receipt of %s for the event %d cannot be settled: %s",
                        self._name,
                        attempt.claim.event_id,
                        error,
                    )
                    continue
                counted += one.counted
                closed |= one.closed
                break
        return _Settled(counted, closed, [])

    def _tell(self, ran: list[_Ran], settled: _Settled) -> None:
        self._resources.closed += len(settled.closed)
        counted = {item.claim.event_id: item for item in settled.counted}
        if len(counted) < len(ran):
            logger.warning(
                "%d receipts of %s were taken over by another worker: the lease had run out.",
                len(ran) - len(counted),
                self._name,
            )
        for item in ran:
            event_id = item.settlement.claim.event_id
            settlement = counted.get(event_id)
            self._tell_ran(item, settlement)
            if settlement is not None:
                self._tell_closed(item, settlement, settled.closed.get(event_id))

    def _tell_ran(self, item: _Ran, counted: Settlement | None) -> None:
        if item.event is None:
            return
        resources = self._resources
        attempt = item.settlement.claim.attempts + 1
        dispatch.tell_ran(
            resources.app,
            hook=resources.hooks[self._hook],
            receiver=self._name,
            event=item.event,
            delivery=item.delivery,
            attempt=attempt,
            error=item.error,
        )
        if counted is not None and counted.state == PENDING:
            logger.warning(
                "Attempt %d of the receiver %s on %r failed; the next is in %.0f s.",
                attempt,
                self._name,
                item.event,
                counted.wait,
                exc_info=None if isinstance(item.error, RetryLater) else item.error,
            )

    def _tell_closed(self, item: _Ran, settlement: Settlement, state: str | None) -> None:
        resources = self._resources
        context: dict[str, Any] = {
            "hook": resources.hooks[self._hook],
            "event": item.event,
            "delivery": item.delivery,
        }
        if settlement.state == DEAD:
            dispatch.bury(
                resources.app,
                **context,
                receiver=self._name,
                reason=settlement.error or "",
                error=item.error,
            )
        elif state == DONE and item.event is not None:
            signals.notify(signals.event_done, resources.app, **context)


class _Run:
    """An attempt that is going on."""

    def __init__(self, event: LogEvent, since: float) -> None:
        self.event = event
        self.since = since
        self.is_warned = False


class _Ran(NamedTuple):
    """An attempt that is over."""

    settlement: Settlement
    delivery: Delivery
    event: LogEvent | None
    error: BaseException | None = None


class _Settled(NamedTuple):
    """What counted of what was to be settled, the events that it closed with their states, and what was claimed."""

    counted: list[Settlement]
    closed: dict[int, str]
    claims: list[Claim]
