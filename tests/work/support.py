"""Receivers to be called, and ways to call them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flask import Flask

from okta_hooks import Delivery, EventHook, LogEvent
from okta_hooks.inbox.claims import Inbox, NewDelivery
from okta_hooks.receivers import Receiver
from okta_hooks.work import dispatch
from okta_hooks.work.worker import Worker
from tests.support import PATIENCE

APP = Flask("host")
EVENT = LogEvent(event_type="user.session.start", uuid="u-1", display_message="hush")
DELIVERY = Delivery(event_id="d-1", source=None, via="hook", received_at=datetime.now(UTC))


class Heard:
    """A receiver that remembers the uuids it was called with, and which attempt each was."""

    def __init__(self, *errors: BaseException) -> None:
        self.uuids: list[str] = []
        self.attempts: list[int] = []
        self._errors = list(errors)

    def __call__(self, _: Flask, *, event: Any, attempt: int, **__: Any) -> None:
        """Remember a call, and fail as long as there are errors left."""
        self.uuids.append(event.uuid)
        self.attempts.append(attempt)
        if self._errors:
            raise self._errors.pop(0)


class Held:
    """A receiver that runs until it is told to end."""

    def __init__(self) -> None:
        self.has_begun = threading.Semaphore(0)
        self.may_end = threading.Event()
        self.at_once = 0
        self.most_at_once = 0
        self._lock = threading.Lock()

    def __call__(self, _: Flask, **__: Any) -> None:
        """Wait."""
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        self.has_begun.release()
        assert self.may_end.wait(PATIENCE)
        with self._lock:
            self.at_once -= 1


def await_(semaphore: threading.Semaphore, times: int = 1) -> None:
    for _ in range(times):
        assert semaphore.acquire(timeout=PATIENCE)


def run(call: Callable[..., Any], *, app: Flask = APP, attempt: int = 1) -> BaseException | None:
    """Run one receiver for one event."""
    return dispatch.run(
        app,
        Receiver("mine", call, 1),
        hook=None,
        event=EVENT,
        delivery=DELIVERY,
        attempt=attempt,
    )


def deliver(hook: EventHook, *given: Any, app: Flask = APP) -> list[BaseException]:
    """Run the receivers of a delivery of events or event types."""
    made = tuple({"eventType": raw} if isinstance(raw, str) else raw for raw in given)
    return dispatch.run_delivery(app, hook, DELIVERY, made)


@dataclass(frozen=True, kw_only=True)
class System:
    """What a test of workers needs: a hook, an inbox, and ways to fill it and to work on it."""

    okta: EventHook
    inbox: Inbox
    delivery: Callable[..., NewDelivery]
    make_worker: Callable[..., Worker]

    def on(self, *patterns: str, **options: Any) -> Callable[[Any], Any]:
        """Connect a receiver to the hook."""
        return self.okta.on(*patterns, **options)

    def store(self, *events: Any, **options: Any) -> None:
        """Store a delivery; the arguments are those of ``delivery``."""
        self.inbox.store([self.delivery(*events, **options)])

    def drain(self) -> int:
        """Let a new worker do all that is due; return how many attempts that took."""
        return self.make_worker().drain()
