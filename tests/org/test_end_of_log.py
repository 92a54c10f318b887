"""What proves that a log was read to its end, over HTTP: a hole in it does not, nor does this host's clock."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import flask
import pytest

from okta_hooks.cli import group
from okta_hooks.exceptions import OktaUnavailable
from okta_hooks.org.backfill import Backfill
from okta_hooks.org.client import OktaClient
from okta_hooks.org.keep_up import keep_up
from okta_hooks.org.reconcile import reconcile
from okta_hooks.simulator import Org, Simulator
from tests.org.backfill.support import Impatient
from tests.support import CREATED, SQLITE, answer_challenge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask import Flask

    from okta_hooks import EventHook

URL = "https://app.example.com/okta/events"


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """Run an org with one hook, to which nothing is delivered."""
    org = Org(token="T", seed=1, send=answer_challenge)
    with Simulator(org, rate_limits={"/api/v1/logs": 10**6}) as simulator:
        org.register(URL, [CREATED])
        yield simulator


@pytest.fixture
def app(
    simulator: Simulator, okta: EventHook, make_app: Callable[..., Flask], inbox_url: str
) -> Iterator[Flask]:
    """Return an app that has a receiver, and whose hook it is."""
    okta.on(CREATED)(lambda *_, **__: None)
    app = make_app(okta, INBOX=inbox_url, ORG_URL=simulator.url, API_TOKEN="T", URL=URL)
    yield app
    app.extensions["okta_hooks"].close()


def run(app: Flask, *arguments: str) -> tuple[int, dict[str, Any]]:
    result = app.test_cli_runner().invoke(group, [*arguments, "--json"])
    return result.exit_code, json.loads(result.stdout) if result.stdout.startswith("{") else {}


@SQLITE
@pytest.mark.parametrize("holes", [{2}, {2, 3}, {1}])
def test_an_empty_page_is_no_end(simulator: Simulator, app: Flask, holes: set[int]) -> None:
    """What comes behind it is read, and looked at."""
    published = datetime.now(UTC) - timedelta(minutes=5)
    simulator.org.emit(CREATED, count=2007, faults=["lost"], published=published)
    polled = 0

    @simulator.app.after_request
    def make_hole(response: Any) -> Any:
        nonlocal polled
        if flask.request.path == "/api/v1/logs" and "until" not in flask.request.args:
            polled += 1
            if polled in holes:
                # It leads on to where the log was asked for: nothing is lost by it.
                response.data = b"[]"
                step = {**flask.request.args, "again": str(polled)}
                query = "&".join(f"{key}={value}" for key, value in step.items())
                response.headers["Link"] = f'<{simulator.url}/api/v1/logs?{query}>; rel="next"'
        return response

    status, missing = run(app, "reconcile", "--since=1h")
    assert (status, len(missing["missing"])) == (1, 2007)
    polled = 0
    status, brought = run(app, "backfill", "--since=1h")
    assert (status, brought["new"], brought["is_at_end"]) == (0, 2007, True)
    polled = 0
    status, proved = run(app, "reconcile", "--since=1h")
    assert (status, proved["by_backfill"], proved["missing"]) == (0, 2007, [])


@SQLITE
def test_the_end_that_was_reached_is_the_last_event(simulator: Simulator, app: Flask) -> None:
    """It is not the time of the question: nobody has seen what is not there yet."""
    published = datetime.now(UTC) - timedelta(minutes=30)
    simulator.org.emit(CREATED, faults=["lost"], published=published)

    _, brought = run(app, "backfill", "--since=1h")

    newest = simulator.org.log().events
    latest = max(datetime.fromisoformat(event["published"]) for event in newest)
    assert abs(datetime.fromisoformat(brought["reached"]) - latest) < timedelta(seconds=1)
    assert latest < datetime.now(UTC)


@SQLITE
def test_a_host_whose_clock_is_ahead(simulator: Simulator, app: Flask) -> None:
    """Okta's clock says what is too young to have arrived, and what is later than now."""
    behind = timedelta(minutes=10)
    simulator.org.clock = lambda: datetime.now(UTC) - behind
    simulator.org.emit(CREATED, faults=["lost"])

    status, found = run(app, "reconcile", "--since=1h")

    assert (status, found["missing"], found["under_way"]) == (0, [], 1)
    status, brought = run(app, "backfill", "--since=1m")
    assert (status, brought["new"]) == (0, 1)


