"""The worker: hands stored events to receivers, until every one of them has finished or given up.

One thread hands events out and keeps the lease; each receiver has a lane, a thread or more of its own,
so that none waits for another.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import socket
import threading
import time
from collections import OrderedDict
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from okta_hooks import signals
from okta_hooks.exceptions import (
    InboxUnavailable,
    Reject,
    RetryLater,
    UnreadableDelivery,
    UnreadableEvent,
)
from okta_hooks.inbox.claims import DIED_HERE, NOT_CONNECTED, Settlement
from okta_hooks.inbox.tables import DEAD, DONE, PENDING
from okta_hooks.wire import reading

from . import dispatch
from .lease import lease_for

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from flask import Flask

    from okta_hooks.inbox.claims import Claim, Inbox
    from okta_hooks.receivers import Receiver
    from okta_hooks.wire.events import Delivery, LogEvent

logger = logging.getLogger(__name__)

#: The most receipts of one lane that are claimed and not settled.
MOST_IN_HAND: Final = 20
_POLL_SECONDS: Final = 0.25
_STANDBY_SECONDS: Final = 0.5
_SETTLE_SECONDS: Final = 0.5
_SETTLE_SECONDS_WHEN_STOPPING: Final = 5.0
_SLOW_SECONDS: Final = 60.0
_SEEN_SECONDS: Final = 60.0
_PRUNE_SECONDS: Final = 600.0
_ORPHAN_SECONDS: Final = 24 * 3600.0
_KEYS_KEPT: Final = timedelta(days=100)
_CACHED_CHARACTERS: Final = 4 * 1024 * 1024
_CACHED_DELIVERIES: Final = 100


def back_off(attempts: int, jitter: float) -> float:
    """Return the seconds to wait after so many attempts: 2, 8, 32 ... up to an hour, times 0.5 to 1.

    :param jitter: From 0 to 1, at random: receivers that failed together should not return together.
    """
    return float(min(2.0 * 4.0 ** min(attempts - 1, 10), 3600.0)) * (0.5 + jitter / 2)


def judge(
    claim: Claim, error: BaseException | None, *, now: float, max_attempts: int, jitter: float
) -> Settlement:
    """Return what is to become of a receipt after an attempt.

    :param error: What the receiver raised, or None.
    """
    if error is None:
        return Settlement(claim=claim, state=DONE)
    attempts = claim.attempts + 1
    if isinstance(error, Reject):
        return Settlement(claim=claim, state=DEAD, error=_text_of(error))
    text = f"{type(error).__name__}: {_text_of(error)}"
    if attempts >= max_attempts:
        return Settlement(claim=claim, state=DEAD, error=f"{attempts} attempts; the last: {text}")
    # A subclass may have forgotten its base's __init__.
    asked = getattr(error, "seconds", None) if isinstance(error, RetryLater) else None
    wait = asked if isinstance(asked, int | float) else back_off(attempts, jitter)
    return Settlement(claim=claim, state=PENDING, due=now + wait, error=text)


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - a receiver's own exception may fail at anything
        return "(no text)"


class Worker:
    """Runs the receivers of an app's hooks on what is in its inbox.

    :param hooks: The hooks by name; each has ``receivers``.
    :param max_attempts: After so many a receipt is dead.
    :param retention: How long the bodies of done deliveries stay.
    :param jitter: Returns what :func:`back_off` is to have of chance.
    """

    def __init__(
        self,
        app: Flask,
        hooks: Mapping[str, Any],
        inbox: Inbox,
        *,
        max_attempts: int,
        retention: timedelta,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.app = app
        self.hooks = hooks
        self.inbox = inbox
        self.max_attempts = max_attempts
        self.retention = retention
        self.jitter = jitter
        self.id = f"{socket.gethostname()}:{os.getpid()}:{os.urandom(4).hex()}"
        self.lease = lease_for(inbox, self.id)
        self.deliveries = _Deliveries(inbox)
        self.stopping = threading.Event()
        #: How many events this worker has brought to an end.
        self.closed = 0
        self._wake = threading.Event()
        self._lanes: dict[tuple[str, str], _Lane] = {}
        self._thread: threading.Thread | None = None
        self._started_at = inbox.clock()
        self._timers: dict[str, float] = {}

    def start(self) -> None:
        """Run in a thread of this process."""
        self._thread = threading.Thread(target=self.run, name="okta-hooks-worker", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Say that there may be something to do."""
        self._wake.set()

    def stop(self, timeout: float | None = None) -> bool:
        """Finish what is in hand, give back the rest, and stop.

        :param timeout: Seconds to wait for receivers that are running; None: as long as they take.
        :return: whether everything has stopped.
        """
        self.stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout)
            return not self._thread.is_alive()
        return True

    def run(self) -> None:
        """Work until :meth:`stop` is called from elsewhere."""
        while not self.stopping.is_set():
            try:
                pause = self._tick()
            except InboxUnavailable as error:
                logger.error("The worker cannot use the inbox: %s", error)  # noqa: TRY400
                pause = 1.0
            except Exception:
                # A worker that died of a bug in one pass would leave everything stored and nothing done.
                logger.exception("A pass of the worker failed.")
                pause = 1.0
            if pause:
                self._wake.wait(pause)
            self._wake.clear()
        for lane in self._lanes.values():
            lane.wake.set()
        while any(not lane.has_ended for lane in self._lanes.values()):
            for lane in self._lanes.values():
                lane.join(1.0)
            # What is in hand may take longer than a lease.
            with contextlib.suppress(InboxUnavailable):
                self._announce(self.lease.renew() or [], DIED_HERE)
        self._leave()

    def drain(self, progress: Callable[[int], Any] | None = None) -> int:
        """Work in this thread until nothing is due, one receipt after another.

        :param progress: Is called with the number of events that were finished since the last call.
        :return: how many attempts were made.
        """
        total = 0
        reported = self.closed
        try:
            while not self.stopping.is_set():
                connected = self._connected()
                if not connected:
                    break
                self.inbox.open()
                died = self.lease.renew()
                if died is None:
                    # Another process dispatches: this one waits until all is done or it may help.
                    if not self.inbox.has_due(list(connected)):
                        break
                    self.stopping.wait(_STANDBY_SECONDS)
                    continue
                self._announce(died, DIED_HERE)
                if self._is_time("seen", _SEEN_SECONDS):
                    self.inbox.see_lanes(list(connected))
                handed = self._fan_out(connected)
                worked = sum(_Lane(self, *key).work(MOST_IN_HAND) for key in connected)
                total += worked
                if progress is not None:
                    progress(self.closed - reported)
                    reported = self.closed
                if not worked and not handed:
                    break
        finally:
            self._leave()
        return total

    def next_due(self) -> float | None:
        """Return when the next attempt of a connected receiver is due, or None if none is to come."""
        return self.inbox.next_due(list(self._connected()))

    def _leave(self) -> None:
        try:
            self.lease.give_up()
        except InboxUnavailable as error:
            logger.warning("The lease could not be given up: %s", error)

    def has_receivers(self) -> bool:
        """Return whether any receiver is connected: a worker without one touches nothing."""
        return bool(self._connected())

    def receiver(self, hook: str, name: str) -> Receiver | None:
        """Return a connected receiver, or None if it is not connected (any more)."""
        return self._connected().get((hook, name))

    def _connected(self) -> dict[tuple[str, str], Receiver]:
        return {
            (name, receiver.name): receiver
            for name, hook in self.hooks.items()
            for receiver in hook.receivers.connected(self.app)
        }

    def _tick(self) -> float:
        """Do one pass, and return how long to wait until the next."""
        connected = self._connected()
        if not connected:
            return _STANDBY_SECONDS
        self.inbox.open()
        died = self.lease.renew()
        if died is None:
            return _STANDBY_SECONDS
        self._announce(died, DIED_HERE)
        if self._is_time("seen", _SEEN_SECONDS):
            self.inbox.see_lanes(list(connected))
        for key, receiver in connected.items():
            if key not in self._lanes or self._lanes[key].has_ended:
                self._lanes[key] = _Lane(self, *key)
                self._lanes[key].start(receiver.concurrency)
        handed = self._fan_out(connected)
        for key in handed:
            if key in self._lanes:
                self._lanes[key].wake.set()
        for lane in self._lanes.values():
            lane.warn_if_slow()
        self._keep_house()
        return 0.0 if handed else _POLL_SECONDS

    def _fan_out(self, connected: Mapping[tuple[str, str], Receiver]) -> set[tuple[str, str]]:
        # A hook without receivers is left alone: a deploy that forgot to import them must not finish events.
        hooks = sorted({hook for hook, _ in connected})
        return self.inbox.fan_out(hooks, self._receivers_of) if hooks else set()

    def _receivers_of(self, row: Any) -> Sequence[str]:
        event_type = row.type
        hook = self.hooks[row.hook]
        if event_type is None:
            delivery, raw = self.deliveries.event(row.delivery_id, row.ordinal)
            try:
                event_type = reading.event_keys(raw).event_type
            except UnreadableEvent as error:
                reason = error.reason
                dispatch.bury(
                    self.app, hook=hook, delivery=delivery, event=None, receiver=None, reason=reason
                )
                raise
        receivers = hook.receivers
        return [receiver.name for receiver in receivers.matching(event_type, self.app)]

    def _keep_house(self) -> None:
        now = self.inbox.clock()
        up = now - self._started_at
        if up > _PRUNE_SECONDS and self._is_time("orphans", _PRUNE_SECONDS):
            died = self.inbox.bury_orphans(_ORPHAN_SECONDS)
            self._announce(died, NOT_CONNECTED)
            if died:
                self._timers["orphans"] = now  # there may be more: again in the next pass
        if self._is_time("prune", _PRUNE_SECONDS) and self.prune_batch():
            self._timers["prune"] = now  # there is more: again in the next pass

    def prune_batch(self) -> int:
        """Forget one batch of what retention does not keep; return how many deliveries."""
        now = self.inbox.clock()
        return self.inbox.prune(
            bodies_before=now - self.retention.total_seconds(),
            keys_before=now - max(self.retention, _KEYS_KEPT).total_seconds(),
        )

    def _is_time(self, timer: str, seconds: float) -> bool:
        now = self.inbox.clock()
        if now < self._timers.get(timer, 0.0):
            return False
        self._timers[timer] = now + seconds
        return True

    def _announce(self, died: Sequence[tuple[str, str, int]], reason: str) -> None:
        for hook, receiver, event_id in died:
            if hook not in self.hooks:
                # Of another app over the same inbox, whose signals are not ours to send.
                logger.error("Dead letter of the hook %r, for %s: %s", hook, receiver, reason)
                continue
            delivery, raw = self.deliveries.event(*self.inbox.place_of(event_id))
            try:
                event = reading.load_event(raw)
            except UnreadableEvent:
                event = None
            dispatch.bury(
                self.app,
                hook=self.hooks[hook],
                delivery=delivery,
                event=event,
                receiver=receiver,
                reason=reason,
            )


