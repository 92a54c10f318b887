"""What everybody has who runs receivers or sends tickets: a place in the inbox's list of workers, and lanes."""

from __future__ import annotations

import os
import random
import socket
from typing import TYPE_CHECKING, Final, TypeAlias

from okta_hooks.exceptions import InboxUnavailable
from okta_hooks.inbox.workers import THREAD
from okta_hooks.logs import get_logger
from okta_hooks.threads import start_thread

from .bodies import Bodies
from .lane import Lane
from .lease import Heartbeat, lease_for
from .notices import Notices
from .resources import Resources

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flask import Flask

    from okta_hooks.inbox import Inbox
    from okta_hooks.receivers import Hook, Receiver

logger = get_logger(__name__)

SECONDS_TO_ABANDON: Final = 2.0
#: Of this process and those that it forks off: containers may have one host name, and the same numbers of processes.
_START: Final = os.urandom(4).hex()

Key: TypeAlias = tuple[str, str]


def beginning_of_id(pid: int) -> str:
    """Return what the ids begin with of the members in a process: this one, or one that it has forked off."""
    return f"{socket.gethostname()}:{pid}:{_START}"


class Member:
    """A member of the inbox's list of workers.

    :param hooks: The hooks by name.
    :param max_attempts: After so many a receipt is dead.
    :param jitter: Returns a number from 0 to 1, for :func:`~okta_hooks.work.retry.back_off`.
    :param kind: What it does: see :meth:`.Workers.beat`.
    """

    def __init__(
        self,
        app: Flask,
        hooks: Mapping[str, Hook],
        inbox: Inbox,
        *,
        max_attempts: int,
        jitter: Callable[[], float] = random.random,
        kind: str = THREAD,
    ) -> None:
        self.id = f"{beginning_of_id(os.getpid())}{os.urandom(4).hex()}"
        self.app = app
        self.hooks = hooks
        self.lease = lease_for(inbox, self.id, kind)
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
        self._lanes: dict[Key, Lane] = {}
        self._notices = Notices(self._resources)

    def abandon(self) -> None:
        """Give back what is in hand, though it may be running, because this process is about to end.

        That counts no death, and another worker runs it again. This takes no longer than two seconds.
        """

        def give_back() -> None:
            try:
                for lane in list(self._lanes.values()):
                    lane.abandon()
                self.lease.end()
            except InboxUnavailable as error:
                logger.warning(
                    "What is in hand could not be given back: %(error)s", {"error": error}
                )

        self.stopping.set()
        try:
            start_thread(give_back, name="okta-hooks-abandon").join(SECONDS_TO_ABANDON)
        except RuntimeError:  # Python 3.12 starts no thread while the interpreter ends
            give_back()

    def has_receivers(self) -> bool:
        """Return whether any receiver is connected: a worker without one touches nothing."""
        return bool(self._connected())

    def _beating(self) -> Heartbeat:
        return Heartbeat(
            self.lease,
            self._resources.outage,
            on_died=self._notices.add_dead,
            stopping=self.stopping,
            on_stopping=self._mark_stopping,
        )

    def _mark_stopping(self) -> bool:
        """Mark in the inbox that this is a stop, and no death; return whether it has been marked."""
        if not self.lease.holds():  # it is not even listed there, or nothing can be written now
            return False
        self._inbox.workers.mark_stopping(self.id)
        return True

    def _leave(self) -> None:
        try:
            self.lease.give_up()
        except InboxUnavailable as error:
            logger.warning("The lease could not be given up: %(error)s", {"error": error})

    def _lane(self, key: Key) -> Lane:
        # Several threads may ask for one at the same time, and must get the same.
        return self._lanes.get(key) or self._lanes.setdefault(key, Lane(self._resources, *key))

    def _receiver(self, hook: str, name: str) -> Receiver | None:
        return self._connected().get((hook, name))

    def _connected(self) -> dict[Key, Receiver]:
        return {
            (name, receiver.name): receiver
            for name, hook in self.hooks.items()
            for receiver in hook.receivers.connected(self.app)
        }