@pytest.fixture
def quiet(okta: EventHook, make_app: Callable[..., Flask], inbox_url: str) -> Iterator[Flask]:
    """Return an app whose org has been quiet for two hours."""
    ago = [timedelta(hours=2)]
    org = Org(token="T", seed=1, send=answer_challenge, clock=lambda: datetime.now(UTC) - ago[0])
    with Simulator(org, rate_limits={"/api/v1/logs": 10**6}) as simulator:
        org.register(URL, [CREATED])
        org.emit(CREATED, count=3, faults=["lost"])
        ago[0] = timedelta(0)
        okta.on(CREATED)(lambda *_, **__: None)
        app = make_app(okta, INBOX=inbox_url, ORG_URL=simulator.url, API_TOKEN="T", URL=URL)
        yield app
        app.extensions["okta_hooks"].close()


@SQLITE
@pytest.mark.parametrize("command", ["backfill", "reconcile"])
def test_a_log_in_which_nothing_has_happened_since(quiet: Flask, command: str) -> None:
    """Its newest event is older than what is asked for: that is the end, and nothing has to be waited for."""
    result = quiet.test_cli_runner().invoke(group, [command, "--since", "1h"])

    assert result.exit_code == 0, result.output
    assert "again" not in result.output


@SQLITE
def test_a_quiet_log_that_goes_on(quiet: Flask) -> None:
    """The next backfill, too, goes on from where the first one stopped."""
    runner = quiet.test_cli_runner()
    assert runner.invoke(group, ["backfill", "--since", "1h"]).exit_code == 0

    result = runner.invoke(group, ["backfill"])

    assert result.exit_code == 0, result.output


def withhold(simulator: Simulator, number: int) -> None:
    """Let polling hand out so many events, and behind them an empty page that leads to itself."""

    @simulator.app.after_request
    def end(response: Any) -> Any:
        if flask.request.path == "/api/v1/logs" and "until" not in flask.request.args:
            events = [] if "hole" in flask.request.args else json.loads(response.data)[:number]
            response.data = json.dumps(events).encode()
            link = f'<{simulator.url}/api/v1/logs?hole=1>; rel="next"'
            response.headers["Link"] = link
        return response


@SQLITE
@pytest.mark.parametrize("ahead", [timedelta(0), timedelta(seconds=50)])
def test_a_hole_before_what_came_late(simulator: Simulator, app: Flask, ahead: timedelta) -> None:
    """That the newest event of all has been read proves nothing of those that came into the log after it."""
    now = datetime.now(UTC)
    simulator.org.emit(CREATED, faults=["log_only"], published=now + ahead)
    read = len(simulator.org.log().events)
    simulator.org.emit(CREATED, count=1007, faults=["lost"], published=now - timedelta(minutes=30))
    withhold(simulator, read)
    state = app.extensions["okta_hooks"]
    since = (now - timedelta(hours=1)).timestamp()

    waited: list[float] = []
    with OktaClient(state.settings) as client:
        with pytest.raises(OktaUnavailable, match="events that it does not hand out"):
            reconcile(client, state.runtime().inbox, "okta", [], since=since, wait=waited.append)
        backfill = Backfill(state, client, threading.Event())
        backfill.begin(since)
        with pytest.raises(OktaUnavailable, match="events that it does not hand out"):
            backfill.catch_up(max_failures=0)
    assert waited == [2, 4, 8, 16, 32]
    assert not backfill.tally.is_at_end


