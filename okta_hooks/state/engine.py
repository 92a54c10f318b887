"""The engine that ``OKTA_HOOKS_WORKER`` names, where that is a task queue.

It lives above this package, and is found by its name, as an extension of Flask's is.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from okta_hooks.database_url import scheme
from okta_hooks.exceptions import ConfigurationError
from okta_hooks.settings import CELERY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flask import Flask

    from okta_hooks.receivers import Hook, Receiver
    from okta_hooks.settings import Settings
    from okta_hooks.work.relay import Broker

_MODULE: Final = "okta_hooks.celery"


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumer:
    """A worker of a task queue that has answered: its name, the queues that it takes from, and the tasks it knows."""

    name: str
    queues: frozenset[str]
    tasks: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How it is with the tasks of some receivers. Nothing in it is secret.

    :param tasks: The name of the task of each receiver.
    :param queues: The queue of each receiver whose task can be sent.
    :param unusable: Why the task of a receiver cannot be used.
    :param is_eager: Whether tasks are called where they are sent: then there is neither a broker nor a worker.
    :param broker: What kind of broker it is.
    :param away: Why the broker could not be reached, or None if it answered.
    :param consumers: The workers that have answered, or None if they cannot be asked.
    """

    tasks: Mapping[str, str]
    queues: Mapping[str, str]
    unusable: Mapping[str, str]
    is_eager: bool = False
    broker: str = ""
    away: str | None = None
    consumers: Sequence[Consumer] | None = ()


class Engine(Protocol):
    """What the module of an engine offers."""

    def add_hook(self, app: Flask, hook: Hook) -> None:
        """Make a task for each receiver of a hook, now and later."""

    def broker(self, app: Flask) -> Broker:
        """Return what a relay of this process sends tickets to.

        :raises RuntimeError: if the app has no task queue.
        """

    def examine(self, app: Flask, hook: str, receivers: Sequence[Receiver]) -> Report | None:
        """Return how it is with the tasks of a hook's receivers, or None if the app has no task queue.

        This takes no longer than some seconds, whatever the broker does.
        """


def check(app: Flask, settings: Settings) -> None:
    """Look at whether the engine that is configured can be used here.

    :raises ConfigurationError: if not.
    """
    if settings.worker != CELERY:
        return
    if settings.inbox is None:
        raise ConfigurationError(
            'OKTA_HOOKS_WORKER is "celery", and there is no inbox: OKTA_HOOKS_INBOX is None. '
            "Celery gets ids only, and the events themselves are in the inbox."
        )
    if scheme(settings.inbox) == "sqlite" and not app.testing:
        raise ConfigurationError(
            'OKTA_HOOKS_WORKER is "celery", and OKTA_HOOKS_INBOX is an SQLite file, which only one process at a time '
            "runs receivers on, and no other machine. Set OKTA_HOOKS_INBOX to the URL of a PostgreSQL database, "
            'or OKTA_HOOKS_WORKER to "thread".'
        )
    load(settings)


def load(settings: Settings) -> Engine | None:
    """Return the engine that is configured, or None if receivers are run without a task queue.

    :raises ConfigurationError: if its library is not installed.
    """
    if settings.worker != CELERY:
        return None
    try:
        engine: Engine = importlib.import_module(_MODULE)
    except ImportError as error:
        raise ConfigurationError(
            'OKTA_HOOKS_WORKER is "celery", and Celery is not installed: '
            f"pip install 'okta-hooks[celery]' ({error})."
        ) from error
    return engine
