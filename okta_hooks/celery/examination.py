"""What ``doctor`` is told of the tasks of receivers, the broker, and Celery's workers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from okta_hooks.in_time import InTime
from okta_hooks.state.engine import Report

from . import workers
from .celery_broker import CeleryBroker
from .tasks import celery_of, is_taken, task_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flask import Flask

    from okta_hooks.receivers import Receiver

#: Within it the broker is connected to and its workers have answered, if they do.
_SECONDS_TO_EXAMINE: Final = 10.0


def examine(app: Flask, hook: str, receivers: Sequence[Receiver]) -> Report | None:
    """Return how it is with the tasks of a hook's receivers: see :class:`.Engine`."""
    celery_app = celery_of(app)
    if celery_app is None:
        return None
    asked = CeleryBroker(app, celery_app)
    queues, unusable = {}, {}
    for receiver in receivers:
        if is_taken(celery_app, task_name(hook, receiver.name)):
            unusable[receiver.name] = "another task of the app has its name"
            continue
        try:
            queues[receiver.name] = asked.queue_of(hook, receiver)
        except Exception as error:  # noqa: BLE001 - routes are the host's code
            unusable[receiver.name] = workers.reason(error)
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
