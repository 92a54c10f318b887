"""The worker: hands stored events to receivers, until every one of them has finished or given up.

One thread gives events their receipts and looks for what is due; each receiver has a lane, a thread or more of its own
while there is something to do for it, so that none waits for another.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from okta_hooks.exceptions import InboxUnavailable
from okta_hooks.inbox.workers import NOT_CONNECTED, THREAD
from okta_hooks.logs import get_logger
from okta_hooks.threads import start_thread

from .fan_out import FanOut
from .housekeeping import Housekeeping
from .lane import MOST_IN_HAND
from .member import SECONDS_TO_ABANDON, Member
from .relay import Relay, Window

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import timedelta

    from flask import Flask

    from okta_hooks.inbox import Inbox
    from okta_hooks.inbox.tickets import Ticket
    from okta_hooks.receivers import Hook, Receiver

    from .member import Key
    from .relay import Broker

logger = get_logger(__name__)

_POLL_SECONDS: Final = 0.4
_STANDBY_SECONDS: Final = 0.5
#: How long a relay that has sent something waits until it looks for more.
_SECONDS_TO_REFILL: Final = 0.05
_SECONDS_AFTER_FAILURE: Final = 1.0
#: How long a drain stays for workers that seem to be gone: a little more than it takes to be sure.
_SECONDS_TO_WATCH: Final = 15.0


class Worker(Member):
    """Brings what is in the inbox of an app's hooks to their receivers.

    It runs them itself, or sends tickets for that to a task queue.

    :param hooks: The hooks by name.
    :param max_attempts: After so many a receipt is dead.
    :param retention: How long the bodies of done deliveries stay.
    :param jitter: Returns a number from 0 to 1, for :func:`~okta_hooks.work.retry.back_off`.
    :param kind: As for :class:`.Member`.
    :param broker: The task queue, or None.
    :param window: The size of the :class:`.Window`; ``resend`` is that of its tickets.
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
        kind: str = THREAD,
        broker: Broker | None = None,
        window: int = 1000,
        resend: float = 60.0,
    ) -> None:
        super().__init__(app, hooks, inbox, max_attempts=max_attempts, jitter=jitter, kind=kind)
        self.housekeeping = Housekeeping(inbox, retention)
        #: Is called once, when another process turns out to dispatch, and this one waits.
        self.on_standby: Callable[[], Any] | None = None
        #: The queues of the receivers that this worker runs; None: it runs all, those of no queue included.
        self.queues: frozenset[str] | None = None
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._watch_until = 0.0
        # With which queue a call of `take` begins.
        self._turn = 0
        self._fan_out = FanOut(self._resources, self._notices)
        self._window = Window(self._resources, size=window, resend=resend)
        self._relay = None if broker is None else Relay(self._resources, self._window, broker)

    @property
    def closed(self) -> int:
        """How many events this worker has brought to an end."""
        return self._resources.closed

    def start(self) -> None:
        """Run in a thread of this process."""
        self._thread = start_thread(self.run, name="okta-hooks-worker")

    def wake(self) -> None:
        """Let the worker look for something to do now."""
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

    def run(self) -> None:
        """Work until :meth:`stop` is called from elsewhere."""
        with self._beating():
            notifier = start_thread(self._notices.send_until_stopped, name="okta-hooks-notifier")
            while not self.stopping.is_set():
                pause = self._pass_safely()
                if pause:
                    self._wake.wait(pause)
                self._wake.clear()
            with contextlib.suppress(InboxUnavailable):
                self._mark_stopping()
            for lane in self._lanes.values():
                lane.stop_waiting()
            while any(not lane.has_ended for lane in self._lanes.values()):
                for lane in self._lanes.values():
                    lane.join(1.0)
            notifier.join(SECONDS_TO_ABANDON)
        self._leave()
        if self._relay is not None:
            self._relay.close()

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
            self._stand_by()
            return _STANDBY_SECONDS
        self._notices.add_dead(died)
        assigned = self._fan_out.assign(connected)
        if self._relay is None:
            self._wake_lanes(connected, assigned)
            pause = 0.0 if assigned else _POLL_SECONDS
        else:
            sent = self._relay.send(connected)
            pause = _SECONDS_TO_REFILL if assigned or sent else _POLL_SECONDS
        self._keep_house(list(connected))
        return pause

    def _wake_lanes(self, connected: Mapping[Key, Receiver], assigned: set[Key]) -> None:
        for lane in self._lanes.values():
            lane.leave_stuck_threads()
        to_run = self._to_run(connected)
        waiting = [
            key
            for key, receiver in to_run.items()
            if key not in assigned and not self._lane(key).is_full(receiver.concurrency)
        ]
        in_doubt = [key for key in waiting if self._lane(key).is_in_doubt]
        for key in {*assigned, *in_doubt, *self._inbox.claims.with_work(waiting)}:
            if key in to_run:
                self._lane(key).wake(to_run[key].concurrency)
        for lane in self._lanes.values():
            lane.warn_if_slow()

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
        self._watch_until = time.monotonic() + _SECONDS_TO_WATCH
        try:
            with self._beating():
                while not self.stopping.is_set() and not self._resources.is_late:
                    worked = self._drain_once()
                    self._notices.send()
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
            # Another process holds the lease: this one waits until all is done, or until it gets the lease.
            if not self._inbox.overview.has_due(list(self._to_run(connected))):
                return None
            self._stand_by()
            self.stopping.wait(_STANDBY_SECONDS)
            return 0
        self._notices.add_dead(died)
        self.housekeeping.see(list(connected))
        self._repair()
        assigned = self._fan_out.assign(connected)
        self._notices.send()
        worked = 0
        keys = self._inbox.claims.with_work(list(self._to_run(connected)))
        for key in keys:
            worked += self._lane(key).work(MOST_IN_HAND)
        if keys and not worked and not self._inbox.workers.is_listed(self.id):
            # Another worker has taken this one for dead, and off the list: get a new lease.
            self.lease.give_up()
            return 0
        return worked if worked or assigned else self._watch()

    def _watch(self) -> int | None:
        """Wait a little if another worker seems to be gone, else return None.

        What it died with is due as soon as that is sure. The next drain may be another process, which would have to
        begin anew, and so would the one after it.
        """
        if not self.lease.is_watching() or time.monotonic() > self._watch_until:
            return None
        self.stopping.wait(_STANDBY_SECONDS)
        return 0

    def take(self, limit: int, queue: str | None) -> list[Ticket]:
        """Return tickets for what is due, marked as sent: whoever calls this gives them to a task queue.

        :param limit: The most to return.
        :param queue: Only for receivers of this queue; None: for all.
        """
        connected = self._connected()
        if not connected:
            return []
        self._inbox.open()
        self._notices.add_dead(self.lease.renew() or [])
        self._fan_out.assign(connected)
        self._keep_house(list(connected))
        self._notices.send()
        by_queue: dict[str, list[Key]] = {}
        for key in self._inbox.claims.with_work(list(connected)):
            of_it = connected[key].queue or ""
            if queue in (None, of_it):
                by_queue.setdefault(of_it, []).append(key)
        taken: list[Ticket] = []
        self._turn += 1
        names = list(by_queue)
        begins = self._turn % len(names) if names else 0
        for number, name in enumerate(names[begins:] + names[:begins]):
            share = -(-(limit - len(taken)) // (len(names) - number))
            if share:
                taken += self._window.take(name, by_queue[name], limit=share)
        return taken

    def _stand_by(self) -> None:
        report, self.on_standby = self.on_standby, None
        if report is not None and not self.stopping.is_set():
            report()

    def next_due(self) -> float | None:
        """Return when the next attempt of a receiver that this worker runs is due, or None if none is to come."""
        return self._inbox.overview.next_due(list(self._to_run(self._connected())))

    def _to_run(self, connected: Mapping[Key, Receiver]) -> Mapping[Key, Receiver]:
        """Return those of the connected receivers that are in this worker's queues.

        The others get their receipts here all the same, and are noted as connected: else they would be orphans.
        """
        if self.queues is None:
            return connected
        return {key: each for key, each in connected.items() if each.queue in self.queues}

    def _keep_house(self, connected: Sequence[Key]) -> None:
        self.housekeeping.see(connected)
        self._notices.add_dead(self.housekeeping.clean(), NOT_CONNECTED)
        self._notices.add_quota(self.housekeeping.quota())
        self._repair()

    def _repair(self) -> None:
        self._notices.add_inconsistencies(self.housekeeping.repair(list(self.hooks)))
