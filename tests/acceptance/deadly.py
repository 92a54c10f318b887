"""The app ``stored`` with a third receiver, which kills its process, and a page that answers nothing.

Workers whose lease has run out are watched for two seconds only.
``FLASK_GRACE`` is how long a process that ends waits for its receivers, in seconds.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from okta_hooks.state import runtime
from okta_hooks.work import lease
from tests.acceptance.stored import app, okta

if TYPE_CHECKING:
    from flask import Flask

    from okta_hooks import LogEvent

__all__ = ["app"]

changed: Any = lease
changed._SECONDS_TO_WATCH = 2.0  # noqa: SLF001 - no setting of the app's
if "GRACE" in app.config:
    changed = runtime
    changed._SECONDS_TO_STOP = float(app.config["GRACE"])  # noqa: SLF001 - no setting of the app's


@okta.on("user.*", name="killer")
def kill(sender: Flask, event: LogEvent, **extra: object) -> None:
    """Kill the process, for events that are called so; if another receiver is slow, in the middle of that."""
    if event.uuid is None or not event.uuid.startswith("kill"):
        return
    give_up_at = time.monotonic() + 2
    while time.monotonic() < give_up_at and not _is_slow():
        time.sleep(0.01)
    with Path(f"{app.config['RUNS']}-killed").open("a", encoding="utf-8") as file:
        file.write(f"{os.getpid()}\n")
    os.kill(os.getpid(), signal.SIGKILL)


def _is_slow() -> bool:
    runs = Path(app.config["RUNS"])
    lines = runs.read_text(encoding="utf-8").splitlines() if runs.exists() else []
    return any(
        line.startswith("begin crm slow") and line.split()[4] == str(os.getpid()) for line in lines
    )


@app.get("/hang")
def hang() -> str:
    """Take longer than any server waits."""
    time.sleep(60)
    return ""
