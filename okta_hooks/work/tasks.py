"""Receivers in a task queue of the host's choice: tickets to be sent, and what is done with one that arrives.

:mod:`okta_hooks.celery` does both for Celery. For another queue, a process of the host's calls :func:`take` again and
again and enqueues what it returns, and the job that the queue runs calls :func:`perform`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from okta_hooks.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flask import Flask

    from okta_hooks.inbox.tickets import Ticket


def take(app: Flask, limit: int = 100, *, queue: str | None = None) -> list[Ticket]:
    """Return tickets for what is due, each a tuple of a hook's name, a receiver's name and the id of an event.

    They are marked in the inbox as being on their way, and that is committed: send them now. One for which no receipt
    is claimed within ``OKTA_HOOKS_RELAY_RESEND`` seconds is taken for lost, and returned again. Of one queue no more
    than ``OKTA_HOOKS_RELAY_WINDOW`` are on their way at a time. For a receiver that is paused there are none.

    This also gives stored events their receipts, and takes back what died with its process: something has to call it
    every second or so, however little there is to do. Several processes may, and each gets other tickets.

    :param app: The Flask app. It needs no context.
    :param limit: The most to return.
    :param queue: Only for receivers with this ``queue``; by default for all.
    :raises RuntimeError: if no hook is registered in the app, or its inbox is not on PostgreSQL.
    :raises okta_hooks.exceptions.InboxUnavailable: if the inbox cannot be used.
    """
    if limit < 1:
        raise ValueError(f"limit must be at least 1, not {limit!r}.")
    tickets: list[Ticket] = _runtime(app).take(limit, queue)
    return tickets


def perform(app: Flask, ticket: Sequence[Any]) -> bool:
    """Run the receiver of a ticket on its event, if that is still to be done now.

    What comes of it is written to the inbox: done, dead, or tried again later, which another ticket is for. So whatever
    the receiver raises is not raised here, and the task queue has nothing to try again.
    A ticket that comes twice, too late, or while its receiver is paused, is harmless: then nothing is run.

    Several threads may call this at a time. A process that has called it is listed as a worker until it ends, and ends
    with a death of what it runs unless it comes to Python's ``atexit``, or to the end of a child of multiprocessing.
    One that ends by ``os._exit`` has to call ``okta_hooks.state_of(app).close()`` before.

    :param app: The Flask app. It needs no context.
    :param ticket: What :func:`take` returned, or a sequence of the same three, as JSON brings it.
    :return: whether the receiver was run.
    :raises RuntimeError: as :func:`take`.
    :raises okta_hooks.exceptions.InboxUnavailable: if the inbox cannot be used for a minute. The receipt is kept.
    """
    from okta_hooks.inbox.tickets import Ticket  # SQLAlchemy

    hook, receiver, event_id = ticket
    ran: bool = _runtime(app).performer.perform(Ticket(str(hook), str(receiver), int(event_id)))
    return ran


def _runtime(app: Flask) -> Any:
    # What is in there stands above this package.
    state: Any = app.extensions.get("okta_hooks")
    if state is None:
        raise ConfigurationError(
            "No hook is registered in this app: app.register_blueprint(EventHook(name))."
        )
    runtime = state.runtime()
    if runtime.inbox.path is not None:
        raise ConfigurationError(
            "OKTA_HOOKS_INBOX is an SQLite file, which only one process at a time runs receivers on: "
            "a task queue needs a PostgreSQL database there."
        )
    return runtime
