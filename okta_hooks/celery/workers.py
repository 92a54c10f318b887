"""Celery's workers, asked which queues they take from and which tasks they know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from okta_hooks.state.engine import Consumer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from celery import Celery
    from kombu.connection import Connection

#: All of it is waited for: nobody knows how many there are.
_SECONDS_TO_ANSWER: Final = 1.5


def ask(celery_app: Celery, connection: Connection) -> list[Consumer] | None:
    """Return the workers that answer, or None if they cannot be asked.

    They cannot if they are told not to listen, and over brokers that have no broadcast, such as SQS.

    :param connection: One that is open.
    """
    if not celery_app.conf.worker_enable_remote_control:
        return None
    if not connection.supports_exchange_type("fanout"):  # type: ignore[no-untyped-call]
        return None
    asked = celery_app.control.inspect(timeout=_SECONDS_TO_ANSWER, connection=connection)
    queues: Mapping[str, Sequence[Mapping[str, Any]]] = asked.active_queues() or {}
    if not queues:
        return []
    tasks: Mapping[str, Sequence[str]] = asked.registered() or {}
    return [
        Consumer(
            name=name,
            queues=frozenset(str(queue["name"]) for queue in queues[name]),
            # With the name come attributes: "name [rate_limit=10/m]".
            tasks=frozenset(task.partition(" ")[0] for task in tasks[name]),
        )
        for name in sorted(queues.keys() & tasks.keys())
    ]


def reason(error: BaseException) -> str:
    """Return what went wrong, by the types of an error and its causes: their texts may hold a password."""
    names = [type(error).__name__]
    found = error.__cause__ or error.__context__
    while found is not None:
        name = type(found).__name__
        # What was merely looked up before is none of the causes.
        if name not in names and not isinstance(found, LookupError):
            names.append(name)
        found = found.__cause__ or found.__context__
    return ", ".join(names)
