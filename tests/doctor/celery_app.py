"""An app with Celery as its engine, for the tests and for a worker of Celery's that they start."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from celery import Celery
from flask import Flask

from okta_hooks import EventHook

from .support import SECRET

if TYPE_CHECKING:
    from collections.abc import Mapping

NOBODY = "postgresql://okta:s3cret@127.0.0.1:1/none"


def make_hook(report: str | None = "slow") -> EventHook:
    """Return a hook with a receiver in Celery's own queue, and one in another.

    :param report: Which queue that is.
    """
    okta = EventHook("okta")

    @okta.on("user.lifecycle.*", name="crm")
    def crm(sender: Flask, **extra: Any) -> None:
        pass

    @okta.on("user.lifecycle.*", name="report", queue=report)
    def make_report(sender: Flask, **extra: Any) -> None:
        pass

    return okta


def make_app(broker: str | None, hook: EventHook, inbox: str = NOBODY, **config: Any) -> Flask:
    """Return an app with this broker for its Celery app, or without one; keywords are Celery's configuration."""
    app = Flask("host")
    app.config.update(OKTA_HOOKS_SECRET=SECRET, OKTA_HOOKS_INBOX=inbox, OKTA_HOOKS_WORKER="celery")
    app.register_blueprint(hook)
    if broker is not None:
        celery_app = Celery("host", broker=broker, set_as_current=False)
        celery_app.conf.update(config)
        celery_app.flask_app = app  # as the task class of Flask's documentation does, it keeps it
        app.extensions["celery"] = celery_app
    return app


def of_environment(environment: Mapping[str, str] = os.environ) -> Celery:
    """Return the Celery app that the tests' worker serves."""
    found = make_app(environment["TESTS_BROKER"], make_hook()).extensions["celery"]
    assert isinstance(found, Celery)
    return found
