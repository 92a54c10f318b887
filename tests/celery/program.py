"""The app that the tests' Celery workers run, and web processes: its receivers write down what they do.

What the receiver ``acts`` does is said by the uuid of its event: ``sleep_2_a`` lets it sleep for two seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from celery import Celery, Task
from celery.exceptions import SoftTimeLimitExceeded
from flask import Flask, current_app, g

from okta_hooks import EventHook
from okta_hooks.work import lease

if TYPE_CHECKING:
    from okta_hooks import LogEvent

FOLDER = Path(os.environ["FOLDER"])
#: A lease that runs out within a test, where the test asks for it.
SHORT = os.environ.get("SHORT_LEASES")
if SHORT:
    changed: Any = lease
    changed.LEASE_SECONDS = 3.0
    changed.HEARTBEAT_SECONDS = 0.3
    changed._SECONDS_TO_WATCH = 1.2  # noqa: SLF001 - no setting of the app's

okta = EventHook("okta")
other = EventHook("other")


def note(kind: str, *words: object) -> None:
    """Write a line down."""
    with (FOLDER / kind).open("a", encoding="utf-8") as file:
        file.write(" ".join(map(str, (*words, os.getpid()))) + "\n")


class FlaskTask(Task):  # type: ignore[misc] # Celery has no types
    """As Flask's documentation has it."""

    def __call__(self, *args: object, **kwargs: object) -> object:
        """Run the task in a context of the app."""
        with app.app_context():
            g.mark = "task"
            try:
                return self.run(*args, **kwargs)
            finally:
                assert g.mark == "task"


def act(sender: Flask, event: LogEvent, attempt: int, **extra: object) -> None:
    """Do what the uuid says."""
    what, *rest = str(event.uuid).split("_")
    assert current_app._get_current_object() is sender  # type: ignore[attr-defined] # noqa: SLF001 - Flask's documented way
    note("began", event.uuid, attempt, hasattr(g, "mark"))
    g.mark = "receiver"
    if what == "sleep":
        time.sleep(float(rest[0]))
    elif what == "hold":
        while not (FOLDER / f"let-go-{event.uuid}").exists():
            time.sleep(0.02)
    elif what == "stubborn":
        with contextlib.suppress(SoftTimeLimitExceeded):
            time.sleep(30)
        time.sleep(30)
    elif what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif what == "fail":
        raise ValueError(rest)
    note("ran", event.uuid, attempt)


if "BEFORE_DEPLOY" not in os.environ:
    okta.on("user.*", name="acts")(act)


@okta.on("user.*", name="slow", queue="slow")
def slow(sender: Flask, event: LogEvent, **extra: object) -> None:
    """Be in a queue of its own."""
    note("slow", event.uuid)


@other.on("group.*", name="waits")
async def wait(sender: Flask, event: LogEvent, **extra: object) -> None:
    """Be asynchronous."""
    await asyncio.sleep(0)
    note("waited", event.uuid)


@other.on("group.*", name="routed")
def routed(sender: Flask, event: LogEvent, **extra: object) -> None:
    """Be routed by the host."""
    note("routed", event.uuid)


@other.on("user.*", name="timed", timeout=60)
def timed(sender: Flask, event: LogEvent, attempt: int, **extra: object) -> None:
    """Have a timeout, longer than a time limit of Celery's."""
    act(sender, event, attempt)


app = Flask("host")
app.config.from_prefixed_env("FLASK")
app.config.update(
    OKTA_HOOKS_SECRET="correct horse",
    OKTA_HOOKS_INBOX=os.environ["INBOX"],
    OKTA_HOOKS_WORKER="celery",
    OKTA_HOOKS_RELAY_RESEND=float(os.environ.get("RESEND", "5")),
)


@app.teardown_appcontext
def torn_down(error: BaseException | None) -> None:
    """Write down the end of a context."""
    if "mark" in g:
        note("torn", g.mark)


@app.get("/quick")
def quick() -> str:
    """Show that requests are answered."""
    return "ok"


# Before there is a Celery app, and after: either order is right.
app.register_blueprint(okta)
celery_app = Celery("host", task_cls=FlaskTask)
celery_app.conf.update(
    broker_url=os.environ["BROKER"],
    broker_connection_retry_on_startup=True,
    task_ignore_result=True,
    task_routes={"okta_hooks.other.routed": {"queue": "elsewhere"}},
    task_annotations=json.loads(os.environ.get("ANNOTATIONS", "{}")),
    worker_hijack_root_logger=False,
    worker_prefetch_multiplier=1,
)
app.extensions["celery"] = celery_app
app.register_blueprint(other, url_prefix="/other")
