"""The worker: hands stored events to receivers, until every one of them has finished or given up.

One thread hands events out and looks for what is due; each receiver has a lane, a thread or more of its own
while there is something to do for it, so that none waits for another.
"""

from __future__ import annotations

import contextlib
import os
import random
import socket
import threading
import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from okta_hooks import signals
from okta_hooks.exceptions import InboxUnavailable, UnreadableEvent
from okta_hooks.inbox.assignments import Assignment
from okta_hooks.inbox.claims import DEATHS_ALLOWED, DIED_HERE
from okta_hooks.inbox.workers import NOT_CONNECTED
from okta_hooks.logs import get_logger
from okta_hooks.threads import start_thread
from okta_hooks.wire import reading

from . import dispatch
from .bodies import Bodies
from .housekeeping import Housekeeping
from .lane import MOST_IN_HAND, Lane
from .lease import Heartbeat, lease_for
from .resources import Resources

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import timedelta

    from flask import Flask

    from okta_hooks.inbox import Inbox
    from okta_hooks.inbox.assignments import Unassigned
    from okta_hooks.inbox.upkeep import Inconsistency
    from okta_hooks.inbox.workers import DeadReceipt
    from okta_hooks.receivers import Hook, Receiver
    from okta_hooks.wire.events import Delivery, LogEvent

logger = get_logger(__name__)

_POLL_SECONDS: Final = 0.4
_STANDBY_SECONDS: Final = 0.5
_SECONDS_AFTER_FAILURE: Final = 1.0
_SECONDS_TO_ABANDON: Final = 2.0
#: How long a pass goes on with events that are to be read one by one.
_SECONDS_OF_READING: Final = 1.0

_Key = tuple[str, str]


