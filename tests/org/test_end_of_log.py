"""What proves that a log was read to its end, over HTTP: a hole in it does not, nor does this host's clock."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from flask import request

from okta_hooks.cli import group
from okta_hooks.simulator import Org, Simulator
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
        if request.path == "/api/v1/logs" and "until" not in request.args:
            polled += 1
            if polled in holes:
                # It leads on to where the log was asked for: nothing is lost by it.
                response.data = b"[]"
                step = {**request.args, "again": str(polled)}
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
        org.emit(CREATED, count=3)
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