class _Lane:
    """One receiver's events in this worker: claim some, run them one after another, settle."""

    def __init__(self, worker: Worker, hook: str, name: str) -> None:
        self._worker = worker
        self._hook = hook
        self._name = name
        self._threads: list[threading.Thread] = []
        self._running: dict[int, _Run] = {}
        self._claiming = threading.Lock()
        self._in_hand: set[int] = set()
        self._is_in_doubt = False
        self.wake = threading.Event()

    @property
    def has_ended(self) -> bool:
        return not any(thread.is_alive() for thread in self._threads)

    def start(self, concurrency: int) -> None:
        self._threads = [
            threading.Thread(
                target=self._run,
                args=[max(1, MOST_IN_HAND // concurrency)],
                name=f"okta-hooks-lane-{self._name}",
                daemon=True,
            )
            for _ in range(concurrency)
        ]
        for thread in self._threads:
            thread.start()

    def join(self, timeout: float) -> None:
        for thread in self._threads:
            thread.join(timeout)

    def warn_if_slow(self) -> None:
        for run in list(self._running.values()):
            seconds = self._worker.inbox.clock() - run.since
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
        while not self._worker.stopping.is_set():
            if self._worker.receiver(self._hook, self._name) is None:
                return
            try:
                worked = self.work(1, most=most) if self._may_run() else 0
            except InboxUnavailable as error:
                logger.error("A lane cannot use the inbox: %s", error)  # noqa: TRY400
                worked = 0
            except Exception:
                # As in the worker's loop: a lane must not die of a bug.
                logger.exception("A pass of a lane failed.")
                worked = 0
            if not worked:
                self.wake.wait(1.0)
                self.wake.clear()

    def _may_run(self) -> bool:
        return not self._worker.stopping.is_set() and self._worker.lease.holds()

    def work(self, size: int, *, most: int = 0) -> int:
        """Claim receipts, run them, settle them, and claim the next with that until there are none.

        :param size: How many to claim first.
        :param most: How many to claim at once later on; by default that is for another call.
        :return: how many were claimed.
        """
        total = 0
        claims = self._claim(size)
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
                goes_on = not left and self._may_run()
                claims = self._settle(ran, size if goes_on else 0)
            finally:
                self._release(left)
        return total

    def _attempt_all(self, left: list[Claim]) -> list[_Ran]:
        """Take claims off the end of a list, and run them until there are none or the worker must stop.

        :return: what ran and is not settled yet.
        """
        worker = self._worker
        waiting: list[_Ran] = []
        settled_at = time.monotonic()
        receiver = worker.receiver(self._hook, self._name)
        try:
            while receiver and left and self._may_run():
                # It is given back if the attempt cannot be made: what is neither settled nor released
                # would be in hand as long as this worker lives.
                waiting.append(self._attempt(receiver, left[-1]))
                left.pop()
                if time.monotonic() - settled_at > _SETTLE_SECONDS:
                    self._settle(waiting)
                    waiting = []
                    settled_at = time.monotonic()
        except BaseException:
            self._settle(waiting)
            raise
        return waiting

    def _claim(self, limit: int) -> list[Claim]:
        worker = self._worker
        with self._claiming:
            if self._is_in_doubt:
                worker.inbox.take_back(worker.id, self._hook, self._name, keep=self._in_hand)
                self._is_in_doubt = False
            try:
                claims = worker.inbox.claim(worker.id, self._hook, self._name, limit)
            except InboxUnavailable:
                # It may have been committed all the same, and nobody else would look at it again.
                self._is_in_doubt = True
                raise
            self._in_hand.update(claim.event_id for claim in claims)
        return claims

    def _release(self, claims: list[Claim]) -> None:
        if not claims:
            return
        worker = self._worker
        with self._claiming:
            self._in_hand.difference_update(claim.event_id for claim in claims)
            try:
                worker.inbox.release(worker.id, claims)
            except InboxUnavailable:
                self._is_in_doubt = True
                raise

    def _attempt(self, receiver: Receiver, claim: Claim) -> _Ran:
        worker = self._worker
        delivery, raw = worker.deliveries.event(claim.delivery_id, claim.ordinal)
        try:
            event = reading.load_event(raw)
        except UnreadableEvent as unreadable:
            dead = Settlement(claim=claim, state=DEAD, error=unreadable.reason)
            return _Ran(dead, delivery, None)
        me = threading.get_ident()
        self._running[me] = _Run(event, worker.inbox.clock())
        try:
            error = dispatch.run(
                worker.app,
                receiver,
                hook=worker.hooks[self._hook],
                event=event,
                delivery=delivery,
                attempt=claim.attempts + 1,
            )
        finally:
            del self._running[me]
        now = worker.inbox.clock()
        settlement = judge(
            claim,
            error,
            now=now,
            max_attempts=worker.max_attempts,
            jitter=worker.jitter(),
        )
        if settlement.state == PENDING:
            logger.warning(
                "Attempt %d of the receiver %s on %r failed; the next is in %.0f s.",
                claim.attempts + 1,
                self._name,
                event,
                settlement.due - now,
                exc_info=None if isinstance(error, RetryLater) else error,
            )
        return _Ran(settlement, delivery, event, error)

    def _settle(self, ran: list[_Ran], more: int = 0) -> list[Claim]:
        """Write down what ran.

        :param more: How many receipts to claim with the same transaction.
        :return: what was claimed.
        """
        if not ran:
            return self._claim(more) if more else []
        worker = self._worker
        settlements = [item.settlement for item in ran]
        give_up_at = None
        while True:
            try:
                with self._claiming:
                    counted, closed, claims = self._settle_and_claim(settlements, more)
                    self._in_hand.difference_update(item.claim.event_id for item in settlements)
                    self._in_hand.update(claim.event_id for claim in claims)
                break
            except InboxUnavailable as error:
                more = 0
                # These have run. If that cannot be written down now, it must be later, or they run again.
                logger.error("What was done cannot be written down yet: %s", error)  # noqa: TRY400
                if not worker.stopping.wait(1.0):
                    continue
                give_up_at = give_up_at or time.monotonic() + _SETTLE_SECONDS_WHEN_STOPPING
                if time.monotonic() > give_up_at:
                    raise
                self.wake.wait(0.1)
        try:
            self._tell(ran, counted, closed)
        except BaseException:
            self._release(claims)
            raise
        return claims

    def _settle_and_claim(
        self, settlements: list[Settlement], more: int
    ) -> tuple[list[Settlement], dict[int, str], list[Claim]]:
        worker = self._worker
        if not more or self._is_in_doubt:
            return *worker.inbox.settle(worker.id, settlements), []
        try:
            return worker.inbox.settle_and_claim(
                worker.id, settlements, self._hook, self._name, more
            )
        except InboxUnavailable:
            self._is_in_doubt = True  # as in _claim
            raise

    def _tell(self, ran: list[_Ran], counted: list[Settlement], closed: Mapping[int, str]) -> None:
        self._worker.closed += len(closed)
        if len(counted) < len(ran):
            logger.warning(
                "%d receipts of %s were taken over by another worker: the lease had run out.",
                len(ran) - len(counted),
                self._name,
            )
        written = {item.claim.event_id for item in counted}
        for item in ran:
            if item.settlement.claim.event_id in written:
                self._announce(item, closed)

    def _announce(self, item: _Ran, closed: Mapping[int, str]) -> None:
        worker = self._worker
        hook = worker.hooks[self._hook]
        if item.settlement.state == DEAD:
            dispatch.bury(
                worker.app,
                hook=hook,
                delivery=item.delivery,
                event=item.event,
                receiver=self._name,
                reason=item.settlement.error or "",
                error=item.error,
            )
        elif closed.get(item.settlement.claim.event_id) == DONE and item.event is not None:
            signals.notify(
                signals.event_done, worker.app, hook=hook, event=item.event, delivery=item.delivery
            )


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


class _Deliveries:
    """The deliveries that were read last: their events come in runs, and a body may hold thousands."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, tuple[Delivery, tuple[Any, ...], int]] = OrderedDict()
        self._generation = inbox.generation
        self._characters = 0

    def event(self, delivery_id: int, ordinal: int) -> tuple[Delivery, Any]:
        """Return a delivery and one of its events, as it came; None if retention has taken it."""
        with self._lock:
            if self._generation != self._inbox.generation:
                self._generation = self._inbox.generation
                self._kept.clear()
                self._characters = 0
            if delivery_id in self._kept:
                self._kept.move_to_end(delivery_id)
                delivery, events, _ = self._kept[delivery_id]
                return delivery, events[ordinal] if events else None
        delivery, body = self._inbox.load(delivery_id)
        try:
            events = reading.load_delivery(body.encode()).events if body is not None else ()
        except UnreadableDelivery:
            # It could be read when it was stored: by a thread with more room on its stack.
            events = ()
        with self._lock:
            if delivery_id not in self._kept:
                self._kept[delivery_id] = delivery, events, len(body or "")
                self._characters += len(body or "")
            while len(self._kept) > 1 and (
                self._characters > _CACHED_CHARACTERS or len(self._kept) > _CACHED_DELIVERIES
            ):
                _, (_, _, characters) = self._kept.popitem(last=False)
                self._characters -= characters
        return delivery, events[ordinal] if events else None
