"""The Celery app that runs our receivers, which Celery's option wants as a module's attribute."""

from __future__ import annotations

from .apps import engine

#: It has to be kept: the tasks do not.
host = engine()
app = host.extensions["celery"]
