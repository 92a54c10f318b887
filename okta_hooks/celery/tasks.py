"""Celery as the engine that runs receivers: ``OKTA_HOOKS_WORKER = "celery"``. It needs the extra ``celery``.

Each receiver is a task named ``okta_hooks.<hook>.<receiver>``, so that routes, annotations, time limits and monitors of
Celery's work for receivers. What Celery carries are tickets; retries, waits and dead letters are the inbox's.
"""

from __future__ import annotations

import os
import socket
import threading
import weakref
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from amqp.exceptions import ChannelError
from celery import Celery, signals
from kombu.exceptions import OperationalError

from okta_hooks.exceptions import ConfigurationError, InboxUnavailable
from okta_hooks.in_time import InTime
from okta_hooks.inbox.tickets import Ticket
from okta_hooks.state import state_of
from okta_hooks.state.engine import Report
from okta_hooks.threads import start_thread
from okta_hooks.work import interruption
from okta_hooks.work.relay import BrokerUnavailable

from . import workers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from celery import Task
    from flask import Flask
    from kombu.connection import Connection
    from kombu.messaging import Producer
    from kombu.transport.virtual import Channel

    from okta_hooks.receivers import Hook, Receiver
    from okta_hooks.state.engine import Consumer

_EXTENSION: Final = "celery"
_CONNECTED: Final = "okta_hooks.celery"
#: A ticket that nobody has wanted for so long is no use to anybody: it was sent again long ago.
_SECONDS_TO_EXPIRE: Final = 24 * 3600
_SECONDS_TO_CONNECT: Final = 3.0
_SECONDS_TO_SEND: Final = 5.0
#: Within it the broker is connected to and its workers have answered, if they do.
_SECONDS_TO_EXAMINE: Final = 10.0
#: What keeps a broker that is away from being waited for, by the kind of transport.
_TIMEOUTS: Final[dict[str, dict[str, Any]]] = {
    "redis": {
        "socket_connect_timeout": _SECONDS_TO_CONNECT,
        "socket_timeout": _SECONDS_TO_SEND,
        "retry_on_timeout": False,
    },
    "amqp": {
        "read_timeout": _SECONDS_TO_SEND,
        "write_timeout": _SECONDS_TO_SEND,
        # Without it, RabbitMQ says nothing of what it does not keep.
        "confirm_publish": True,
    },
}
#: Of other tasks Celery would keep results, and try again what has failed; and each Celery app would have them.
_OPTIONS: Final[dict[str, Any]] = {
    "ignore_result": True,
    "acks_late": False,
    "max_retries": 0,
    "typing": False,
    # A shared task is every Celery app's in the process, and another's would call the receivers of this app.
    "shared": False,
    # Tells it from one of the host's.
    "runs_receiver": True,
}
_apps: Final[weakref.WeakSet[Flask]] = weakref.WeakSet()
#: The app whose receiver a task runs, by the Celery app and the name of the task.
_owners: Final[weakref.WeakKeyDictionary[Celery, dict[str, weakref.ref[Flask]]]] = (
    weakref.WeakKeyDictionary()
)
#: The processes, this one and those that it was forked off from, in which handlers of signals are guarded.
_guarded: Final[set[int]] = set()


def connect(app: Flask, celery_app: Celery) -> None:
    """Have the receivers of an app run by a Celery app, if that is not ``app.extensions["celery"]``.

    :raises RuntimeError: if the app has another one already.
    """
    known = app.extensions.setdefault(_CONNECTED, celery_app)
    if known is not celery_app:
        raise ConfigurationError("This app is connected to another Celery app already.")
    _apps.add(app)
    _make_tasks_when_final(app, celery_app)


def task_name(hook: str, receiver: str) -> str:
    """Return the name of the task that runs a receiver."""
    return f"okta_hooks.{hook}.{receiver}"


def celery_of(app: Flask) -> Celery | None:
    """Return the Celery app that runs the receivers of an app, or None if none is set up (yet)."""
    found = app.extensions.get(_CONNECTED) or app.extensions.get(_EXTENSION)
    return found if isinstance(found, Celery) else None


