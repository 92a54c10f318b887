"""Events whose type no column holds: their bodies are read before anybody knows who is to have them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from okta_hooks.exceptions import InboxUnavailable
from okta_hooks.inbox.selection import Selection
from okta_hooks.receivers import Receivers
from tests.support import SQLITE, states

from .support import Heard

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

    from .support import System

#: Longer than a column for it, and no longer than a type may be.
LONG = "user." + "x" * 300

KILLED = """
import os, sys
from flask import Flask
from okta_hooks import EventHook
from okta_hooks.wire import reading

keys_of = reading.event_keys

def event_keys(raw):
    if raw["uuid"] == "killer":
        os.kill(os.getpid(), 9)
    return keys_of(raw)

reading.event_keys = event_keys
okta = EventHook("okta")
okta.on("*", name="a")(lambda sender, **extra: None)
app = Flask("host")
app.config.update(OKTA_HOOKS_SECRET="s", OKTA_HOOKS_INBOX=sys.argv[1])
app.register_blueprint(okta)
app.extensions["okta_hooks"].runtime().worker.drain()
"""


def untyped(*uuids: str) -> list[dict[str, str]]:
    return [{"uuid": uuid, "eventType": LONG} for uuid in uuids]


@SQLITE
def test_a_process_that_dies_while_it_reads(system: System, inbox_url: str, tmp_path: Path) -> None:
    """After five deaths the event is a dead letter that says why; the others of its delivery are handled."""
    script = tmp_path / "killed.py"
    script.write_text(KILLED, encoding="utf-8")
    others = [f"other-{number}" for number in range(6)]
    system.store(*untyped(*others[:3], "killer", *others[3:]))

    ended = []
    for _ in range(6):
        command = [sys.executable, str(script), inbox_url]
        environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
        ended.append(subprocess.run(command, env=os.environ | environment, check=False).returncode)

    assert ended == [-signal.SIGKILL] * 5 + [0]
    assert states(system.inbox) == {"killer": "dead"} | dict.fromkeys(others, "done")
    (dead,) = system.inbox.overview.find(Selection(states=("dead",)))
    assert dead.reason == "the process died here"


def test_a_database_that_goes_away_is_no_death(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever fails after an event was counted, and leaves the process alive, is not held against it."""
    heard = system.on("*", name="a")(Heard())
    system.store(*untyped("a", "b"))
    worker = system.make_worker(system.inbox)
    assign = system.inbox.assignments.assign
    failures = 10

    def fail(*arguments: Any) -> Any:
        nonlocal failures
        if failures and arguments[0]:
            failures -= 1
            raise InboxUnavailable("away")
        return assign(*arguments)

    monkeypatch.setattr(system.inbox.assignments, "assign", fail)
    while failures:
        try:
            worker.drain()
        except InboxUnavailable:
            assert all(
                event.readings <= 1 for event in system.inbox.assignments.unassigned(["okta"])
            )
    worker.drain()

    assert heard.uuids == ["a", "b"]


def test_a_suspect_is_read_by_itself(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """With events that were counted before nothing else is counted: each is read, and assigned, alone."""
    system.on("*", name="a")(Heard())
    system.store(*untyped("a", "b", "c"))
    ids = [event.event_id for event in system.inbox.assignments.unassigned(["okta"])]
    for _ in range(4):
        system.inbox.assignments.count_readings(ids)
    counted: list[list[int]] = []
    count = system.inbox.assignments.count_readings

    def note(event_ids: Any) -> Any:
        counted.append(list(event_ids))
        return count(event_ids)

    monkeypatch.setattr(system.inbox.assignments, "count_readings", note)

    assert system.make_worker(system.inbox).drain() == 3

    assert sorted(counted) == [[event_id] for event_id in sorted(ids)]


def test_matching_is_linear() -> None:
    """The longest type that is read, and one of a hundred times as many segments, cost next to nothing."""
    receivers = Receivers()
    receivers.connect(lambda *_, **__: None, ("*", "user.*", "user.x.x.*"), name="a")
    long, longer = ".".join(["user"] + ["x"] * 199), ".".join(["user"] + ["x"] * 20_000)

    def seconds(call: Callable[[], object]) -> float:
        began = time.perf_counter()
        call()
        return time.perf_counter() - began

    assert [found.name for found in receivers.matching(long, None)] == ["a"]
    assert min(seconds(lambda: receivers.matching(longer, None)) for _ in range(3)) < 0.5
