"""What one process has of one app at work: the inbox, its writer, its worker."""

from __future__ import annotations

import functools
import os
import threading
from typing import TYPE_CHECKING, Final

from okta_hooks.exceptions import ConfigurationError
from okta_hooks.inbox import Inbox
from okta_hooks.inbox.workers import RELAY
from okta_hooks.inbox.writer import Writer
from okta_hooks.settings import CELERY
from okta_hooks.work import sigterm
from okta_hooks.work.at_exit import AtExit
from okta_hooks.work.performer import Performer
from okta_hooks.work.worker import Worker

from . import engine
from .trial import Trial

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flask import Flask

    from okta_hooks.inbox.tickets import Ticket
    from okta_hooks.receivers import Hook
    from okta_hooks.secret import Secret
    from okta_hooks.settings import Settings

#: Who asks whether the inbox takes anything is answered within it.
_SECONDS_TO_TRY: Final = 2.0
_SECONDS_TO_STOP: Final = 10.0


class Runtime:
    """Made at the first request in a process, and again in each process that is forked off later.

    :param hooks: The app's hooks by name.
    :param clock: The inbox's, as is ``elapsed``.
    :param jitter: The worker's.
    """

    def __init__(
        self,
        app: Flask,
        config: Settings,
        hooks: Mapping[str, Hook],
        *,
        clock: Callable[[], float],
        elapsed: Callable[[], float],
        jitter: Callable[[], float],
    ) -> None:
        if config.inbox is None:
            raise ConfigurationError("There is no inbox: OKTA_HOOKS_INBOX is None.")
        self.pid = os.getpid()
        self.inbox = Inbox(config.inbox, folder=app.instance_path, clock=clock, elapsed=elapsed)
        self.trial = Trial(
            functools.partial(self.inbox.upkeep.try_writing, seconds=_SECONDS_TO_TRY)
        )
        self._make_worker = functools.partial(
            Worker,
            app,
            hooks,
            self.inbox,
            max_attempts=config.max_attempts,
            retention=config.retention,
            jitter=jitter,
            window=config.relay_window,
            resend=config.relay_resend,
        )
        if not app.testing:
            self.inbox.counters.flush_regularly()
        #: Runs receivers, if this process is to.
        self.worker = self._make_worker()
        #: Runs them for tickets that a task queue hands to this process.
        self.performer = Performer(
            app, hooks, self.inbox, max_attempts=config.max_attempts, jitter=jitter
        )
        self._app = app
        self._config = config
        self._relay: Worker | None = None
        self._taker: Worker | None = None
        self._taker_at_exit: AtExit | None = None
        self._taking = threading.Lock()
        self.writer = Writer(self.inbox, self._wake)
        self._lock = threading.Lock()
        self._at_work: Worker | None = None
        self._is_closed = False
        self._at_exit: AtExit | None = None

    @property
    def relay(self) -> Worker:
        """The worker that gives tickets to the task queue that is configured.

        :raises ConfigurationError: if none is, or it cannot be used.
        """
        if self._relay is None:
            loaded = engine.load(self._config)
            if loaded is None:
                raise ConfigurationError(
                    "There is no task queue to send tickets to: "
                    f'OKTA_HOOKS_WORKER is {self._config.worker!r}, and not "celery".'
                )
            self._relay = self._make_worker(kind=RELAY, broker=loaded.broker(self._app))
        return self._relay

    def _wake(self) -> None:
        (self._at_work or self.worker).wake()

    def work(self) -> None:
        """Start the worker, or the relay, in a thread of this process, once; it stops when the process exits.

        Nothing starts once this has been closed.
        """
        with self._lock:
            if self._at_work is None and not self._is_closed:
                at_work = self.relay if self._config.worker == CELERY else self.worker
                sigterm.listen()
                at_work.start()
                self._at_work = at_work
                self._at_exit = AtExit(self._stop_worker)

    def drain(self, until: float | None = None) -> int:
        """Run receivers in this thread until nothing is due: see :func:`okta_hooks.drain`.

        It has a worker of its own: that of this process may be at work, and several threads may drain at once.
        """
        return self._make_worker().drain(until=until)

    def take(self, limit: int, queue: str | None) -> list[Ticket]:
        """Return tickets for what is due: see :func:`okta_hooks.work.take`."""
        with self._taking:
            if self._taker is None:
                self._taker = self._make_worker(kind=RELAY)
                self._taker_at_exit = AtExit(self._taker.abandon)
            return self._taker.take(limit, queue)

    def close(self) -> None:
        """Stop the worker and the writer, and close the inbox's connections.

        In a child of the process that it belongs to this does nothing.
        """
        if self.pid != os.getpid():
            return
        with self._lock:
            self._is_closed = True
        if self._at_exit is not None:
            self._at_exit.call_now()
        self.performer.close()
        if self._taker_at_exit is not None:
            self._taker_at_exit.call_now()
        self.writer.stop(_SECONDS_TO_STOP)
        self.inbox.counters.close()
        self.inbox.close()

    def _stop_worker(self) -> None:
        at_work = self._at_work
        if at_work is not None and not at_work.stop(_SECONDS_TO_STOP):
            at_work.abandon()


def preload(inbox: Secret, folder: str) -> None:
    """Import what a runtime with such an inbox needs, its driver too. Nothing is opened.

    :raises InboxUnavailable: if the URL or the driver are not as they should be.
    """
    Inbox(inbox, folder=folder)
