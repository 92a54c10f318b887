"""The apps that are measured, each made by a function, for gunicorn, uvicorn, Celery or ``flask``."""

from __future__ import annotations

import importlib
import json
import os
import queue
import sqlite3
import sys
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING, Any, TypedDict

from blinker import Namespace
from flask import Flask, Response, request

if TYPE_CHECKING:
    from celery import Celery
    from fastapi import FastAPI

if os.environ.get("BENCH_WITHOUT_FAST"):
    sys.modules["msgspec"] = None  # type: ignore[assignment] # as if the extra were not installed

PATH = "/okta/events"
SECRET = "correct horse"  # noqa: S105 - opens nothing


def receiver(sender: object, **extra: object) -> None:
    """Do nothing: the same receiver for everybody."""


def bare() -> Flask:
    """Make a view that answers 204, whatever it gets."""
    app = Flask(__name__)

    @app.post(PATH)
    def receive() -> Response:
        request.get_data()  # or the connection breaks
        return Response(status=204)

    return app


def plain() -> Flask:
    """Make what people write by hand: JSON and one signal per event; nothing is stored."""
    app = Flask(__name__)
    signal = Namespace().signal("event")
    signal.connect(receiver)

    @app.post(PATH)
    def receive() -> Response:
        for event in request.get_json()["data"]["events"]:
            signal.send(app, event=event)
        return Response(status=204)

    return app


def sdk() -> FastAPI:
    """Make a FastAPI app that reads events with Okta's own SDK; nothing is stored."""
    import fastapi
    from okta.models.log_event import LogEvent

    app = fastapi.FastAPI()

    async def receive(request: fastapi.Request) -> fastapi.Response:
        for raw in (await request.json())["data"]["events"]:
            receiver(app, event=LogEvent.from_dict(raw))
        return fastapi.Response(status_code=204)

    # As a call: FastAPI reads annotations, and these are strings that only this function understands.
    app.router.add_route(PATH, receive, methods=["POST"])
    return app


def ours() -> Flask:
    """Make an app with the hook, configured by the environment."""
    from okta_hooks import EventHook

    hook = EventHook("okta", url_prefix=PATH)
    if os.environ.get("BENCH_HANG"):
        for number in range(3):
            hook.on("*", name=f"hangs-{number}")(lambda *_, **__: threading.Event().wait())
    else:
        hook.on("*", name="no-op")(receiver)
    app = Flask(__name__)
    app.config.from_prefixed_env()
    app.register_blueprint(hook)
    return app


class _Event(TypedDict):
    uuid: str
    eventType: str
    published: str


class _Data(TypedDict):
    events: list[_Event]


class _Delivery(TypedDict):
    eventId: str
    data: _Data


_COLUMNS = "delivery_id, key, type, published, state"


def floor() -> Flask:
    """Make the least that is durable: a view, one thread that writes with raw sqlite3, group commit."""
    read: Any = json.loads
    with suppress(ImportError):
        read = importlib.import_module("msgspec").json.Decoder(_Delivery).decode
    app = Flask(__name__)
    path = os.environ["BENCH_STORE"].removeprefix("sqlite:///")
    waiting: queue.Queue[tuple[tuple[Any, ...], list[tuple[Any, ...]], Future[None]]] = (
        queue.Queue()
    )
    threading.Thread(target=_write, args=[path, waiting], daemon=True).start()

    @app.post(PATH)
    def receive() -> Response:
        body = request.get_data()
        document = read(body)
        rows = [
            (raw["uuid"], raw["eventType"], raw["published"]) for raw in document["data"]["events"]
        ]
        future: Future[None] = Future()
        waiting.put(((document["eventId"], body.decode(), time.time()), rows, future))
        future.result(2)
        return Response(status=204)

    return app


def _write(path: str, waiting: queue.Queue[Any]) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
        "CREATE TABLE delivery (id INTEGER PRIMARY KEY, event_id, body TEXT, received_at);"
        "CREATE TABLE event (id INTEGER PRIMARY KEY, delivery_id, key UNIQUE, type, published, state);"
        "CREATE INDEX pending ON event (id) WHERE state = 'pending';"
    )
    while True:
        batch = [waiting.get()]
        while not waiting.empty():
            batch.append(waiting.get())
        connection.execute("BEGIN IMMEDIATE")
        for delivery, rows, _ in batch:
            number = connection.execute(
                "INSERT INTO delivery (event_id, body, received_at) VALUES (?, ?, ?)", delivery
            ).lastrowid
            one = f"({number}, ?, ?, ?, 'pending')"
            values = ", ".join([one] * len(rows))
            connection.execute(
                f"INSERT INTO event ({_COLUMNS}) VALUES {values} ON CONFLICT DO NOTHING",  # noqa: S608 - our own names
                tuple(chain.from_iterable(rows)),
            )
        connection.execute("COMMIT")
        for *_, future in batch:
            future.set_result(None)


def engine() -> Flask:
    """Make ours with Celery as its engine."""
    import celery

    app = ours()
    queue = celery.Celery("engine", broker=os.environ["BENCH_BROKER"])
    queue.conf.update(task_ignore_result=True, broker_connection_retry_on_startup=True)
    app.extensions["celery"] = queue
    return app


def tasks() -> Celery:
    """Make a Celery app whose one task calls the receiver."""
    import celery

    app = celery.Celery("tasks", broker=os.environ["BENCH_BROKER"])
    app.conf.update(
        task_acks_late=True, task_ignore_result=True, broker_connection_retry_on_startup=True
    )

    @app.task(name="handle")  # type: ignore[untyped-decorator]
    def handle(event: dict[str, Any]) -> None:
        receiver(app, event=event)

    return app
