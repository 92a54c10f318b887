"""Celery as the engine that runs receivers: ``OKTA_HOOKS_WORKER = "celery"``. It needs the extra ``celery``.

Each receiver is a task named ``okta_hooks.<hook>.<receiver>``, so that routes, annotations, time limits and monitors of
Celery's work for receivers. What Celery carries are tickets; retries, waits and dead letters are the inbox's.
Nothing here decides when a receiver runs, or knows a statement of SQL.
"""

from . import stopping  # noqa: F401 - it connects handlers of Celery's signals
from .celery_broker import CeleryBroker, broker
from .examination import examine
from .tasks import add_hook, celery_of, connect, task_name

__all__ = ["CeleryBroker", "add_hook", "broker", "celery_of", "connect", "examine", "task_name"]
