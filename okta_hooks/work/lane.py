"""One receiver's events in one worker: claim some, run them one after another, settle them, send signals about them."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

from okta_hooks.exceptions import InboxUnavailable, UnreadableEvent
from okta_hooks.inbox.claims import Settlement
from okta_hooks.inbox.tables import DEAD
from okta_hooks.logs import get_logger
from okta_hooks.outage import Lines, Outage
from okta_hooks.threads import start_thread
from okta_hooks.wire import reading

from . import dispatch, interruption, retry
from .alone import DEATHS_TO_RUN_ALONE
from .in_hand import InHand
from .outcomes import Attempt, Outcomes

if TYPE_CHECKING:
    from collections.abc import Callable

    from okta_hooks.inbox.claims import Claim
    from okta_hooks.receivers import Receiver
    from okta_hooks.wire.events import LogEvent

    from .resources import Resources

logger = get_logger(__name__)

#: The most receipts of one lane that are claimed and not settled.
MOST_IN_HAND: Final = 20
#: How many runs that took longer than their timeout may still go on, for each run that a receiver may have at once.
_MOST_GIVEN_UP: Final = 10
_IDLE_SECONDS: Final = 5.0
_SETTLE_SECONDS: Final = 0.5
_SECONDS_AFTER_FAILURE: Final = 2.0
_SLOW_SECONDS: Final = 60.0
#: How long a thread waits for the handlers of the signals about its attempts before another replaces it.
_SECONDS_TO_NOTIFY: Final = 10.0
#: How many threads may wait for such handlers: then no more signals are sent for this receiver.
_MOST_STUCK: Final = 3
_NO_SIGNALS: Final = Lines(
    begins="The signals about a receiver's attempts are not sent: %(error)s",
    goes_on="The signals about a receiver's attempts are not sent for %(seconds).0f s now, %(count)d times: "
    "%(error)s",
    ends="The signals about a receiver's attempts are sent again, after %(seconds).0f s and %(count)d times.",
)
#: For how many seconds a receiver that was not paused counts as that: what is in hand then may begin.
_SECONDS_TO_LOOK_AGAIN: Final = 0.2
#: How long a suspect waits while another suspect runs.
_SECONDS_TO_ANOTHER_TRY: Final = 10.0


class Lane:
    """The threads of one receiver, or the thread of whoever calls :meth:`work`."""

    def __init__(self, resources: Resources, hook: str, name: str) -> None:
        self._resources = resources
        self._hook = hook
        self._name = name
        self._threads: set[threading.Thread] = set()
        self._running: dict[int, _Run] = {}
        self._given_up: list[threading.Thread] = []
        self._batches: dict[threading.Thread, _Batch] = {}
        # Threads that others have replaced, because a handler of a signal has not returned in them.
        self._stuck: list[threading.Thread] = []
        self._silence = Outage(logger, _NO_SIGNALS)
        self._in_hand = InHand(resources, hook, name)
        self._outcomes = Outcomes(resources, hook, name)
        self._changed = threading.Condition()
        self._wake_ups = 0

    def wake(self, concurrency: int) -> None:
        """Let a waiting thread look for something to do, or a new one.

        :param concurrency: How many threads there may be.
        """
        with self._changed:
            self._threads = {thread for thread in self._threads if thread.is_alive()}
            if self._wake_ups < concurrency:
                self._wake_ups += 1
            if len(self._threads) < min(concurrency, self._wake_ups + len(self._running)):
                most = max(1, MOST_IN_HAND // concurrency)
                thread = start_thread(self._run, most, name=f"okta-hooks-lane-{self._name}")
                self._threads.add(thread)
            self._changed.notify()

    def is_full(self, concurrency: int) -> bool:
        """Return whether as many events are being handled as may be at once."""
        return len(self._running) >= concurrency

    @property
    def is_in_doubt(self) -> bool:
        """Whether something may be claimed that this lane does not know of: it has to be woken for that."""
        return self._in_hand.is_in_doubt

    @property
    def is_idle(self) -> bool:
        """Whether nobody works here just now, in whatever thread."""
        return not self._batches

    @property
    def has_ended(self) -> bool:
        """Whether no thread is at work."""
        return not any(thread.is_alive() for thread in list(self._threads))

    def abandon(self) -> None:
        """Give back what is in hand, though it may be running: this process is about to end."""
        self._in_hand.abandon()

    def stop_waiting(self) -> None:
        """Let threads that wait for something to do see that the worker is to stop."""
        with self._changed:
            self._changed.notify_all()

    def join(self, timeout: float) -> None:
        """Wait until no thread is at work, but not longer than so many seconds for each."""
        for thread in list(self._threads):
            thread.join(timeout)

    def warn_if_slow(self) -> None:
        """Log receivers that have been running for long, each once."""
        for run in list(self._running.values()):
            seconds = self._resources.inbox.elapsed() - run.since
            if seconds > _SLOW_SECONDS and not run.is_warned:
                run.is_warned = True
                logger.warning(
                    "The receiver %(receiver)s of the hook %(hook)r has been running for %(seconds)d s on %(event)s.",
                    {
                        "hook": self._hook,
                        "receiver": self._name,
                        "seconds": seconds,
                        **dispatch.about(run.event),
                    },
                )

    def _run(self, most: int) -> None:
        while self._wait_to_be_woken():
            try:
                self.work(1, most=most)
            except InboxUnavailable as error:
                self._resources.outage.failed(error)
                self._resources.stopping.wait(_SECONDS_AFTER_FAILURE)
            except BaseException:
                # Whatever it is, it was in one pass, and a thread that ended with it would be missed.
                logger.exception("A pass of a lane failed.")

    def _wait_to_be_woken(self) -> bool:
        """Wait until there is something to do; return False if this thread is not needed any more."""
        stopping = self._resources.stopping
        with self._changed:
            if threading.current_thread() not in self._threads:  # another has replaced it
                return False
            self._changed.wait_for(lambda: self._wake_ups or stopping.is_set(), _IDLE_SECONDS)
            if stopping.is_set() or not self._wake_ups:
                self._threads.discard(threading.current_thread())
                return False
            self._wake_ups -= 1
            return True

    def work(self, size: int, *, most: int = 0) -> int:
        """Claim receipts, run them, settle them, and claim the next with that until there are none.

        :param size: How many to claim first.
        :param most: How many to claim at once later on; by default none.
        :return: how many were run.
        """
        return self._work_off(lambda: self._in_hand.claim(size), size, most)

    def work_on(self, event_id: int) -> bool:
        """Claim one receipt, for which a ticket was presented, run it and settle it; return whether it ran."""
        return bool(self._work_off(lambda: self._in_hand.claim_event(event_id), 1, 0))

    def resolve(self) -> None:
        """Give back what may be claimed without this lane's knowing of it."""
        self._in_hand.resolve()

    def _work_off(self, claim: Callable[[], list[Claim]], size: int, most: int) -> int:
        batch = self._batches[threading.current_thread()] = _Batch()
        try:
            if self._may_run():
                began_to_claim = time.monotonic()
                batch.add(claim(), began_to_claim)
            while batch.left:
                began = time.monotonic()
                attempts = self._attempt_all(batch)
                # A slow receiver takes one at a time, so that other workers can have the rest.
                quick = time.monotonic() - began < _SETTLE_SECONDS
                size = min(size * 2, most) if quick else 1
                goes_on = not batch.left and not batch.is_given_up and self._may_run()
                self._settle(batch, attempts, min(size, most) if goes_on else 0)
                if not goes_on:
                    break
        finally:
            del self._batches[threading.current_thread()]
            if not interruption.is_ended():
                self._in_hand.release(batch.left)
        return batch.ran

    def _may_run(self) -> bool:
        """Return whether the receiver may be called now: not while too many runs go on beyond their timeout."""
        receiver = self._resources.receiver(self._hook, self._name)
        if receiver is None or not self._resources.may_run:
            return False
        with self._changed:
            self._given_up = [thread for thread in self._given_up if thread.is_alive()]
            return len(self._given_up) < _MOST_GIVEN_UP * receiver.concurrency

    def _attempt_all(self, batch: _Batch) -> list[Attempt]:
        """Run what is in a batch until there is nothing left in it or the worker must stop.

        :return: the attempts that are not settled yet.
        """
        waiting: list[Attempt] = []
        settled_at = time.monotonic()
        receiver = self._resources.receiver(self._hook, self._name)
        try:
            while receiver and batch.left and self._may_run():
                # It stays in the batch, to be given back, until the attempt is over: what is neither settled
                # nor given back would stay claimed as long as this worker lives.
                attempt = self._attempt_with_permit(receiver, batch)
                if attempt is None:
                    break
                waiting.append(attempt)
                batch.left.pop()
                batch.ran += 1
                if time.monotonic() - settled_at > _SETTLE_SECONDS:
                    now, waiting = waiting, []
                    self._settle(batch, now)
                    settled_at = time.monotonic()
        except BaseException:
            self._settle(batch, waiting)
            raise
        return waiting

    def _attempt_with_permit(self, receiver: Receiver, batch: _Batch) -> Attempt | None:
        """Run the next claim of a batch when it may run; return None if it must not now."""
        resources = self._resources
        claim = batch.left[-1]
        is_suspect = claim.deaths >= DEATHS_TO_RUN_ALONE
        with resources.permits.granted(alone=is_suspect) as permit:
            if permit is None:
                # The other suspect may take long: the other receipts of this receiver need not wait for that.
                self._in_hand.release([claim], wait=_SECONDS_TO_ANOTHER_TRY)
                return None
            resources.permits.mark(
                permit,
                lambda is_alone: resources.inbox.workers.mark_alone(
                    resources.worker_id, claim if is_alone else None
                ),
            )
            if self._is_paused(batch):
                return None
            return self._attempt(receiver, claim)

    def _is_paused(self, batch: _Batch) -> bool:
        """Return whether the receiver was paused since the batch was claimed, or a moment ago."""
        now = time.monotonic()
        if now - batch.looked_at < _SECONDS_TO_LOOK_AGAIN:
            return False
        with self._resources.at_database:
            is_paused = self._resources.inbox.pauses.is_paused(self._hook, self._name)
        batch.looked_at = now
        return is_paused

    def _attempt(self, receiver: Receiver, claim: Claim) -> Attempt | None:
        resources = self._resources
        delivery, raw = resources.bodies.event(claim.delivery_id, claim.ordinal)
        event: LogEvent | None = None
        error: BaseException | None
        me = threading.get_ident()
        began: float | None = None
        try:
            event = reading.load_event(raw)
            # Last of all: whatever it has waited for until now, the lease may have run out meanwhile.
            if not resources.may_run:
                return None
            began = resources.inbox.elapsed()
            self._running[me] = _Run(event, began)
            error = dispatch.run(
                resources.app,
                receiver,
                hook=resources.hooks[self._hook],
                event=event,
                delivery=delivery,
                attempt=claim.attempts + 1,
                on_given_up=self._leave_running,
            )
        except UnreadableEvent as unreadable:
            dead = Settlement(claim=claim, state=DEAD, error=unreadable.reason)
            return Attempt(dead, delivery, None)
        except BaseException as failure:
            if interruption.is_ended():
                raise
            # Given back, it would be claimed first again, and fail again.
            error = failure
        finally:
            self._running.pop(me, None)
        settlement = retry.outcome(
            claim,
            error,
            max_attempts=resources.max_attempts,
            jitter=resources.jitter(),
            seconds=None if began is None else max(resources.inbox.elapsed() - began, 0.0),
        )
        return Attempt(settlement, delivery, event, error)

    def _leave_running(self, thread: threading.Thread) -> None:
        """Note that a run goes on in a thread after its attempt has failed."""
        self._resources.permits.add_overdue(thread)
        with self._changed:
            self._given_up.append(thread)

    def _settle(self, batch: _Batch, attempts: list[Attempt], more: int = 0) -> None:
        """Write down what came of attempts, and send the signals about them.

        :param batch: Gets what is claimed.
        :param more: How many receipts to claim with the same transaction.
        """
        now = time.monotonic()
        if not attempts:
            batch.add(self._in_hand.claim(more) if more else [], now)
            return
        settled = self._in_hand.settle([item.settlement for item in attempts], more)
        batch.add(settled.claims, now)
        self._resources.outage.worked()
        self._resources.count_closed(len(settled.closed))
        if not self._may_notify():
            return
        with self._changed:
            batch.notifies_since = self._resources.inbox.elapsed()
        try:
            self._outcomes.notify(attempts, settled)
        finally:
            with self._changed:
                batch.notifies_since = None

    def _may_notify(self) -> bool:
        """Return whether signals may be sent: not while too many threads wait for handlers of earlier ones."""
        with self._changed:
            self._stuck = [thread for thread in self._stuck if thread.is_alive()]
            stuck = len(self._stuck)
        if stuck < _MOST_STUCK:
            self._silence.worked()
            return True
        self._silence.failed(
            TimeoutError(f"{stuck} handlers have not returned"),
            hook=self._hook,
            receiver=self._name,
        )
        return False

    def leave_stuck_threads(self) -> None:
        """Let other threads go on for those that have waited too long for a handler of a service signal."""
        for thread, batch in list(self._batches.items()):
            with self._changed:
                since = batch.notifies_since
                # The thread of somebody who has called `work` cannot be replaced.
                if since is None or thread not in self._threads:
                    continue
                seconds = self._resources.inbox.elapsed() - since
                if seconds < _SECONDS_TO_NOTIFY:
                    continue
                batch.is_given_up = True
                claims, batch.left = batch.left, []
                self._threads.discard(thread)
                self._stuck.append(thread)
            logger.error(
                "A handler of a service signal about the receiver %(receiver)s of the hook %(hook)r has not returned "
                "for %(seconds)d s: the receiver's other events are handled in another thread.",
                {"hook": self._hook, "receiver": self._name, "seconds": seconds},
            )
            self._in_hand.release(claims)


class _Batch:
    """What one thread has claimed and not run yet, the next at the end.

    ``notifies_since`` is when it began to send signals, by the inbox's ``elapsed``, or None:
    meanwhile another thread may take from it what is left. ``looked_at`` is when the receiver was last known not to be
    paused, by :func:`time.monotonic`.
    """

    def __init__(self) -> None:
        self.left: list[Claim] = []
        self.ran = 0
        self.notifies_since: float | None = None
        self.is_given_up = False
        self.looked_at = float("-inf")

    def add(self, claims: list[Claim], now: float) -> None:
        """Add what was claimed, in the order in which it is to run, to a batch that has nothing left.

        :param now: When the claim began: its receiver was not paused then.
        """
        self.left.extend(reversed(claims))
        if claims:
            self.looked_at = now


class _Run:
    """An attempt that is going on."""

    def __init__(self, event: LogEvent, since: float) -> None:
        self.event = event
        self.since = since
        self.is_warned = False
