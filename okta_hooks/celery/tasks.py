"""The tasks of receivers: made when a Celery app is final, and for receivers that are connected later."""

from __future__ import annotations

import os
import threading
import weakref
from typing import TYPE_CHECKING, Any, Final

from celery import Celery, signals

from okta_hooks.exceptions import ConfigurationError
from okta_hooks.inbox.tickets import Ticket
from okta_hooks.state import state_of
from okta_hooks.work import interruption

if TYPE_CHECKING:
    from collections.abc import Callable

    from celery import Task
    from flask import Flask

    from okta_hooks.receivers import Hook, Receiver

_EXTENSION: Final = "celery"
_CONNECTED: Final = "okta_hooks.celery"
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
#: The apps that have Celery as their engine.
apps: Final[weakref.WeakSet[Flask]] = weakref.WeakSet()
#: The app whose receiver a task runs, by the Celery app and the name of the task.
_owners: Final[weakref.WeakKeyDictionary[Celery, dict[str, weakref.ref[Flask]]]] = (
    weakref.WeakKeyDictionary()
)
#: The processes, this one and those that it was forked off from, in which handlers of signals are guarded.
_guarded: Final[set[int]] = set()


def connect(app: Flask, celery_app: Celery) -> None:
    """Have the receivers of an app run by a Celery app, if that is not ``app.extensions["celery"]``.

    :raises RuntimeError: if the app has another one already, or a task cannot be made because its name is taken.
    """
    known = app.extensions.setdefault(_CONNECTED, celery_app)
    if known is not celery_app:
        raise ConfigurationError("This app is connected to another Celery app already.")
    apps.add(app)
    _make_tasks_when_final(app, celery_app)


def task_name(hook: str, receiver: str) -> str:
    """Return the name of the task that runs a receiver."""
    return f"okta_hooks.{hook}.{receiver}"


def celery_of(app: Flask) -> Celery | None:
    """Return the Celery app that runs the receivers of an app, or None if none is set up (yet)."""
    found = app.extensions.get(_CONNECTED) or app.extensions.get(_EXTENSION)
    return found if isinstance(found, Celery) else None


def required(app: Flask) -> Celery:
    """Return the Celery app that runs the receivers of an app.

    :raises RuntimeError: if none is set up.
    """
    celery_app = celery_of(app)
    if celery_app is None:
        raise ConfigurationError(
            'OKTA_HOOKS_WORKER is "celery", and this app has no Celery app: set app.extensions["celery"], '
            "as Flask's documentation does, or call okta_hooks.celery.connect(app, celery_app)."
        )
    return celery_app


def add_hook(app: Flask, hook: Hook) -> None:
    """Make a task for each receiver of a hook, now and later."""
    apps.add(app)
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
    """Make the tasks of an app's receivers. The Celery app is final.

    :raises RuntimeError: as :func:`make_task`, when all the others have been made.
    """
    state = app.extensions.get("okta_hooks")
    refused: list[ConfigurationError] = []
    for hook in {} if state is None else list(state.hooks.values()):
        for receiver in hook.receivers.connected(app):
            try:
                make_task(app, celery_app, hook.name, receiver)
            except ConfigurationError as error:
                refused.append(error)
    if refused:
        raise refused[0]


def make_task(app: Flask, celery_app: Celery, hook: str, receiver: Receiver) -> Task[..., Any]:
    """Return the task of a receiver, made now if need be. The Celery app is final.

    :raises RuntimeError: if another task has its name, or it is that of another app's receiver.
    """
    receiver_name = receiver.name
    name = task_name(hook, receiver_name)
    if is_taken(celery_app, name):
        raise ConfigurationError(
            f"The Celery app has a task of its own named {name}, which is the name of the task that runs the receiver "
            f"{receiver_name} of the hook {hook!r}. Give one of them another name: "
            '@celery_app.task(name="..."), or @okta.on(..., name="...").'
        )
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

    base = type("ReceiverTask", (_WithoutContext, celery_app.Task), {})
    made: Task[..., Any] = celery_app.task(run_receiver, name=name, base=base, **_OPTIONS)
    return made


class _WithoutContext:
    """Leaves out what the host's class of tasks does around a call: pushing an app context, in Flask's documentation.

    A receiver has one of its own, and the host's functions for its end are told what the receiver has raised. Another
    around that would end as well, without an error.
    """

    run: Callable[..., Any]

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Run the task."""
        return self.run(*arguments, **named)


def is_taken(celery_app: Celery, name: str) -> bool:
    """Return whether a task has this name that runs no receiver."""
    known = celery_app.tasks.get(name)
    return known is not None and not getattr(known, "runs_receiver", False)


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


def _make_tasks_of(sender: Celery, **_: Any) -> None:
    """Make the tasks of apps whose Celery app was set up after their hooks."""
    for app in list(apps):
        if celery_of(app) is sender:
            _make_tasks_when_final(app, sender)


signals.import_modules.connect(_make_tasks_of)
