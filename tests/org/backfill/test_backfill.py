"""The backfill over Okta's SDK and real HTTP, against a simulated org and logs that are odd."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from okta_hooks import EventHook
from okta_hooks.inbox.cursor import Cursor, Cursors
from okta_hooks.inbox.selection import Selection
from okta_hooks.signals import delivery_stored
from tests.support import NEEDS_SDK, SQLITE

from .support import CREATED, DAY, inbox_of, open_org, read, reading, run

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest
    from flask import Flask

    from okta_hooks.simulator import Simulator

pytestmark = NEEDS_SDK


def types(app: Flask) -> list[tuple[str, str]]:
    """Return the hooks and types of the events in the inbox, sorted."""
    found = inbox_of(app).overview.find(Selection(), limit=1000)
    return sorted((event.hook, event.type or "") for event in found)


def test_what_did_not_arrive(simulator: Simulator, app: Flask, okta: EventHook) -> None:
    """It reaches the receivers, which are told how it came."""
    got = []

    @okta.on(CREATED, name="also")
    def receiver(sender: Flask, event: Any, delivery: Any, **extra: Any) -> None:
        got.append((event.uuid, event.raw["insertionTimestamp"] is not None, delivery))

    (lost,) = simulator.org.emit(CREATED, faults=["lost"])
    stored: list[dict[str, Any]] = []

    def note(sender: Flask, **arguments: Any) -> None:
        stored.append(arguments)

    with delivery_stored.connected_to(note):
        document = read(app, "--since=24h")
    app.extensions["okta_hooks"].runtime().worker.drain()

    assert document["hooks"] == {"okta": {"new": 1, "duplicate": 0, "dead": 0}}
    ((uuid, is_logged, delivery),) = got
    assert (uuid, is_logged) == (lost["uuid"], True)
    assert (delivery.via, delivery.source, delivery.event_id) == ("backfill", simulator.url, None)
    assert [(each["hook"], each["new"], each["duplicate"]) for each in stored] == [(okta, 1, 0)]


def test_each_hook_gets_its_own(simulator: Simulator, connect: Callable[..., Flask]) -> None:
    """An event goes to the hook that Okta meant it for, and to those whose receivers want it."""
    staff, groups = EventHook("staff"), EventHook("groups", url_prefix="/okta/groups")
    staff.on("user.*")(lambda *_, **__: None)
    groups.on("group.*")(lambda *_, **__: None)
    base = "https://app.example.com/okta"
    urls = {"staff": f"{base}/events", "groups": f"{base}/groups"}
    app = connect(simulator.url, staff, groups, URL=urls)
    simulator.org.register("https://app.example.com/okta/groups", ["group.profile.update"])
    for event_type in (CREATED, "group.profile.update", "group.lifecycle.create"):
        simulator.org.emit(event_type, faults=["lost"])
    simulator.org.emit("user.lifecycle.suspend", faults=["log_only"])
    simulator.org.emit("user.authentication.auth")  # is never delivered to a hook

    read(app, "--since=1h")

    assert types(app) == [
        ("groups", "group.lifecycle.create"),
        ("groups", "group.profile.update"),
        ("staff", "group.lifecycle.create"),  # its registration has it
        ("staff", CREATED),
        ("staff", "user.lifecycle.suspend"),
    ]


def test_it_goes_on_where_it_stopped(simulator: Simulator, app: Flask) -> None:
    """The second time only what is new is read; what is read again is not stored again."""
    simulator.org.emit(CREATED, count=1500, faults=["lost"])

    first = read(app, "--since=1h")
    assert (first["new"], first["pages"], first["is_at_end"]) == (1500, 3, True)
    simulator.org.emit(CREATED, count=2, faults=["lost"])
    second = read(app)
    assert (second["events"], second["new"]) == (2, 2)
    again = read(app, "--since=1h")
    assert (again["new"], again["duplicate"]) == (0, 1502)
    simulator.org.emit(CREATED, faults=["lost"])
    assert read(app)["events"] == 1


def test_what_lies_between_is_not_left_out(simulator: Simulator, app: Flask) -> None:
    """Told to begin later than where it stopped, it goes on from where it stopped."""
    began = datetime.now(UTC)
    simulator.org.clock = lambda: began - 3 * DAY
    simulator.org.emit(CREATED, faults=["lost"])
    stopping = threading.Event()
    with open_org(app, stopping) as org:
        url = org.log_url(since=began - 5 * DAY)
    stopped = Cursor(next_url=url, reached_at=(began - 5 * DAY).timestamp())
    assert inbox_of(app).cursors.advance(simulator.url, [], before=None, after=stopped) == []
    simulator.org.clock = lambda: began
    simulator.org.emit(CREATED, faults=["lost"])

    document = read(app, "--since=1d")

    assert document["new"] == 2
    assert document["since"][:10] == f"{began - 5 * DAY:%Y-%m-%d}"


def test_it_goes_back(simulator: Simulator, app: Flask) -> None:
    """Told to begin earlier than where it stopped, it does, and goes on from there wherever it is killed."""
    began = datetime.now(UTC)
    simulator.org.clock = lambda: began - DAY / 2
    simulator.org.emit(CREATED, count=2500, faults=["lost"])
    simulator.org.clock = lambda: began
    assert read(app, "--since=1m")["new"] == 0

    for pages, there in enumerate([0, 998, 1998]):  # the log begins with the hook itself
        stopping = threading.Event()
        with open_org(app, stopping) as org:
            reader = reading(app, org, stopping, progress=lambda _: stopping.set())  # noqa: B023 - called in this round
            reader.begin(None if pages else time.time() - DAY.total_seconds())
            if pages:
                reader.catch_up()  # one page, and then it is gone
        assert inbox_of(app).overview.counts().pending == there

    assert read(app)["new"] == 502


def test_one_goes_back_while_another_is_at_the_end(simulator: Simulator, app: Flask) -> None:
    """The one at the end goes back as well, and nothing is passed over."""
    began = datetime.now(UTC)
    simulator.org.clock = lambda: began - DAY / 2
    simulator.org.emit(CREATED, count=1500, faults=["lost"])
    simulator.org.clock = lambda: began
    read(app, "--since=1m")
    with open_org(app, threading.Event()) as org, open_org(app, threading.Event()) as other_org:
        stopping = threading.Event()
        at_end = reading(app, org, threading.Event())
        back = reading(app, other_org, stopping, progress=lambda _: stopping.set())
        at_end.begin()
        back.begin(time.time() - DAY.total_seconds())
        assert not back.catch_up()  # one page
        assert at_end.catch_up()
        assert at_end.tally.new == {"okta": 502}
        stopping.clear()
        back.catch_up()
    assert inbox_of(app).overview.counts().pending == 1500


@SQLITE
def test_a_beginning_that_somebody_else_moves(
    simulator: Simulator, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is told to begin earlier than another that has just begun goes back all the same."""
    inbox = inbox_of(app)
    asked = []

    def overtaken(org: str) -> Cursor | None:
        found = Cursors.of(inbox.cursors, org)
        asked.append(found)
        if len(asked) == 1:
            with open_org(app, threading.Event()) as other:
                url = other.log_url(since=datetime.now(UTC))
            inbox.cursors.advance(
                org, [], before=None, after=Cursor(next_url=url, reached_at=time.time())
            )
        return found

    began = datetime.now(UTC)
    simulator.org.clock = lambda: began - DAY / 2
    simulator.org.emit(CREATED, faults=["lost"])
    simulator.org.clock = lambda: began
    with open_org(app, threading.Event()) as org:
        reader = reading(app, org, threading.Event())
        monkeypatch.setattr(inbox.cursors, "of", overtaken)
        reader.begin(time.time() - DAY.total_seconds())
        assert reader.catch_up()

    assert len(asked) == 2
    assert reader.tally.new == {"okta": 1}


