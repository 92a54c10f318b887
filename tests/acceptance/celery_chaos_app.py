"""The app ``stored`` with Celery as its engine: two queues, and every message that is sent is written down.

``FLASK_BROKER`` is the URL of the broker.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from celery import Celery, Task, signals

from tests.acceptance.stored import app

__all__ = ["app", "celery_app"]


class FlaskTask(Task):  # type: ignore[misc] # Celery has no types
    """Runs in the app's context, as in Flask's documentation."""

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Run the task."""
        with app.app_context():
            return self.run(*arguments, **named)


celery_app = Celery(app.name, task_cls=FlaskTask, broker=app.config["BROKER"])
celery_app.conf.update(
    task_ignore_result=True,
    task_routes={"okta_hooks.okta.crm": {"queue": "slow"}},
    broker_connection_retry_on_startup=True,
    # The broker comes back whenever it does, and a worker that had given up by then would be missed.
    broker_connection_max_retries=None,
)
app.extensions["celery"] = celery_app


@signals.before_task_publish.connect  # type: ignore[untyped-decorator]
def note_message(sender: str, body: Any, **_: Any) -> None:
    """Append a line for a message, before it is sent."""
    (event_id,) = body[0]
    file = os.open(
        Path(f"{app.config['RUNS']}-messages"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600
    )
    try:
        os.write(file, f"{sender.rpartition('.')[2]} {event_id} {os.getpid()}\n".encode())
    finally:
        os.close(file)


@signals.worker_ready.connect  # type: ignore[untyped-decorator]
def say_that_it_is_ready(**_: Any) -> None:
    """Say it as the other processes do."""
    print(f"The Celery worker :{os.getpid()}: is ready.", file=sys.stderr, flush=True)
