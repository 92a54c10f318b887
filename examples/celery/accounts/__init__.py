"""Accounts that are closed when Okta says so, by receivers that run on Celery.

The folder above is no package: ``import celery`` must find the library.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from celery import Celery, Task
from flask import Flask

from okta_hooks.operations import Operations

from .receivers import okta

if TYPE_CHECKING:
    from collections.abc import Mapping


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Make the app.

    :param config: What a test configures; without it, the environment does.
    """
    app = Flask(__name__)
    app.config.from_mapping(
        OKTA_HOOKS_WORKER="celery",
        CELERY={
            "broker_url": "redis://127.0.0.1:6379/0",
            "task_ignore_result": True,
            # What a worker holds while it is busy, another might begin.
            "worker_prefetch_multiplier": 1,
            "task_annotations": {
                "okta_hooks.okta.export-data": {"soft_time_limit": 600, "time_limit": 660}
            },
        },
        EXPORT_SECONDS=0.0,
    )
    if config is None:
        logging.basicConfig(level=logging.INFO)
        app.config.from_prefixed_env()
    else:
        app.config.from_mapping(config)
    celery_init_app(app)
    app.register_blueprint(okta)
    app.register_blueprint(Operations())
    return app


def celery_init_app(app: Flask) -> Celery:
    """Make the app's Celery app, as Flask's documentation does."""

    class FlaskTask(Task):  # type: ignore[misc]  # Celery has no types
        """A task in the app's context."""

        def __call__(self, *args: object, **kwargs: object) -> object:
            with app.app_context():
                return self.run(*args, **kwargs)

    celery_app = Celery(app.name, task_cls=FlaskTask)
    celery_app.config_from_object(app.config["CELERY"])
    celery_app.set_default()
    app.extensions["celery"] = celery_app
    return celery_app