@SQLITE
def test_more_than_okta_keeps(simulator: Simulator, app: Flask) -> None:
    """What Okta has forgotten is said, for people and for programs, and the rest is read."""
    document = read(app, "--since=100d")
    assert document["gap"]
    assert [moment[:10] for moment in document["gap"]] == [
        f"{datetime.now(UTC) - days * DAY:%Y-%m-%d}" for days in (100, 90)
    ]

    inbox = inbox_of(app)
    before = inbox.cursors.of(simulator.url)
    assert before
    ancient = Cursor(next_url=before.next_url, reached_at=time.time() - 95 * 24 * 3600)
    inbox.cursors.advance(simulator.url, [], before=before, after=ancient)
    simulator.org.emit(CREATED, faults=["lost"])
    result = run(app, "backfill")
    assert "Okta keeps its log for 90 days: what happened from" in result.output
    assert "okta: 1 new" in result.output
    assert read(app)["gap"] is None


@SQLITE
def test_the_cursor_belongs_to_the_org(
    simulator: Simulator, connect: Callable[..., Flask], okta: EventHook
) -> None:
    """Under another spelling, or its custom domain, a backfill goes on where it stopped under the first."""
    simulator.org.emit(CREATED, count=3, faults=["lost"])
    app = connect(simulator.url, okta)
    assert read(app, "--since=1h")["events"] >= 3
    simulator.org.emit(CREATED, faults=["lost"])

    # The org tells its names itself; this one leads to it, too.
    custom = simulator.url.replace("127.0.0.1", "LocalHost")
    other = connect(custom, EventHook("okta"))
    other.extensions["okta_hooks"].hooks["okta"].on("user.*")(lambda *_, **__: None)
    found = read(other)

    assert (found["events"], found["new"]) == (1, 1)
    assert found["org"] == custom.lower()


@SQLITE
def test_the_furthest_of_an_orgs_cursors(
    simulator: Simulator, connect: Callable[..., Flask], okta: EventHook
) -> None:
    """An org that was read under several addresses is read on from where it was read the furthest."""
    simulator.org.emit(CREATED, count=3, faults=["lost"])
    app = connect(simulator.url, okta)
    assert read(app, "--since=1h")["events"] >= 3
    simulator.org.emit(CREATED, faults=["lost"])
    custom = simulator.url.replace("127.0.0.1", "LocalHost")
    # 0.1.0 kept the cursor under the address as it was spelt.
    long_ago = Cursor(next_url=f"{custom}/api/v1/logs?since=2026-01-01T00:00:00Z", reached_at=1.0)
    inbox_of(app).cursors.advance(custom, [], before=None, after=long_ago)

    other = connect(custom, EventHook("okta"))
    other.extensions["okta_hooks"].hooks["okta"].on("user.*")(lambda *_, **__: None)

    assert read(other)["events"] == 1