def add_hook(app: Flask, hook: Hook) -> None:
    """Make a task for each receiver of a hook, now and later."""
    _apps.add(app)
    reference = weakref.ref(app)

    def make_now() -> None:
        there = reference()
        celery_app = None if there is None else celery_of(there)
        if there is not None and celery_app is not None and celery_app.finalized:
            _make_tasks(there, celery_app)

    hook.receivers.watch(make_now)
    celery_app = celery_of(app)
    if celery_app is not None:
        _make_tasks_when_final(app, celery_app)


def broker(app: Flask) -> CeleryBroker:
    """Return what a relay of this process sends tickets to.

    :raises RuntimeError: if the app has no Celery app.
    """
    return CeleryBroker(app, _required(app))


def examine(app: Flask, hook: str, receivers: Sequence[Receiver]) -> Report | None:
    """Return how it is with the tasks of a hook's receivers: see :class:`.Engine`."""
    celery_app = celery_of(app)
    if celery_app is None:
        return None
    asked = CeleryBroker(app, celery_app)
    queues, unusable = {}, {}
    for receiver in receivers:
        try:
            queues[receiver.name] = asked.queue_of(hook, receiver)
        except Exception as error:  # noqa: BLE001 - routes are the host's code
            unusable[receiver.name] = workers.reason(error)
            continue
        task = celery_app.tasks[task_name(hook, receiver.name)]
        if not getattr(task, "runs_receiver", False):
            unusable[receiver.name] = "another task of the app has its name"
    known = Report(
        tasks={each.name: task_name(hook, each.name) for each in receivers},
        queues=queues,
        unusable=unusable,
        is_eager=bool(celery_app.conf.task_always_eager),
    )
    if known.is_eager:
        return known
    try:
        kind = celery_app.connection_for_write().transport.driver_type
        known = replace(known, broker=kind)
        return replace(known, consumers=InTime(asked.consumers).ask(_SECONDS_TO_EXAMINE))
    except TimeoutError:
        return replace(known, away="it does not answer in time")
    except Exception as error:  # noqa: BLE001 - whatever the library of a broker raises
        return replace(known, away=workers.reason(error))


def _required(app: Flask) -> Celery:
    celery_app = celery_of(app)
    if celery_app is None:
        raise ConfigurationError(
            'OKTA_HOOKS_WORKER is "celery", and this app has no Celery app: set app.extensions["celery"], '
            "as Flask's documentation does, or call okta_hooks.celery.connect(app, celery_app)."
        )
    return celery_app


def _make_tasks_when_final(app: Flask, celery_app: Celery) -> None:
    if celery_app.finalized:
        _make_tasks(app, celery_app)
        return
    reference = weakref.ref(app)

    def make(**_: Any) -> None:
        there = reference()
        if there is not None:
            _make_tasks(there, celery_app)

    celery_app.on_after_finalize.connect(make, weak=False)


def _make_tasks(app: Flask, celery_app: Celery) -> None:
    state = app.extensions.get("okta_hooks")
    for hook in {} if state is None else list(state.hooks.values()):
        for receiver in hook.receivers.connected(app):
            _task(app, celery_app, hook.name, receiver)


def _task(app: Flask, celery_app: Celery, hook: str, receiver: Receiver) -> Task[..., Any]:
    """Return the task of a receiver, made now if need be. The Celery app is final."""
    receiver_name = receiver.name
    name = task_name(hook, receiver_name)
    owners = _owners.setdefault(celery_app, {})
    _own(owners, name, app)
    known: Task[..., Any] | None = celery_app.tasks.get(name)
    if known is not None:
        return known

    def run_receiver(event_id: int) -> None:
        """Run a receiver on an event, if it is still to be run now."""
        there = owners[name]()
        if there is not None:
            _guard_signals()
            state_of(there).runtime().performer.perform(Ticket(hook, receiver_name, event_id))

    made: Task[..., Any] = celery_app.task(run_receiver, name=name, **_OPTIONS)
    return made


