from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from okta_hooks.operations import Operations
from okta_hooks.simulator import Org as SimulatedOrg
from okta_hooks.simulator import Simulator, app_sender
from tests.support import NEEDS_SDK, SECRET, answer_challenge

from .support import CREATED, read
from .support import TOKEN as ORG_TOKEN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask import Flask

    from okta_hooks import EventHook
    from okta_hooks.simulator import Answer, Request

pytest.importorskip("prometheus_client", reason="the extra prometheus is not installed")
pytestmark = NEEDS_SDK

TOKEN = "a token of the tests"
HOUR = 60


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """Run an org with one hook, which was made two hours ago: that is when its clock stands still."""
    began = datetime.now(UTC) - timedelta(minutes=2 * HOUR)
    org = SimulatedOrg(token=ORG_TOKEN, seed=1, send=answer_challenge, clock=lambda: began)
    with Simulator(org, rate_limits={"/api/v1/logs": 10**6}) as simulator:
        org.register("https://app.example.com/okta/events", [CREATED])
        yield simulator


@pytest.fixture
def app(connect: Callable[..., Flask], simulator: Simulator, okta: EventHook) -> Flask:
    """Return an app that is connected to the simulated org, and that machines may ask."""
    app = connect(simulator.url, okta, OPERATIONS_TOKEN=TOKEN)
    app.register_blueprint(Operations())
    app.testing = True
    return app


def metric(app: Flask, name: str) -> float:
    """Return what a scrape says of a metric whose samples are added up."""
    from prometheus_client.parser import text_string_to_metric_families

    answer = app.test_client().get("/okta/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    families = text_string_to_metric_families(answer.text)
    return sum(one.value for family in families for one in family.samples if one.name == name)


def test_an_hour_of_refusals(app: Flask, simulator: Simulator) -> None:
    """While deliveries come there is no alarm, quiet or not; after an outage the next backfill raises it."""
    org = simulator.org
    sender = app_sender(app)
    began = org.clock()

    def with_secret(request: Request) -> Answer:
        return sender(replace(request, headers={**request.headers, "Authorization": SECRET}))

    def pass_an_hour(first: int) -> None:
        for minute in range(first, first + HOUR):
            org.clock = lambda minute=minute: began + timedelta(minutes=minute)  # type: ignore[misc]
            if minute % 5 == 0:
                org.emit(CREATED)
            org.settle()

    org.send = with_secret
    pass_an_hour(0)
    assert read(app, "--since=3h")["new"] == 0
    assert metric(app, "okta_hooks_recovered_total") == 0
    assert metric(app, "okta_hooks_refused_total") == 0

    # The secret at Okta is another: each delivery is refused.
    org.send = sender
    pass_an_hour(HOUR)
    assert metric(app, "okta_hooks_refused_total") == HOUR / 5
    assert metric(app, "okta_hooks_recovered_total") == 0

    assert read(app)["new"] == HOUR / 5
    assert metric(app, "okta_hooks_recovered_total") == HOUR / 5
    org.send = with_secret
    org.emit(CREATED)
    org.settle()
    assert read(app)["new"] == 0
    assert metric(app, "okta_hooks_recovered_total") == HOUR / 5
