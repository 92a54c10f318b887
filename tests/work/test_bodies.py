from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask

from okta_hooks import LogEvent, Reject
from okta_hooks.inbox.claims import Selection
from tests.support import CREATED

from .support import Heard

if TYPE_CHECKING:
    from pathlib import Path

    from flask import Flask

    from .support import System


@pytest.mark.parametrize("kind", ["moon.é", "x." * 149 + "yz", "a\0b"], ids=["é", "long", "NUL"])
def test_a_type_that_no_column_takes(system: System, kind: str) -> None:
    """It is read from the body, so a receiver of just that type gets the event."""
    with pytest.warns(UserWarning, match="no such event type"):
        heard = system.on(kind)(Heard())
    system.store("a", type=kind)

    system.drain()

    assert heard.uuids == ["a"]


def test_an_unreadable_event_that_is_replayed(system: System) -> None:
    """It is read again, and dead again for the same reason."""
    heard = system.on("*")(Heard())
    system.store(None)
    (before,) = system.inbox.find(Selection())
    system.inbox.replay(Selection(states=("dead",)))

    system.drain()

    assert system.inbox.find(Selection()) == [before]
    assert heard.uuids == []


def test_long_bodies_are_not_all_kept(system: System) -> None:
    """Of the deliveries read last some megabytes are kept, not more, and every event is read right."""
    heard = []

    @system.on("*")
    def receiver(sender: Flask, event: Any, **extra: Any) -> None:
        heard.append((event.uuid, len(event.raw["x"])))

    megabytes = 6 * 1024 * 1024
    for uuid in "abcd":
        event = {"uuid": uuid, "eventType": CREATED, "x": "x" * megabytes}
        system.store(event, {"uuid": uuid * 2, "eventType": CREATED, "x": ""})
    worker = system.make_worker()

    worker.drain()

    assert heard == [pair for uuid in "abcd" for pair in ((uuid, megabytes), (uuid * 2, 0))]


def test_ids_never_come_back(system: System) -> None:
    """A delivery that takes the place of a deleted one is read anew, not from what a worker remembers."""
    seen: list[str | None] = []

    @system.on("*")
    def receiver(sender: object, event: LogEvent, **extra: Any) -> None:
        seen.append(event.uuid)
        if event.uuid == "old":
            raise Reject("no")

    worker = system.make_worker(system.inbox, max_attempts=3)
    system.store("old")
    worker.drain()
    system.inbox.prune_dead(before=system.inbox.clock() + 1)
    system.store("new")
    worker.drain()

    assert seen == ["old", "new"]


@pytest.mark.parametrize("inbox_url", ["SQLite"], indirect=True)
def test_a_file_that_was_replaced_begins_anew(system: System, tmp_path: Path) -> None:
    """Nothing that a worker remembers of a file is taken for what is in the next one."""
    seen: list[str | None] = []

    @system.on("*")
    def receiver(sender: object, event: LogEvent, **extra: Any) -> None:
        seen.append(event.uuid)

    worker = system.make_worker(system.inbox, max_attempts=3)
    system.store("old")
    worker.drain()
    for path in tmp_path.glob("inbox.sqlite3*"):
        path.rename(path.with_name(f"gone-{path.name}"))
    system.store("new")
    worker.drain()

    assert seen == ["old", "new"]


def test_dead_again_after_a_replay(system: System, caplog: pytest.LogCaptureFixture) -> None:
    """An event that still cannot be read when it is replayed is told of again."""
    system.on("*")(lambda sender, **extra: None)
    system.store({"uuid": "a"})
    system.inbox.replay(Selection(states=("dead",)))

    system.make_worker(system.inbox, max_attempts=3).drain()

    assert "Dead letter" in caplog.text
    assert system.inbox.counts()["dead"] == 1
