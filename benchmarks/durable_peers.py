"""What people would build for events that must not be lost, each as its documentation writes it, for gunicorn.

Flask-SQLAlchemy's Quick Start, "Background Tasks with Celery" of Flask's patterns, and Procrastinate's "Defer a job",
"Batch defer multiple jobs" and "Control the way synchronous calls to defer are handled"; all with the settings that
they come with, but for one without which SQLite refuses some deliveries.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, request
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import JSON

from .apps import PATH, receiver

if TYPE_CHECKING:
    from celery import Celery
    from procrastinate.tasks import Task


class Base(DeclarativeBase):
    """The base of the tables."""


db = SQLAlchemy(model_class=Base)
if TYPE_CHECKING:
    Model = Base
else:
    Model = db.Model


class Event(Model):
    """An event, found by its uuid."""

    id: Mapped[int] = mapped_column(primary_key=True)
    uuid: Mapped[str] = mapped_column(unique=True)
    type: Mapped[str]
    published: Mapped[str]
    payload: Mapped[dict[str, Any]] = mapped_column(JSON)


def flask_sqlalchemy() -> Flask:
    """Make a view that adds a row for each event to the session, and commits it."""
    app = Flask(__name__)
    url = os.environ["BENCH_STORE"].replace("postgresql:", "postgresql+psycopg:")
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    if url.startswith("sqlite:"):
        # After sqlite3's own 5 s some are answered with 500: the database is locked.
        app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"connect_args": {"timeout": 30}}
    db.init_app(app)
    with app.app_context():
        db.create_all()

    @app.post(PATH)
    def receive() -> Response:
        events = request.get_json()["data"]["events"]
        db.session.add_all(map(_row, events))
        try:
            db.session.commit()
        except IntegrityError:
            db.session.rollback()
            _add_missing(events)
        return Response(status=204)

    return app


def _row(raw: dict[str, Any]) -> Event:
    return Event(uuid=raw["uuid"], type=raw["eventType"], published=raw["published"], payload=raw)


def _add_missing(events: list[dict[str, Any]]) -> None:
    """Add what is not there yet, after one of them was."""
    known = db.select(Event.uuid).where(Event.uuid.in_([raw["uuid"] for raw in events]))
    there = set(db.session.scalars(known))
    db.session.add_all(_row(raw) for raw in events if raw["uuid"] not in there)
    db.session.commit()


def celery() -> Flask:
    """Make a view that gives each event to Celery by ``.delay``."""
    from celery import shared_task

    app = Flask(__name__)
    app.config["CELERY"] = {"broker_url": os.environ["BENCH_STORE"], "task_ignore_result": True}
    _celery_init_app(app)

    @shared_task(ignore_result=True)  # type: ignore[untyped-decorator]
    def handle(event: dict[str, Any]) -> None:
        receiver(app, event=event)

    @app.post(PATH)
    def receive() -> Response:
        for event in request.get_json()["data"]["events"]:
            handle.delay(event)
        return Response(status=204)

    return app


def _celery_init_app(app: Flask) -> Celery:
    from celery import Celery, Task

    class FlaskTask(Task):  # type: ignore[misc]
        def __call__(self, *args: object, **kwargs: object) -> object:
            with app.app_context():
                return self.run(*args, **kwargs)

    celery_app = Celery(app.name, task_cls=FlaskTask)
    celery_app.config_from_object(app.config["CELERY"])
    celery_app.set_default()
    app.extensions["celery"] = celery_app
    return celery_app


def procrastinate() -> Flask:
    """Make a view that defers a job for each event."""
    handle = _procrastinate_task()
    app = Flask(__name__)

    @app.post(PATH)
    def receive() -> Response:
        for event in request.get_json()["data"]["events"]:
            handle.defer(event=event)
        return Response(status=204)

    return app


def procrastinate_batch() -> Flask:
    """Make a view that defers the jobs of a delivery together."""
    handle = _procrastinate_task()
    app = Flask(__name__)

    @app.post(PATH)
    def receive() -> Response:
        handle.batch_defer(*({"event": event} for event in request.get_json()["data"]["events"]))
        return Response(status=204)

    return app


def _procrastinate_task() -> Task[..., Any, ...]:
    from procrastinate import App, SyncPsycopgConnector

    jobs = App(connector=SyncPsycopgConnector(conninfo=os.environ["BENCH_STORE"]))
    jobs.open()

    @jobs.task
    def handle(event: dict[str, Any]) -> None:
        receiver(jobs, event=event)

    return handle
