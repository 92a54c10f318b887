from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support import ONLY_LONG, PATIENCE

#: A receiver forks on its first event; what the child does then is the second argument. The parent goes on.
FORKS = """
import os, sys, time, warnings
from flask import Flask
from okta_hooks import EventHook

okta = EventHook("okta")
inbox, how = sys.argv[1:]

def end(status=0):
    sys.stdout.flush()
    os._exit(status)

def as_a_child():
    runtime = app.extensions["okta_hooks"].runtime() if how == "makes its own" else held[0]
    if how == "closes":
        held[0].close()
        held[0].inbox.close()
        end()
    if how == "makes its own":
        # It is not used: threads that did not come along may have left SQLite in the middle of something.
        print("another", runtime is not held[0])
        end()
    if how == "uses":
        try:
            runtime.inbox.overview.counts()
        except Exception as error:
            print("refused", type(error).__name__)
        end()
    if how == "raises":
        raise ValueError("in the child")
    if how == "exits":
        sys.exit(3)
    if how == "exits with a text":
        sys.exit("why it ends")
    if how == "exits well":
        sys.exit()

def fork():
    sys.stdout.flush()
    # As if a thread that does not come along were making a runtime at this moment.
    lock = app.extensions["okta_hooks"]._lock
    lock.acquire()
    pid = os.fork()
    if not pid:
        as_a_child()
        return
    lock.release()
    print("child", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)

@okta.on("*")
def receiver(sender, event, **extra):
    print("ran", event.uuid, os.getpid() == parent, flush=True)
    if event.uuid == "0":
        fork()

app = Flask("host")
app.config.update(OKTA_HOOKS_SECRET="s", OKTA_HOOKS_INBOX=inbox, OKTA_HOOKS_WORKER="thread")
app.register_blueprint(okta)
warnings.simplefilter("ignore")  # newer Pythons warn of threads at a fork, and rightly so
parent = os.getpid()
held = []

def post(number):
    events = [{"uuid": str(number), "eventType": "a.b"}]
    for _ in range(10):
        answer = app.test_client().post(
            "/okta/events", json={"data": {"events": events}}, headers={"Authorization": "s"}
        )
        if answer.status_code == 204:
            return

held.append(app.extensions["okta_hooks"].runtime())
for number in range(3):
    post(number)
    counts = held[0].inbox.overview.counts
    while counts().open:
        time.sleep(0.01)
# The generation of a database changes when a connection turns out to be lost.
print("end", counts().done, counts().dead, held[0].inbox.generation, flush=True)
app.extensions["okta_hooks"].close()
"""


ENDS = {
    "returns": 0,
    "raises": 1,
    "exits": 3,
    "exits with a text": 1,
    "exits well": 0,
    "closes": 0,
    "uses": 0,
    "makes its own": 0,
}
#: What a child does with the inbox depends on the kind of database; how else it ends does not.
ON_EITHER = {"returns", "closes", "uses", "makes its own"}


@pytest.mark.parametrize(
    ("how", "status", "inbox_url"),
    [
        pytest.param(
            *(how, status, kind),
            marks=[ONLY_LONG] if kind == "PostgreSQL" and how not in ON_EITHER else [],
        )
        for how, status in ENDS.items()
        for kind in ("SQLite", "PostgreSQL")
    ],
    indirect=["inbox_url"],
)
def test_a_receiver_that_forks(inbox_url: str, how: str, status: int) -> None:
    """Its child runs no receiver and settles nothing, whatever it does, and the parent keeps its connections."""
    command = [sys.executable, "-c", FORKS, inbox_url, how]

    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=PATIENCE)

    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    said = {"uses": ["refused InboxUnavailable"], "makes its own": ["another True"]}.get(how, [])
    assert lines == [
        "ran 0 True",
        *said,
        f"child {status}",
        "ran 1 True",
        "ran 2 True",
        "end 3 0 0",
    ]
    has_come_back = how in ("returns", "raises")
    assert ("has come back from it" in ended.stderr) is has_come_back
    assert ("ValueError: in the child" in ended.stderr) is (how == "raises")
    assert ("why it ends" in ended.stderr) is (how == "exits with a text")
    assert "SystemExit" not in ended.stderr
    assert "was not stored" not in ended.stderr
    assert "cannot be" not in ended.stderr