@SQLITE
def test_the_last_moment_before_the_end_of_a_span(
    okta: EventHook, make_app: Callable[..., Flask], inbox_url: str
) -> None:
    """What was published in it and is handed out later than usual is read before the report is made."""
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=10)
    until = start + timedelta(hours=1)
    moment = [start]
    org = Org(token="T", seed=1, send=answer_challenge, clock=lambda: moment[0])
    with Simulator(org, rate_limits={"/api/v1/logs": 10**6}) as simulator:
        org.register(URL, [CREATED])
        moment[0] = until + timedelta(hours=2)
        org.emit("user.session.start", count=2000)
        moment[0] += timedelta(hours=1)
        last = org.emit(CREATED, faults=["lost"], published=until - timedelta(milliseconds=1))
        moment[0] = start + timedelta(hours=10)
        okta.on(CREATED)(lambda *_, **__: None)
        app = make_app(okta, INBOX=inbox_url, ORG_URL=simulator.url, API_TOKEN="T", URL=URL)
        span = [f"--since={start.isoformat()}", f"--until={until.isoformat()}"]
        # The second page is wholly behind the span, and the third has what came late.
        status, found = run(app, "reconcile", *span)
        app.extensions["okta_hooks"].close()

    assert (status, found["missing"]) == (1, [last[0]["uuid"]])


@pytest.fixture
def empty(okta: EventHook, make_app: Callable[..., Flask], inbox_url: str) -> Iterator[Flask]:
    """Return an app whose org has a hook of it, and whose log has nothing."""
    long_ago = datetime.now(UTC) - timedelta(days=100)
    clock = [long_ago]
    org = Org(token="T", seed=1, send=answer_challenge, clock=lambda: clock[0])
    with Simulator(org, rate_limits={"/api/v1/logs": 10**6}) as simulator:
        org.register(URL, [CREATED])
        clock[0] = datetime.now(UTC)
        okta.on(CREATED)(lambda *_, **__: None)
        app = make_app(okta, INBOX=inbox_url, ORG_URL=simulator.url, API_TOKEN="T", URL=URL)
        yield app
        app.extensions["okta_hooks"].close()


@SQLITE
def test_an_empty_log(empty: Flask) -> None:
    """It is read to its end, time and again, and nothing is missing of it."""
    status, brought = run(empty, "backfill", "--since=1h")
    assert (status, brought["events"], brought["is_at_end"]) == (0, 0, True)
    status, brought = run(empty, "backfill")
    assert (status, brought["events"], brought["is_at_end"]) == (0, 0, True)
    status, found = run(empty, "reconcile", "--since=1h")
    assert (status, found["missing"], found["reached"]) == (0, [], None)


def keep_up_three_times(app: Flask) -> None:
    stopping = Impatient(most=3)
    state = app.extensions["okta_hooks"]
    with OktaClient(state.settings, wait=stopping.wait) as client:
        keep_up(state, client, stopping, 300)
    assert stopping.waited == [300] * 3


@SQLITE
def test_a_worker_beside_a_quiet_log(quiet: Flask, caplog: pytest.LogCaptureFixture) -> None:
    """It reads the log again and again, without complaint."""
    keep_up_three_times(quiet)

    assert caplog.records == []


@SQLITE
def test_a_worker_beside_an_empty_log(empty: Flask, caplog: pytest.LogCaptureFixture) -> None:
    """It reads the log again and again, without complaint."""
    keep_up_three_times(empty)

    assert caplog.records == []


@SQLITE
def test_what_comes_into_the_log_after_its_last_page(simulator: Simulator, app: Flask) -> None:
    """It is read at once: that the page before did not have it is no failure."""
    asked = 0

    @simulator.app.before_request
    def emit() -> None:
        nonlocal asked
        if "until" in flask.request.args:
            asked += 1
            if asked == 1:
                simulator.org.emit(CREATED, count=3, faults=["lost"])

    result = app.test_cli_runner().invoke(group, ["backfill", "--since", "1h"])

    assert result.exit_code == 0
    assert "okta: 3 new" in result.output
    assert "again" not in result.output
