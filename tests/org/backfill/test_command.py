from __future__ import annotations

import io
import json
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast

import pytest

from okta_hooks import EventHook
from okta_hooks.cli.output import Progress
from okta_hooks.org.registration import NamedHook
from tests.support import NEEDS_SDK, SQLITE

from .support import (
    CREATED,
    FORBIDDEN,
    Impatient,
    Log,
    inbox_of,
    open_org,
    read,
    reading,
    run,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

    from okta_hooks.simulator import Simulator

pytestmark = NEEDS_SDK


def test_another_backfill_is_at_work(simulator: Simulator, app: Flask) -> None:
    """Who finds the cursor moved goes on from there: what one has read the other does not read again."""
    simulator.org.emit(CREATED, count=1200, faults=["lost"])
    since = time.time() - 3600
    stopping = Impatient(most=1)
    with open_org(app, stopping) as org, open_org(app, stopping) as other_org:
        one, other = (reading(app, each, threading.Event()) for each in (org, other_org))
        one.begin(since)
        other.begin(since)
        assert one.catch_up()
        assert other.catch_up()
        assert one.tally.new == {"okta": 1200}
        assert (other.tally.new, other.tally.duplicate) == ({}, {})

        simulator.org.emit(CREATED, faults=["lost"])
        late = reading(app, other_org, threading.Event())
        late.begin()
        assert one.catch_up()
        assert late.catch_up()
    assert late.tally.duplicate == {}
    assert inbox_of(app).overview.counts().pending == 1201


@SQLITE
def test_used_wrongly(app: Flask) -> None:
    """Each mistake is named in a line."""
    assert "with --since 24h" in run(app, "backfill", status=2).output
    for later in ("2999-01-01", f"{datetime.now(UTC) + timedelta(hours=1):%Y-%m-%dT%H:%M}"):
        assert "is later than now" in run(app, "backfill", f"--since={later}", status=2).output
    assert "no span of time" in run(app, "backfill", "--follow", "--every=0s", status=2).output
    assert "no span of time" in run(app, "worker", "--backfill=soon", status=2).output
    assert "comes to an end" in run(app, "worker", "--drain", "--backfill=5m", status=2).output


@SQLITE
def test_an_app_that_cannot(connect: Callable[..., Flask]) -> None:
    """What it lacks is named in a line, before anything is read."""
    url = "https://acme.okta.com"
    astray = EventHook("astray")
    astray.on("*")(lambda *_, **__: None)

    assert (
        "No receivers are connected"
        in run(connect(url, EventHook("bare")), "backfill", "--since=1h", status=1).output
    )
    assert (
        "OKTA_HOOKS_ORG_URL is not set"
        in run(connect(None, astray), "worker", "--backfill=5m", status=1).output
    )
    two = connect(url, EventHook("a"), EventHook("b", url_prefix="/b"))
    assert "Say which --hook" in run(two, "backfill", "--name=Staff", status=2).output


def test_a_hook_is_named(simulator: Simulator, app: Flask) -> None:
    """By its name or its URL at Okta it is found though its path is another."""
    url = "https://gateway.example.com/hooks/7"
    simulator.org.register(url, ["group.privilege.grant"], name="Gateway")
    simulator.org.emit("group.privilege.grant", count=2, faults=["lost"])

    assert read(app, "--since=1h")["new"] == 0
    assert read(app, "--since=1h", "--name=Gateway 1")["new"] == 2
    assert read(app, "--since=1h", f"--url={url}/")["duplicate"] == 2


@SQLITE
@pytest.mark.parametrize("path", ["/api/v1/eventHooks", "/.well-known/", "/api/v1/logs"])
@pytest.mark.parametrize("command", ["backfill", "reconcile"])
def test_a_failure_that_passes(simulator: Simulator, app: Flask, command: str, path: str) -> None:
    """Whatever is asked first, it is asked again."""
    url = "https://app.example.com/okta/events"
    simulator.org.create_hook(
        {
            "name": "Staff",
            "events": {"type": "EVENT_TYPE", "items": [CREATED]},
            "channel": {"type": "HTTP", "version": "1.0.0", "config": {"uri": url}},
        }
    )
    simulator.org.api_faults.add(1, status=503, path=path)

    result = run(app, command, "--since", "1h", "--name", "Staff")

    if path != "/.well-known/" or command == "backfill":
        assert "Trying again in 2 s." in result.stderr


def test_a_named_hook_that_cannot_be_read_any_more(
    serve: Callable[..., Log],
    connect: Callable[..., Flask],
    okta: EventHook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What Okta means for it still is its own."""
    monkeypatch.setattr("okta_hooks.org.selector._SECONDS_BETWEEN_LOOKS", 0.0)
    data = {"debugData": {"targetEventHookIds": "who1"}}
    pages = [
        json.dumps([{"uuid": uuid, "eventType": "group.lifecycle.create", "debugContext": data}])
        for uuid in ("a", "b")
    ]
    log = serve(*pages)
    log.hooks = (200, b'[{"id": "who1", "name": "Gateway"}]')
    app = connect(log.url, okta)
    stopping = threading.Event()

    def forbid(_: object) -> None:
        log.hooks = (403, FORBIDDEN)

    with open_org(app, stopping) as org:
        reader = reading(
            app, org, stopping, named=NamedHook(hook="okta", name="Gateway"), progress=forbid
        )
        reader.begin(time.time() - 60)
        reader.catch_up()

    assert reader.tally.new == {"okta": 2}


@SQLITE
@pytest.mark.parametrize("option", ["--name=Gatway 1", "--url=https://gateway.example.com/hooks/8"])
def test_a_hook_that_is_named_wrongly(simulator: Simulator, app: Flask, option: str) -> None:
    """It is refused before anything is read, and those that are there are named."""
    result = run(app, "backfill", "--since=1h", option, status=1)

    assert "No hook at" in result.output
    assert "https://app.example.com/okta/events" in result.output
    assert inbox_of(app).cursors.of(simulator.url) is None


class Terminal(io.StringIO):
    """A standard error that is a terminal."""

    def isatty(self) -> bool:
        """Say that it is one."""
        return True


def test_progress_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bar shows how much is left, the rate, and the time that was reached."""
    monkeypatch.setattr("sys.stderr", Terminal())
    begin = datetime(2026, 5, 4, tzinfo=UTC).timestamp()
    with Progress(bar=True) as progress:
        progress.begin(begin, begin + 100, "https://acme.okta.com")
        progress.show(500, begin + 50, "7 new")
        progress.tell("Something happened.")
        progress.show(1000, begin + 100, "9 new")

    written = cast("Terminal", sys.stderr).getvalue()
    assert "of https://acme.okta.com from 2026-05-04T00:00:00" in written
    assert "50%" in written
    assert "up to 2026-05-04T00:00:50+00:00, 7 new" in written
    assert "\nSomething happened.\n" in written
    assert "100%" in written


def test_progress_elsewhere(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Otherwise there are lines: not many, and only if there is news."""
    monkeypatch.setattr("okta_hooks.cli.output._SECONDS_BETWEEN_LINES", 0.0)
    with Progress(bar=True) as progress:
        progress.begin(0.0, 1.0, "https://acme.okta.com")
        for _ in range(3):
            progress.show(500, 1.0, "7 new")

    assert capsys.readouterr().err.count("7 new") == 1
