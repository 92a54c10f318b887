"""Running receivers for tickets, in whatever process or thread a task queue hands them to."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, Final

from okta_hooks.exceptions import InboxUnavailable
from okta_hooks.inbox.workers import TASK
from okta_hooks.logs import get_logger
from okta_hooks.threads import start_thread

from . import interruption, sigterm
from .at_exit import AtExit
from .member import SECONDS_TO_ABANDON, Member

if TYPE_CHECKING:
    from okta_hooks.inbox.tickets import Ticket

    from .member import Key

logger = get_logger(__name__)

_SHORTEST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 2.0
#: How long a ticket waits for the database. Then it is given up, and sent again later.
_SECONDS_TO_WAIT: Final = 60.0
_SECONDS_BETWEEN_LOOKS: Final = 0.5
#: How long a process that is being ended waits for the mark that this is a stop.
_SECONDS_TO_BE_MARKED: Final = 1.0


class Performer(Member):
    """Runs receivers for tickets.

    It enters the inbox's list of workers with the first ticket of its process, and stays there until
    :meth:`close`, which the end of the process calls: one that ends without that has died with what it ran.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named, kind=TASK)
        self._starting = threading.Lock()
        self._beats: ExitStack | None = None
        self._at_exit: AtExit | None = None

    def perform(self, ticket: Ticket) -> bool:
        """Run the receiver of a ticket on its event, if it is still to be run now; return whether it was run.

        Whatever comes of that is in the inbox when this returns: the attempt's outcome is no exception of this method.
        While the database is away this waits for it, up to a minute.

        :raises InboxUnavailable: if that was not long enough. The ticket is sent again later.
        """
        key = ticket.hook, ticket.receiver
        if key not in self._connected():
            logger.warning(
                "A ticket came for the receiver %(receiver)s of the hook %(hook)r, which is not connected here. "
                "Another worker gets it later.",
                {"receiver": ticket.receiver, "hook": ticket.hook},
            )
            return False
        with interruption.working():
            return self._perform(key, ticket.event_id)

    def _perform(self, key: Key, event_id: int) -> bool:
        give_up_at = time.monotonic() + _SECONDS_TO_WAIT
        pause = _SHORTEST_PAUSE
        while True:
            try:
                self._start()
                return self._work_on(key, event_id)
            except InboxUnavailable as error:
                self._resources.outage.failed(error)
                if (
                    time.monotonic() > give_up_at
                    or interruption.is_due()
                    or self.stopping.wait(pause)
                ):
                    raise
                pause = min(2 * pause, _LONGEST_PAUSE)

    def _work_on(self, key: Key, event_id: int) -> bool:
        self._notices.add_dead(self.lease.renew() or [])
        lane = self._lane(key)
        if lane.work_on(event_id):
            return True
        if self.stopping.is_set() or self._inbox.workers.is_listed(self.id):
            return False
        # Another worker has taken this one for dead, and off the list, where it could claim nothing.
        self.lease.give_up()
        self._notices.add_dead(self.lease.renew() or [])
        return lane.work_on(event_id)

    def close(self, timeout: float = SECONDS_TO_ABANDON) -> None:
        """Leave the list of workers. What is running here goes to others, and that counts no death.

        :param timeout: Seconds to wait for what is running.
        """
        self.stopping.set()
        if self._at_exit is not None:
            self._at_exit.cancel()
        beats, self._beats = self._beats, None
        if beats is None or (interruption.is_ended() and not self._is_marked()):
            # What a time limit has ended a receiver with, this process has died of.
            return
        give_up_at = time.monotonic() + timeout
        with suppress(InboxUnavailable):
            self._mark_stopping()
        while not all(lane.is_idle for lane in list(self._lanes.values())):
            if time.monotonic() > give_up_at:
                break
            time.sleep(_SHORTEST_PAUSE)
        beats.close()
        self.abandon()

    def _is_marked(self) -> bool:
        """Return whether this process ends because its pool is stopped, which that has marked or is about to."""
        give_up_at = time.monotonic() + _SECONDS_TO_BE_MARKED
        with suppress(InboxUnavailable):
            while time.monotonic() < give_up_at:
                if self._inbox.workers.is_stopping(self.id):
                    return True
                time.sleep(_SHORTEST_PAUSE)
        return False

    def _start(self) -> None:
        """Begin the heartbeat, in this process: one that was forked off later has another performer."""
        with self._starting:
            if self._beats is not None or self.stopping.is_set():
                return
            self._inbox.open()
            # A pool ends its children by SIGTERM, too, and leaves that signal to the system.
            sigterm.listen()
            with ExitStack() as beats:
                beats.enter_context(self._beating())
                start_thread(self._maintain, name="okta-hooks-maintenance")
                self._at_exit = AtExit(self.close)
                self._beats = beats.pop_all()

    def _maintain(self) -> None:
        """Send what is to be told of dead letters, and give back what a lost answer has left claimed."""
        while not self.stopping.wait(_SECONDS_BETWEEN_LOOKS):
            try:
                self._notices.send()
                for lane in list(self._lanes.values()):
                    if lane.is_in_doubt and lane.is_idle:
                        lane.resolve()
                    lane.warn_if_slow()
            except InboxUnavailable as error:
                self._resources.outage.failed(error)
            except BaseException:
                logger.exception("What is to be done beside the tickets has failed.")