def _own(owners: dict[str, weakref.ref[Flask]], name: str, app: Flask) -> None:
    """Let a task run the receiver of an app.

    :raises RuntimeError: if that has the same name in another app, with another inbox. Apps of tests follow each other.
    """
    owner = owners[name]() if name in owners else None
    if owner is None or owner.testing or app.testing:
        owners[name] = weakref.ref(app)
    elif owner is not app and state_of(owner).settings.inbox != state_of(app).settings.inbox:
        raise ConfigurationError(
            f"The task {name} is to run receivers of two apps, which have different inboxes and one Celery app. "
            "Give the hook another name in one of them: EventHook(name)."
        )


def _guard_signals() -> None:
    """Let nothing but receivers be interrupted by a time limit, in a process of the pool ``prefork``."""
    from billiard.common import TERM_SIGNAL
    from billiard.pool import SIG_SOFT_TIMEOUT
    from billiard.process import current_process

    is_of_pool = current_process().name != "MainProcess"
    is_main = threading.current_thread() is threading.main_thread()
    if os.getpid() in _guarded or not is_of_pool or not is_main:
        return
    _guarded.add(os.getpid())
    interruption.guard(TERM_SIGNAL, ends=True)
    if SIG_SOFT_TIMEOUT is not None:
        interruption.guard(SIG_SOFT_TIMEOUT, ends=False)


class CeleryBroker:
    """Gives tickets to the broker of a Celery app, over a connection of its own.

    A connection of Celery's pool would wait for a broker that is away as long as it takes.
    """

    def __init__(self, app: Flask, celery_app: Celery) -> None:
        self._app = app
        self._celery = celery_app
        self._queues: dict[str, str] = {}
        #: Where a ticket is sent. As attributes of tasks Celery 5.7 has given these up.
        self._options: dict[str, dict[str, str]] = {}
        self._connection: Connection | None = None
        self._producer: Producer | None = None
        self._counting: Channel | None = None

    def queue_of(self, hook: str, receiver: Receiver) -> str:
        """Return where Celery sends the task of a receiver: by its ``queue``, or else by Celery's routes."""
        name = task_name(hook, receiver.name)
        if name not in self._queues:
            self._celery.finalize()
            task = _task(self._app, self._celery, hook, receiver)
            given = {} if receiver.queue is None else {"queue": receiver.queue}
            self._options[name] = given
            # A copy: it gets what it is merged with.
            found = self._celery.amqp.router.route(dict(given), name, task_type=task)
            queue = found.get("queue") or found.get("routing_key")
            self._queues[name] = str(getattr(queue, "name", queue))
        return self._queues[name]

    def waiting(self, queue: str) -> int:
        """Return how many messages wait in a queue, or 0 if the broker does not tell."""
        if self._celery.conf.task_always_eager:
            return 0
        try:
            connection = self._connect().connection
        except Exception as error:
            raise self._lost(error) from error
        try:
            # In a channel of its own: RabbitMQ closes one in which a queue is asked for that is not there.
            if self._counting is None:
                self._counting = connection.channel()
            return int(self._counting.queue_declare(queue, passive=True).message_count or 0)
        except ChannelError:
            # There is no such queue. Redis has none that is empty, and with it kombu counts this among the errors
            # of connections.
            if connection.transport.driver_type == "amqp":
                self._counting = None
            return 0
        except connection.recoverable_connection_errors as error:
            raise self._lost(error) from error
        except Exception:  # noqa: BLE001 - this kind of broker does not count
            return 0

    def publish(self, tickets: Sequence[Ticket]) -> list[tuple[Ticket, Exception]]:
        """Send tickets, in their order, and return those that are refused, each with what was raised."""
        refused: list[tuple[Ticket, Exception]] = []
        for number, ticket in enumerate(tickets):
            try:
                producer = None if self._celery.conf.task_always_eager else self._connect()
            except Exception as error:
                raise self._lost(error, number) from error
            try:
                self._send(ticket, producer)
            except ChannelError as error:
                # RabbitMQ closes a channel in which it refuses something.
                self.close()
                refused.append((ticket, error))
            except Exception as error:  # the host's handlers of Celery's signals are called, too
                if producer is not None and isinstance(error, _connection_errors(producer)):
                    raise self._lost(error, number) from error
                refused.append((ticket, error))
        return refused

    def _send(self, ticket: Ticket, producer: Producer | None) -> None:
        name = task_name(ticket.hook, ticket.receiver)
        self._celery.tasks[name].apply_async(
            (ticket.event_id,),
            producer=producer,
            retry=False,
            expires=_SECONDS_TO_EXPIRE,
            **self._options[name],
        )

    def consumers(self) -> Sequence[Consumer] | None:
        """Return which of Celery's workers answer, or None if they cannot be asked.

        Whatever the library of the broker raises is raised.
        """
        try:
            return workers.ask(self._celery, self._connect().connection)
        finally:
            self.close()

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        self._producer = self._counting = None
        if connection is not None:
            with suppress(Exception):
                connection.release()  # type: ignore[no-untyped-call]

    def _connect(self) -> Producer:
        if self._producer is None:
            plain = self._celery.connection_for_write()
            timeouts = _TIMEOUTS.get(plain.transport.driver_type, {})
            self._connection = self._celery.connection_for_write(
                connect_timeout=_SECONDS_TO_CONNECT,
                transport_options={
                    **timeouts,
                    **self._celery.conf.broker_transport_options,
                },
            )
            # `connect` would try twice and pause in between, `default_channel` for ever.
            self._connection.ensure_connection(errback=_give_up, reraise_as_library_errors=False)
            self._producer = self._celery.amqp.Producer(self._connection.channel())
        return self._producer

    def _lost(self, error: Exception, sent: int = 0) -> BrokerUnavailable:
        """Drop the connection, and return what is to be raised."""
        self.close()
        # The text of an error may hold the URL of the broker, and that a password; but for one that says what is
        # to be installed.
        reason = type(error).__name__
        if isinstance(error, ImportError):
            reason = f"{reason}: {error}"
        return BrokerUnavailable(reason, sent)


