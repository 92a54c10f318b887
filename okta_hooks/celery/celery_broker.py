"""The broker of a Celery app, as a relay uses it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from amqp.exceptions import ChannelError
from kombu.exceptions import OperationalError

from okta_hooks.work.relay import BrokerUnavailable

from . import workers
from .tasks import make_task, required, task_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from celery import Celery
    from flask import Flask
    from kombu.connection import Connection
    from kombu.messaging import Producer
    from kombu.transport.virtual import Channel

    from okta_hooks.inbox.tickets import Ticket
    from okta_hooks.receivers import Receiver
    from okta_hooks.state.engine import Consumer

#: A ticket that nobody has wanted for so long is no use to anybody: it was sent again long ago.
_SECONDS_TO_EXPIRE: Final = 24 * 3600
_SECONDS_TO_CONNECT: Final = 3.0
_SECONDS_TO_SEND: Final = 5.0
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


def broker(app: Flask) -> CeleryBroker:
    """Return what a relay of this process sends tickets to.

    :raises RuntimeError: if the app has no Celery app.
    """
    return CeleryBroker(app, required(app))


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
            task = make_task(self._app, self._celery, hook, receiver)
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
