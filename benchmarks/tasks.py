"""The Celery app, which Celery's option wants as a module's attribute."""

from __future__ import annotations

from .apps import tasks

app = tasks()
