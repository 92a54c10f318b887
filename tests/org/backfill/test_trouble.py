from __future__ import annotations

import json
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from okta_hooks import EventHook
from okta_hooks.cli import group
from okta_hooks.exceptions import OktaRefused, OktaUnavailable
from okta_hooks.inbox.cursor import Cursor
from okta_hooks.inbox.selection import Selection
from okta_hooks.org.backfill import Stopped, interruptible
from okta_hooks.signals import event_dead
from tests.support import NEEDS_SDK, SQLITE

from .support import (
    DAY,
    FORBIDDEN,
    Impatient,
    Log,
    inbox_of,
    open_org,
    page,
    read,
    reading,
    run,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

    from okta_hooks.inbox import Inbox

pytestmark = NEEDS_SDK

HOSTILE = """[
 {"uuid": "nan", "eventType": "user.lifecycle.create", "debugContext": {"debugData": {"x": NaN}}},
 {"uuid": "surrogate", "eventType": "user.lifecycle.create", "displayMessage": "\\ud800"},
 {"uuid": "\\u0000", "eventType": "user.lifecycle.create", "published": "0000-99-99"},
 {"eventType": "user.lifecycle.create", "published": "9999-12-31T23:59:59Z"},
 {"uuid": 7, "eventType": "user.lifecycle.create", "target": null, "debugContext": null},
 {"uuid": "typeless", "debugContext": {"debugData": ""}},
 {"uuid": "others", "debugContext": {"debugData": {"targetEventHookIds": "whoElse"}}},
 null, 7, "text", []
]"""


def test_a_hostile_page(
    serve: Callable[..., Log], connect: Callable[..., Flask], caplog: pytest.LogCaptureFixture
) -> None:
    """What can be read is handled; what cannot is a dead letter; reading it twice adds nothing."""
    got = []
    okta = EventHook("okta")
    okta.on("user.*")(lambda sender, event, **extra: got.append(event.raw))
    app = connect(serve(HOSTILE, page("good")).url, okta)
    buried: list[str] = []

    def bury(sender: Flask, reason: str, **extra: Any) -> None:
        buried.append(reason)

    with event_dead.connected_to(bury):
        document = read(app, "--since=1h")
        app.extensions["okta_hooks"].runtime().worker.drain()
    again = read(app, "--since=1h")

    assert document["hooks"] == {"okta": {"new": 11, "duplicate": 0, "dead": 5}}
    # Once for the page, as for a delivery.
    assert buried == ["5 events cannot be read. The first: The event is not a JSON object."]
    assert "for all receivers, from a backfill: 5 events cannot be read." in caplog.text
    assert [event.get("uuid") for event in got] == ["nan", "surrogate", "\0", None, 7, "good"]
    assert got[1]["displayMessage"] == "\ud800"
    # Where it went on is before the hour that was asked for: nothing that was read has a time of today.
    assert (again["new"], again["duplicate"]) == (0, 0)
    assert inbox_of(app).overview.counts().dead == 5


def test_one_odd_time_does_not_stand_for_the_whole(
    serve: Callable[..., Log], connect: Callable[..., Flask], okta: EventHook
) -> None:
    """The time that was reached is that of the last event that is not in the future."""
    began = datetime.now(UTC) - DAY
    times = [
        page("a", published=began.isoformat()),
        page("b", published="2999-01-01T00:00:00Z"),
        page("c", published="?"),
    ]
    whole = json.dumps([event for each in times for event in json.loads(each)])
    log = serve(whole)
    app = connect(log.url, okta)
    seen = []
    stopping = Impatient()
    with open_org(app, stopping) as org:
        reader = reading(app, org, stopping, progress=lambda tally: seen.append(tally.reached_at))
        reader.begin((began - DAY).timestamp())
        reader.catch_up()

    assert seen[0] == began.timestamp()


def test_hooks_that_may_not_be_read(
    serve: Callable[..., Log], connect: Callable[..., Flask], okta: EventHook
) -> None:
    """The connected receivers are enough to go by, and it is said that they must be."""
    log = serve(page("a"))
    log.hooks = (403, FORBIDDEN)
    app = connect(log.url, okta)

    result = run(app, "backfill", "--since=1h")

    assert "okta: 1 new" in result.output
    assert result.output.count("okta.eventHooks.read") == 1


@SQLITE
@pytest.mark.parametrize(
    ("status", "said"), [(403, "This command needs okta.logs.read"), (401, "The token is wrong")]
)
def test_a_log_that_may_not_be_read(
    serve: Callable[..., Log],
    connect: Callable[..., Flask],
    okta: EventHook,
    status: int,
    said: str,
) -> None:
    """That ends the command in one line, also while following."""
    log = serve()
    log.refused = [(status, FORBIDDEN)] * 2
    app = connect(log.url, okta)

    for following in ([], ["--follow"]):
        result = run(app, "backfill", "--since=1h", *following, status=1)
        assert said in result.output
        assert "Traceback" not in result.output


@SQLITE
def test_hooks_behind_a_token_that_ends(
    serve: Callable[..., Log], connect: Callable[..., Flask], okta: EventHook
) -> None:
    """Any other refusal than a permission that is wanting is one of the whole."""
    log = serve(page("a"))
    log.hooks = (401, b"{}")

    assert (
        "Okta answered 401"
        in run(connect(log.url, okta), "backfill", "--since=1h", status=1).output
    )


@SQLITE
def test_a_cursor_that_okta_does_not_take(
    serve: Callable[..., Log], connect: Callable[..., Flask], okta: EventHook
) -> None:
    """It begins again an hour before it stopped, and says so; if that fails as well, it ends."""
    log = serve(page("a"))
    app = connect(log.url, okta)
    reached = datetime.fromisoformat(read(app, "--since=1h")["reached"])
    log.refused = [(400, b'{"errorCode": "E0000031"}')]

    result = run(app, "backfill")
    assert "does not go on from where the backfill stopped" in result.output
    queries = [parse_qs(urlsplit(path).query) for path in log.asked]
    *_, (since,) = (query["since"] for query in queries if "since" in query)
    assert abs(datetime.fromisoformat(since) - (reached - timedelta(hours=1))) < timedelta(
        seconds=2
    )
    assert "okta: 0 new, 1 there already" in result.output

    log.pages.append(page("b"))
    with open_org(app, threading.Event()) as org:
        told: list[str] = []
        reader = reading(app, org, threading.Event(), tell=told.append)
        reader.begin()
        assert reader.catch_up()
        log.refused = [(400, b"{}")]
        assert reader.catch_up()  # also in the middle of a run
    assert len(told) == 1
    assert inbox_of(app).overview.counts().pending == 2

    log.refused = [(400, b"{}")] * 2
    assert "Okta answered 400" in run(app, "backfill", status=1).output
    log.refused = [(400, b"{}")]
    assert "Okta answered 400" in run(app, "backfill", "--since=5h", status=1).output


@SQLITE
def test_an_org_that_does_not_say_its_names(
    serve: Callable[..., Log], connect: Callable[..., Flask], okta: EventHook
) -> None:
    """What was read under another address cannot be found then, and that is said once."""
    app = connect(serve(page("a")).url, okta)
    said = "does not say which other addresses the org has"

    assert said in run(app, "backfill", status=2).output
    assert run(app, "backfill", "--since=1h").output.count(said) == 1
    assert said not in run(app, "backfill").output


@SQLITE
def test_an_org_that_says_when_to_come_back(
    serve: Callable[..., Log], connect: Callable[..., Flask], okta: EventHook
) -> None:
    """It is not asked before that, though it would be tried again sooner."""
    log = serve(page("a"))
    app = connect(log.url, okta)
    log.refused = [(503, b"")] * 2
    log.headers = {"Retry-After": "3"}
    stopping = Impatient()
    with open_org(app, stopping) as org:
        reader = reading(app, org, stopping)
        reader.begin(time.time() - 60)
        assert reader.catch_up()
    assert stopping.waited == [3, 4]


@SQLITE
@pytest.mark.parametrize(("said", "seconds"), [("600", 600), ("999999", 3600)])
def test_an_org_that_says_to_come_back_much_later(
    serve: Callable[..., Log],
    connect: Callable[..., Flask],
    okta: EventHook,
    said: str,
    seconds: float,
) -> None:
    """Also a long pause is kept, up to an hour."""
    log = serve(page("a"))
    app = connect(log.url, okta)
    log.refused = [(503, b"")]
    log.headers = {"Retry-After": said}
    stopping = Impatient()
    with open_org(app, stopping) as org:
        reader = reading(app, org, stopping)
        reader.begin(time.time() - 60)
        assert reader.catch_up()
    assert stopping.waited == [seconds]


@SQLITE
def test_a_place_that_okta_never_gets_past(
    serve: Callable[..., Log], connect: Callable[..., Flask], okta: EventHook
) -> None:
    """It is read again once; that it is refused again ends it, instead of going round for ever."""
    log = serve(page("a"), page("b"))
    app = connect(log.url, okta)
    answer = log.answer

    def refuse(path: str) -> tuple[int, bytes, str | None]:
        return (400, b"{}", None) if "after=1" in path else answer(path)

    log.answer = refuse  # type: ignore[method-assign]

    result = run(app, "backfill", "--since=1h", status=1)
    assert result.output.count("does not go on from where") == 1
    assert "Okta answered 400" in result.output


@SQLITE
def test_what_may_pass_is_waited_for(
    serve: Callable[..., Log], connect: Callable[..., Flask], okta: EventHook
) -> None:
    """It tries again, at growing distances, and only so often if it is not to go on for good."""
    log = serve(page("a"))
    app = connect(log.url, okta)
    log.refused = [(503, b""), (200, b"<html>"), (500, b"{}"), (200, b"[]")]  # the last has no link
    told: list[str] = []
    stopping = Impatient()
    with open_org(app, stopping) as org:
        reader = reading(app, org, stopping, tell=told.append)
        reader.begin(time.time() - 60)
        assert reader.catch_up()
        assert stopping.waited == [2, 4, 8, 16]
        told.pop(0)  # that it does not say its names
        assert "Trying again in 2 s" in told[0]
        assert "is it the URL of an Okta org? Trying again in 4 s" in told[1]
        assert reader.tally.new == {"okta": 1}

        log.refused = [(503, b"")] * 3
        with pytest.raises(OktaRefused, match="503"):
            reader.catch_up(max_failures=2)
        log.refused = [(200, b"<html>")] * 3
        with pytest.raises(OktaUnavailable):
            reader.catch_up(max_failures=2)


@SQLITE
def test_a_wait_is_broken_off(
    serve: Callable[..., Log], connect: Callable[..., Flask], okta: EventHook
) -> None:
    """Also that for the rate limit: what is told to stop does not wait for a minute."""
    log = serve(page("a"))
    app = connect(log.url, okta)
    log.refused = [(429, b"{}")] * 3
    stopping = Impatient(most=2)
    with open_org(app, stopping) as org:
        reader = reading(app, org, stopping)
        reader.begin(time.time())
        assert not reader.catch_up()
        assert not reader.tally.is_at_end
    with pytest.raises(Stopped):
        interruptible(stopping)(1)


def test_a_page_is_stored_with_its_cursor_or_not_at_all(
    inbox: Inbox, open_inbox: Callable[[], Inbox], delivery: Callable[..., Any]
) -> None:
    """Who is overtaken by another stores nothing, and cannot move the cursor back."""
    other = open_inbox()
    start, middle, end = (
        Cursor(next_url=url, reached_at=at) for url, at in [("a", 1), ("b", 2), ("c", 3)]
    )

    assert inbox.cursors.advance("org", [delivery("a")], before=None, after=start) is not None
    assert other.cursors.advance("org", [delivery("x")], before=None, after=end) is None
    assert other.cursors.of("org") == start
    assert inbox.cursors.advance("org", [delivery("b")], before=start, after=end) is not None
    assert other.cursors.advance("org", [delivery("x")], before=start, after=middle) is None
    assert other.cursors.of("org") == end
    assert other.cursors.of("another org") is None
    assert sorted(event.uuid for event in inbox.overview.find(Selection())) == ["a", "b"]


@SQLITE
@pytest.mark.parametrize("command", ["backfill", "reconcile"])
def test_an_org_that_answers_with_something_else(
    serve: Callable[..., Log], connect: Callable[..., Flask], okta: EventHook, command: str
) -> None:
    """What is no log will be none in a minute either: it is said at once."""
    log = serve("{}")
    log.hooks = 200, b"{}"
    app = connect(log.url, okta)

    result = app.test_cli_runner().invoke(group, [command, "--since", "1h"])

    assert result.exit_code == 1
    assert "is it the URL of an Okta org?" in result.output
    assert "Trying again" not in result.output
