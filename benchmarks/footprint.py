"""What an app pays for having the hook before anything comes: time to start, memory."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
import uuid
from functools import partial
from typing import TYPE_CHECKING, Final

from .apps import PATH, SECRET
from .figures import turns
from .servers import ROOT, okta_hooks, port_of, running

if TYPE_CHECKING:
    from pathlib import Path

    from .figures import Figures

IMPORT: Final = "milliseconds to import"
START: Final = "milliseconds from the start of the process until the app's module is imported"
ANSWER: Final = "milliseconds from the start of the process until the first request is answered"
FIRST: Final = (
    "milliseconds of the first answer of a gunicorn whose process was started by okta_hooks.start"
)
SECOND: Final = "milliseconds of its second answer"
MEMORY: Final = "MB of memory of an app that has had a delivery, its receiver run"
FLASK: Final = "flask"
OURS: Final = "okta_hooks on top of flask"
WITHOUT: Final = "without the hook"
WITH: Final = "with the hook"
#: After its start: nobody asks a server anything at that very moment.
_SECONDS_TO_SETTLE: Final = 0.5
_IMPORTED: Final = {
    FLASK: "import time; t = time.perf_counter(); import flask",
    OURS: "import time, flask; t = time.perf_counter(); from okta_hooks import EventHook",
}
# Of their own, and not those of apps.py: that imports what the hook would have to.
_APPS: Final = {
    WITHOUT: f"""
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
    WITH: f"""
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
import time
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


#: Says when the process has been started, which is after its port is open.
_GUNICORN: Final = """
bind, workers, threads, timeout = "127.0.0.1:0", 1, 4, 0
def post_worker_init(worker):
    import app
    app.start(app.app)
    print("The process has been started.", flush=True)
"""


def measure(figures: Figures, folder: Path, *, rounds: int) -> None:
    """Start fresh processes, in turn in each round."""
    for name in turns(list(_IMPORTED), rounds):
        figures.measure(IMPORT, [name], _import, _IMPORTED[name])
    environment = okta_hooks(f"sqlite:///{folder / 'footprint.sqlite3'}", "thread")
    for name in turns(list(_APPS), rounds):
        for items, measured in (
            ((START, ANSWER, MEMORY), partial(_start, _APPS[name], environment)),
            ((FIRST, SECOND), partial(_serve, _APPS[name], environment, folder)),
        ):
            try:
                values = measured()
            except Exception as error:  # noqa: BLE001 - whatever it is, the others go on
                figures.fail(items[0], name, error)
            else:
                for item, value in zip(items, values, strict=True):
                    figures.add(item, name, value)


def _import(code: str) -> list[float]:
    (seconds,) = _run(f"{code}\nprint(time.perf_counter() - t)", {})
    return [seconds * 1000]


def _start(code: str, environment: dict[str, str]) -> list[float]:
    """Return milliseconds until the app is there and until it has answered, and MB."""
    names = f"PATH, SECRET = {PATH!r}, {SECRET!r}\n"
    began = time.monotonic()
    imported, answered, memory = _run(code + names + _TIMED, environment)
    return [(imported - began) * 1000, (answered - began) * 1000, memory]


def _serve(code: str, environment: dict[str, str], folder: Path) -> list[float]:
    """Return how many milliseconds the first two answers of a server took."""
    (folder / "app.py").write_text(code, encoding="utf-8")
    (folder / "gunicorn.conf.py").write_text(_GUNICORN, encoding="utf-8")
    command = ["gunicorn", f"--config={folder / 'gunicorn.conf.py'}", f"--pythonpath={folder}"]
    with running([*command, "app:app"], environment, folder) as server:
        server.await_output("has been started")
        port = port_of(server)
        time.sleep(_SECONDS_TO_SETTLE)
        return [_answer(port), _answer(port)]


def _answer(port: int) -> float:
    """Return how many milliseconds it takes to deliver an event and to be answered, over a new connection."""
    body = f'{{"data":{{"events":[{{"uuid":"{uuid.uuid1()}","eventType":"user.session.start"}}]}}}}'
    request = (
        f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {SECRET}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    )
    began = time.perf_counter()
    with contextlib.closing(socket.create_connection(("127.0.0.1", port))) as connection:
        connection.sendall(request.encode())
        answer = connection.recv(4096)
    took = time.perf_counter() - began
    if b" 204 " not in answer:
        raise RuntimeError(f"Not acknowledged: {answer!r}")
    return took * 1000


def _run(code: str, environment: dict[str, str]) -> list[float]:
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    return [float(word) for word in ran.stdout.split()]
