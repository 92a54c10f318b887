"""What the inbox is told when processes of Celery's are stopped, and when they end."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from celery import signals

from okta_hooks.exceptions import ConfigurationError, InboxUnavailable
from okta_hooks.state import state_of
from okta_hooks.threads import start_thread
from okta_hooks.work.member import beginning_of_id

from .tasks import apps

if TYPE_CHECKING:
    from flask import Flask


def _mark_stopping(**_: Any) -> None:
    """Mark in each inbox that the processes of this Celery worker are being stopped.

    What they do not finish in the time that they are given was cut off then, and counts no death.
    """
    from billiard import active_children

    pids = [os.getpid(), *(child.pid for child in active_children())]
    beginnings = [beginning_of_id(pid) for pid in pids]

    def mark() -> None:
        for app in _used():
            # Not even one that has no inbox keeps the others from it.
            with suppress(InboxUnavailable, ConfigurationError):
                state_of(app).runtime().inbox.workers.mark_processes_stopping(beginnings)

    # Celery sends this in a handler of an operating system's signal, which may have interrupted anything.
    start_thread(mark, name="okta-hooks-stopping")


def _leave(**_: Any) -> None:
    """Leave the inboxes' lists of workers, at the end of a process of Celery's."""
    for app in _used():
        state_of(app).close()


def _used() -> list[Flask]:
    return [app for app in list(apps) if app.extensions.get("okta_hooks") is not None]


signals.worker_shutting_down.connect(_mark_stopping)
signals.worker_process_shutdown.connect(_leave)
signals.worker_shutdown.connect(_leave)
