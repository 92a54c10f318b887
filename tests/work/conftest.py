from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from okta_hooks import EventHook, signals
from okta_hooks.work.worker import Worker
from tests.support import PATIENCE

from .support import System

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask import Flask

    from okta_hooks.inbox import Inbox
    from okta_hooks.inbox.intake import NewDelivery

    AppFactory = Callable[..., Flask]
    DeliveryFactory = Callable[..., NewDelivery]
    InboxFactory = Callable[..., Inbox]
    WorkerFactory = Callable[..., Worker]


@pytest.fixture
def app(make_app: AppFactory, okta: EventHook) -> Flask:
    """Return an app with a hook; its inbox is the tests' own."""
    return make_app(okta)


@pytest.fixture
def make_worker(app: Flask, okta: EventHook, open_inbox: InboxFactory) -> Iterator[WorkerFactory]:
    """Return a function that makes a worker as a process of its own would, with its own connections."""
    made = []

    def make(inbox: Inbox | None = None, **options: Any) -> Worker:
        options.setdefault("max_attempts", 20)
        options.setdefault("retention", timedelta(days=30))
        made.append(Worker(app, {"okta": okta}, inbox or open_inbox(), **options))
        return made[-1]

    yield make
    for worker in made:
        assert worker.stop(PATIENCE)


@pytest.fixture
def system(
    okta: EventHook, inbox: Inbox, delivery: DeliveryFactory, make_worker: WorkerFactory
) -> System:
    """Return a hook and an inbox with nothing in it, and what makes workers and deliveries."""
    return System(okta=okta, inbox=inbox, delivery=delivery, make_worker=make_worker)


@pytest.fixture
def finished() -> Iterator[threading.Semaphore]:
    """Return a semaphore that is released for each event that is done or dead."""
    semaphore = threading.Semaphore(0)

    def release(sender: Flask, **extra: Any) -> None:
        semaphore.release()

    with signals.event_done.connected_to(release), signals.event_dead.connected_to(release):
        yield semaphore
