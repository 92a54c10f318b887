"""Celery as the engine that runs receivers: ``OKTA_HOOKS_WORKER = "celery"``. It needs the extra ``celery``."""

from .tasks import CeleryBroker, add_hook, broker, celery_of, connect, examine, task_name

__all__ = ["CeleryBroker", "add_hook", "broker", "celery_of", "connect", "examine", "task_name"]