def _connection_errors(producer: Producer) -> tuple[type[Exception], ...]:
    """Return what is raised where the broker cannot be reached any more."""
    found: tuple[type[Exception], ...] = producer.connection.recoverable_connection_errors
    return (*found, OperationalError, OSError)


def _give_up(error: Exception, pause: float) -> None:
    """Raise the error that a broker was not reached with, once each that the URL names has been tried."""
    if pause:
        raise error


def _mark_stopping(**_: Any) -> None:
    """Mark in each inbox that the processes of this Celery worker are being stopped.

    What they do not finish in the time that they are given was cut off then, and counts no death.
    """
    from billiard import active_children

    pids = [os.getpid(), *(child.pid for child in active_children())]

    def mark() -> None:
        for app in _used():
            # Not even one that has no inbox keeps the others from it.
            with suppress(InboxUnavailable, ConfigurationError):
                state_of(app).runtime().inbox.workers.mark_processes_stopping(
                    socket.gethostname(), pids
                )

    # Celery sends this in a handler of an operating system's signal, which may have interrupted anything.
    start_thread(mark, name="okta-hooks-stopping")


def _leave(**_: Any) -> None:
    """Leave the inboxes' lists of workers, at the end of a process of Celery's."""
    for app in _used():
        state_of(app).close()


def _make_tasks_of(sender: Celery, **_: Any) -> None:
    """Make the tasks of apps whose Celery app was set up after their hooks."""
    for app in list(_apps):
        if celery_of(app) is sender:
            _make_tasks_when_final(app, sender)


def _used() -> list[Flask]:
    return [app for app in list(_apps) if app.extensions.get("okta_hooks") is not None]


signals.import_modules.connect(_make_tasks_of)
signals.worker_shutting_down.connect(_mark_stopping)
signals.worker_process_shutdown.connect(_leave)
signals.worker_shutdown.connect(_leave)
