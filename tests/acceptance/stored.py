"""The app that the tests of the inbox serve: two receivers, which write down every run of theirs.

Of events that are not about users, only the first gets to know.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from flask import Flask

from okta_hooks import EventHook, LogEvent

if TYPE_CHECKING:
    from collections.abc import Iterator

okta = EventHook("okta")
app = Flask(__name__)
app.config.from_prefixed_env()
app.register_blueprint(okta)


@okta.on("*", name="audit")
def audit(sender: Flask, event: LogEvent, attempt: int, **extra: object) -> None:
    """Be quick."""
    with _noted("audit", event, attempt):
        pass


@okta.on("user.*", name="crm")
def crm(sender: Flask, event: LogEvent, attempt: int, **extra: object) -> None:
    """Take as many seconds as the event says."""
    with _noted("crm", event, attempt):
        threading.Event().wait(float(event.display_message or 0))


@contextmanager
def _noted(receiver: str, event: LogEvent, attempt: int) -> Iterator[None]:
    _note("begin", receiver, event, attempt)
    yield
    _note("end", receiver, event, attempt)


def _note(what: str, receiver: str, event: LogEvent, attempt: int) -> None:
    """Append a line, whole or not at all, whatever other processes append meanwhile."""
    line = f"{what} {receiver} {event.uuid} {attempt} {os.getpid()} {time.monotonic_ns()}\n"
    file = os.open(app.config["RUNS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)
