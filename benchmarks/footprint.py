"""What an app pays for having the hook before anything comes: time to start, memory."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING, Final

from .apps import PATH, SECRET
from .figures import turns
from .servers import ROOT, okta_hooks

if TYPE_CHECKING:
    from pathlib import Path

    from .figures import Figures

IMPORT: Final = "milliseconds to import"
START: Final = "milliseconds from the start of the process until the app's module is imported"
ANSWER: Final = "milliseconds from the start of the process until the first request is answered"
FIRST: Final = "milliseconds of the first answer, in a process that its server has started"
MEMORY: Final = "MB of memory of an app that has had a delivery, its receiver run"
FLASK: Final = "flask"
OURS: Final = "okta_hooks on top of flask"
_IMPORTED: Final = {
    FLASK: "import time; t = time.perf_counter(); import flask",
    OURS: "import time, flask; t = time.perf_counter(); from okta_hooks import EventHook",
}
# Of their own, and not those of apps.py: that imports what the hook would have to.
_APPS: Final = {
    "without the hook": f"""
from flask import Flask, Response
app = Flask("app")
@app.post({PATH!r})
def receive():
    return Response(status=204)
def await_receiver():
    pass
def start(app):
    pass
""",
    "with the hook": f"""
import threading
from flask import Flask
from okta_hooks import EventHook, start
hook = EventHook("okta", url_prefix={PATH!r})
ran = threading.Event()
@hook.on("*")
def receiver(sender, event, **extra):
    ran.set()
app = Flask("app")
app.config.from_prefixed_env()
app.register_blueprint(hook)
def await_receiver():
    assert ran.wait(30)
""",
}
#: The clock is the machine's: the process that starts this one has looked at it before.
_TIMED: Final = """
import sys, time
if sys.argv[1:] == ["started"]:
    start(app)
app.test_client().get("/")  # what the client itself imports
imported = time.monotonic()
body = '{"data": {"events": [{"uuid": "%d", "eventType": "user.session.start"}]}}' % time.time_ns()
headers = [("Authorization", SECRET)]
answer = app.test_client().post(PATH, data=body, headers=headers)
answered = time.monotonic()
assert answer.status_code == 204
await_receiver()
with open("/proc/self/status") as status:
    memory = int(status.read().partition("VmRSS:")[2].split()[0]) / 1024
print(imported, answered, memory)
"""


def measure(figures: Figures, folder: Path, *, rounds: int) -> None:
    """Start fresh processes, in turn in each round."""
    for name in turns(list(_IMPORTED), rounds):
        figures.measure(IMPORT, [name], _import, _IMPORTED[name])
    environment = okta_hooks(f"sqlite:///{folder / 'footprint.sqlite3'}", "thread")
    for name in turns(list(_APPS), rounds):
        try:
            started, answered, memory = _start(_APPS[name], environment)
        except Exception as error:  # noqa: BLE001 - whatever it is, the others go on
            figures.fail(START, name, error)
        else:
            figures.add(START, name, started)
            figures.add(ANSWER, name, answered)
            figures.add(MEMORY, name, memory)
            started, answered, _ = _start(_APPS[name], environment, "started")
            figures.add(FIRST, name, answered - started)


def _import(code: str) -> list[float]:
    (seconds,) = _run(f"{code}\nprint(time.perf_counter() - t)", {})
    return [seconds * 1000]


def _start(code: str, environment: dict[str, str], *words: str) -> list[float]:
    """Return milliseconds until the app is there and until it has answered, and MB."""
    names = f"PATH, SECRET = {PATH!r}, {SECRET!r}\n"
    began = time.monotonic()
    imported, answered, memory = _run(code + names + _TIMED, environment, *words)
    return [(imported - began) * 1000, (answered - began) * 1000, memory]


def _run(code: str, environment: dict[str, str], *words: str) -> list[float]:
    ran = subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=ROOT,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    return [float(word) for word in ran.stdout.split()]