class Worker:
    """Runs the receivers of an app's hooks on what is in its inbox.

    :param hooks: The hooks by name.
    :param max_attempts: After so many a receipt is dead.
    :param retention: How long the bodies of done deliveries stay.
    :param jitter: Returns a number from 0 to 1, for :func:`~okta_hooks.work.retry.back_off`.
    """

    def __init__(
        self,
        app: Flask,
        hooks: Mapping[str, Hook],
        inbox: Inbox,
        *,
        max_attempts: int,
        retention: timedelta,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.id = f"{socket.gethostname()}:{os.getpid()}:{os.urandom(4).hex()}"
        self.app = app
        self.hooks = hooks
        self.lease = lease_for(inbox, self.id)
        self.housekeeping = Housekeeping(inbox, retention)
        self._inbox = inbox
        self._resources = Resources(
            app=app,
            hooks=hooks,
            inbox=inbox,
            worker_id=self.id,
            lease=self.lease,
            bodies=Bodies(inbox),
            receiver=self._receiver,
            max_attempts=max_attempts,
            jitter=jitter,
        )
        self.stopping = self._resources.stopping
        self._wake = threading.Event()
        self._lanes: dict[_Key, Lane] = {}
        self._thread: threading.Thread | None = None
        # Signals and lines of the log that no lane sends. A thread sends them, because a handler may take long.
        self._untold: deque[Callable[[], None]] = deque()
        self._told: dict[tuple[str, str], int] = {}
        # Ids of events whose reading was counted here, and has not ended this process.
        self._read: set[int] = set()

    @property
    def closed(self) -> int:
        """How many events this worker has brought to an end."""
        return self._resources.closed

    def start(self) -> None:
        """Run in a thread of this process."""
        self._thread = start_thread(self.run, name="okta-hooks-worker")

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
        if self._thread is None:
            return True
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def abandon(self) -> None:
        """Give back what is in hand, though it may be running, because this process is about to end.

        Nothing is held against it, and another worker runs it again. This takes no longer than two seconds.
        """

        def give_back() -> None:
            try:
                for lane in list(self._lanes.values()):
                    lane.abandon()
                self.lease.end()
            except InboxUnavailable as error:
                logger.warning("What is in hand could not be given back: %s", error)

        self.stopping.set()
        try:
            start_thread(give_back, name="okta-hooks-abandon").join(_SECONDS_TO_ABANDON)
        except RuntimeError:  # Python 3.12 starts no thread while the interpreter ends
            give_back()

    def run(self) -> None:
        """Work until :meth:`stop` is called from elsewhere."""
        with self._beating():
            teller = start_thread(self._tell_until_stopped, name="okta-hooks-teller")
            while not self.stopping.is_set():
                pause = self._pass_safely()
                if pause:
                    self._wake.wait(pause)
                self._wake.clear()
            with contextlib.suppress(InboxUnavailable):
                self._say_stopping()
            for lane in self._lanes.values():
                lane.stop_waiting()
            while any(not lane.has_ended for lane in self._lanes.values()):
                for lane in self._lanes.values():
                    lane.join(1.0)
            teller.join(_SECONDS_TO_ABANDON)
        self._leave()

    def _beating(self) -> Heartbeat:
        return Heartbeat(
            self.lease,
            self._resources.outage,
            on_died=self._note_died,
            stopping=self.stopping,
            on_stopping=self._say_stopping,
        )

    def _say_stopping(self) -> bool:
        """Say in the inbox that this is a stop, and no death; return whether it has been said."""
        if not self.lease.holds():  # it is not even listed there, or nothing can be said now
            return False
        self._inbox.workers.say_stopping(self.id)
        return True

    def _pass_safely(self) -> float:
        """Do one pass, and return how long to wait until the next, whatever happens in it."""
        try:
            pause = self._pass()
        except InboxUnavailable as error:
            self._resources.outage.failed(error)
            return _SECONDS_AFTER_FAILURE
        except BaseException:
            # A worker that died of a bug in one pass would leave everything stored and nothing done.
            logger.exception("A pass of the worker failed.")
            return _SECONDS_AFTER_FAILURE
        self._resources.outage.worked()
        return pause

    def _pass(self) -> float:
        connected = self._connected()
        if not connected:
            return _STANDBY_SECONDS
        self._inbox.open()
        died = self.lease.renew()
        if died is None:
            return _STANDBY_SECONDS
        self._note_died(died)
        handed = self._hand_out(connected)
        self._call_lanes(connected, handed)
        self._keep_house(list(connected))
        return 0.0 if handed else _POLL_SECONDS

    def _call_lanes(self, connected: Mapping[_Key, Receiver], handed: set[_Key]) -> None:
        waiting = [
            key
            for key, receiver in connected.items()
            if key not in handed and not self._lane(key).is_full(receiver.concurrency)
        ]
        in_doubt = [key for key in waiting if self._lane(key).is_in_doubt]
        for key in {*handed, *in_doubt, *self._inbox.claims.with_work(waiting)}:
            self._lane(key).call(connected[key].concurrency)
        for lane in self._lanes.values():
            lane.warn_if_slow()

    def _lane(self, key: _Key) -> Lane:
        if key not in self._lanes:
            self._lanes[key] = Lane(self._resources, *key)
        return self._lanes[key]

    def drain(
        self, progress: Callable[[int], Any] | None = None, *, until: float | None = None
    ) -> int:
        """Work in this thread until nothing is due, one receipt after another.

        :param progress: Is called with the number of events that were finished since the last call.
        :param until: When to stop at the latest, by :func:`time.monotonic`: no receiver is called after that.
        :return: how many attempts were made.
        """
        total = 0
        reported = self.closed
        self._resources.deadline = until
        try:
            with self._beating():
                while not self.stopping.is_set() and not self._resources.is_late:
                    worked = self._drain_once()
                    self._tell()
                    if worked is None:
                        break
                    total += worked
                    if progress is not None:
                        progress(self.closed - reported)
                        reported = self.closed
        finally:
            # When nothing beats any more: a heartbeat would get the lease again.
            self._leave()
            self._resources.deadline = None
        return total

    def _drain_once(self) -> int | None:
        """Do one pass in this thread; return the number of attempts, or None if there is nothing to do."""
        connected = self._connected()
        if not connected:
            return None
        self._inbox.open()
        died = self.lease.renew()
        if died is None:
            # Another process dispatches: this one waits until all is done or it may help.
            if not self._inbox.overview.has_due(list(connected)):
                return None
            self.stopping.wait(_STANDBY_SECONDS)
            return 0
        self._note_died(died)
        self.housekeeping.see(list(connected))
        self._repair()
        handed = self._hand_out(connected)
        self._tell()
        worked = 0
        keys = self._inbox.claims.with_work(list(connected))
        for key in keys:
            worked += self._lane(key).work(MOST_IN_HAND)
        if keys and not worked and not self._inbox.workers.is_listed(self.id):
            # Another took this one for gone: it begins anew.
            self.lease.give_up()
            return 0
        return worked if worked or handed else None

    def next_due(self) -> float | None:
        """Return when the next attempt of a connected receiver is due, or None if none is to come."""
        return self._inbox.overview.next_due(list(self._connected()))

    def _leave(self) -> None:
        try:
            self.lease.give_up()
        except InboxUnavailable as error:
            logger.warning("The lease could not be given up: %s", error)

    def has_receivers(self) -> bool:
        """Return whether any receiver is connected: a worker without one touches nothing."""
        return bool(self._connected())

    def _receiver(self, hook: str, name: str) -> Receiver | None:
        return self._connected().get((hook, name))

    def _connected(self) -> dict[_Key, Receiver]:
        return {
            (name, receiver.name): receiver
            for name, hook in self.hooks.items()
            for receiver in hook.receivers.connected(self.app)
        }

    def _hand_out(self, connected: Mapping[_Key, Receiver]) -> set[_Key]:
        """Give stored events their receipts; return the receivers that have something to do by that."""
        # A hook without receivers is left alone: a deploy that forgot to import them must not finish events.
        hooks = sorted({hook for hook, _ in connected})
        events = self._inbox.assignments.unassigned(hooks)
        suspects: list[Unassigned] = []
        others: list[Unassigned] = []
        for event in events:
            is_suspect = event.readings and event.event_id not in self._read
            (suspects if is_suspect else others).append(event)
        self._count_readings(others)
        readable = [event for event in others if event.type or event.event_id in self._read]
        assigned = self._assign([self._assignment(event) for event in readable])
        give_up_at = time.monotonic() + _SECONDS_OF_READING
        for event in suspects:
            # One by one: one of these may have ended a process while it was read.
            counted = self._count_readings([event])
            if counted:
                assigned += self._assign([self._assignment(event, *counted)])
            if time.monotonic() > give_up_at:
                break
        handed = {(item.event.hook, name) for item in assigned for name in item.receivers}
        return handed.intersection(connected)

    def _count_readings(self, events: Sequence[Unassigned]) -> list[int]:
        """Count those that are to be read, but for what this process has begun to read before, and survived."""
        ids = [event.event_id for event in events if event.type is None]
        fresh = [event_id for event_id in ids if event_id not in self._read]
        counted = self._inbox.assignments.count_readings(fresh) if fresh else {}
        self._read.update(counted)
        return list(counted.values())

    def _assign(self, decided: Sequence[Assignment]) -> list[Assignment]:
        assigned = self._inbox.assignments.assign(decided)
        self._read.difference_update(item.event.event_id for item in decided)
        for item in assigned:
            if item.reason is not None:
                self._untold.append(partial(self._tell_unreadable, item.event, item.reason))
        return assigned

    def _assignment(self, event: Unassigned, readings: int = 0) -> Assignment:
        """Decide which receivers an event has.

        :param readings: How often it has been about to be read, in processes that may have died of it.
        """
        if readings > DEATHS_ALLOWED:
            return Assignment(event=event, reason=DIED_HERE)
        try:
            event_type = event.type
            if event_type is None:
                _, raw = self._resources.bodies.event(event.delivery_id, event.ordinal)
                event_type = reading.event_keys(raw).event_type
            receivers = self.hooks[event.hook].receivers.matching(event_type, self.app)
        except UnreadableEvent as error:
            return Assignment(event=event, reason=error.reason)
        except InboxUnavailable:
            raise
        except Exception as error:
            # Left as it is, it would fail here for ever, before all others.
            logger.exception("Nobody can tell which receivers an event has.")
            return Assignment(
                event=event, reason=f"its receivers cannot be told: {type(error).__name__}"
            )
        return Assignment(event=event, receivers=tuple(each.name for each in receivers))

    def _keep_house(self, connected: Sequence[_Key]) -> None:
        self.housekeeping.see(connected)
        self._note_died(self.housekeeping.clean(), NOT_CONNECTED)
        self._repair()

    def _repair(self) -> None:
        found = self.housekeeping.repair(list(self.hooks))
        for item in found:
            # What stays as it is need not be told each time.
            if item.repaired or self._told.get((item.kind, item.hook)) != item.number:
                self._untold.append(partial(self._tell_inconsistency, item))
            self._told[item.kind, item.hook] = item.number

    def _tell_inconsistency(self, found: Inconsistency) -> None:
        logger.warning(
            "In the inbox: %d times a %s, of the hook %r%s.",
            found.number,
            found.kind,
            found.hook,
            ", which has been put right" if found.repaired else "",
        )
        signals.notify(
            signals.inconsistency_found,
            self.app,
            hook=self.hooks.get(found.hook),
            kind=found.kind,
            number=found.number,
            repaired=found.repaired,
        )

    def _note_died(self, died: Sequence[DeadReceipt], reason: str = DIED_HERE) -> None:
        self._untold.extend(partial(self._tell_died, receipt, reason) for receipt in died)

    def _tell_until_stopped(self) -> None:
        """Tell what no lane tells, in a thread of its own: a handler may take long."""
        is_stopped = False
        while not is_stopped:
            is_stopped = self.stopping.wait(_POLL_SECONDS)
            try:
                self._tell()
            except InboxUnavailable as error:
                self._resources.outage.failed(error)
            except BaseException:
                logger.exception("Dead letters could not be told of.")

    def _tell(self) -> None:
        while self._untold:
            tell = self._untold.popleft()
            try:
                tell()
            except InboxUnavailable:
                self._untold.appendleft(tell)
                raise

    def _tell_died(self, died: DeadReceipt, reason: str) -> None:
        if died.hook not in self.hooks:
            # Of another app over the same inbox, whose signals are not ours to send.
            logger.error("Dead letter of the hook %r, for %s: %s", died.hook, died.receiver, reason)
            return
        position = self._inbox.claims.position_of(died.event_id)
        if position is None:
            return
        delivery, event = self._event_at(*position)
        dispatch.bury(
            self.app,
            hook=self.hooks[died.hook],
            delivery=delivery,
            event=event,
            receiver=died.receiver,
            reason=reason,
        )

    def _tell_unreadable(self, event: Unassigned, reason: str) -> None:
        delivery, _ = self._resources.bodies.event(event.delivery_id, event.ordinal)
        dispatch.bury(
            self.app,
            hook=self.hooks[event.hook],
            delivery=delivery,
            event=None,
            receiver=None,
            reason=reason,
        )

    def _event_at(self, delivery_id: int, ordinal: int) -> tuple[Delivery, LogEvent | None]:
        delivery, raw = self._resources.bodies.event(delivery_id, ordinal)
        try:
            return delivery, reading.load_event(raw)
        except UnreadableEvent:
            return delivery, None
