"""What a worker's backfill finds out beside its work, over HTTP: that a hook at Okta does not deliver."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from okta_hooks import signals
from okta_hooks.org.client import OktaClient
from okta_hooks.org.keep_up import RegisteredHooks, keep_up
from okta_hooks.simulator import Org, Simulator
from tests.org.backfill.support import Impatient
from tests.support import CREATED, NEEDS_SDK, SQLITE, answer_challenge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask import Flask

    from okta_hooks import EventHook
    from okta_hooks.state import AppState
    from tests.support import Calls, Clock

pytestmark = NEEDS_SDK

URL = "https://app.example.com/okta/events"


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """Run an org with one hook, to which nothing is delivered."""
    org = Org(token="T", seed=1, send=answer_challenge)
    with Simulator(org, rate_limits={"/api/v1/logs": 10**6}) as simulator:
        org.register(URL, [CREATED], name="Staff")
        yield simulator


@pytest.fixture
def state(
    simulator: Simulator, okta: EventHook, make_app: Callable[..., Flask], inbox_url: str
) -> Iterator[AppState]:
    """Return the state of an app that has a receiver, and whose hook it is."""
    okta.on(CREATED)(lambda *_, **__: None)
    app = make_app(okta, INBOX=inbox_url, ORG_URL=simulator.url, API_TOKEN="T", URL=URL)
    made: AppState = app.extensions["okta_hooks"]
    yield made
    made.close()


@SQLITE
def test_events_that_no_hook_has_brought(
    simulator: Simulator,
    state: AppState,
    caplog: pytest.LogCaptureFixture,
    hear: Callable[..., Calls],
) -> None:
    """They are told once, with their number; one that may still be under way is none."""
    heard = hear(signals.events_recovered)
    earlier = datetime.now(UTC) - timedelta(minutes=2)
    simulator.org.emit(CREATED, count=3, faults=["lost"], published=earlier)
    simulator.org.emit(CREATED, faults=["lost"])
    stopping = Impatient(most=2)

    with OktaClient(state.settings, wait=stopping.wait) as client:
        keep_up(state, client, stopping, 300)

    (told,) = heard.arguments
    assert (told["hook"].name, told["number"]) == ("okta", 3)
    assert caplog.text.count("3 events of the hook 'okta' that no delivery had") == 1


@SQLITE
def test_a_quiet_org_raises_no_alarm(
    state: AppState, caplog: pytest.LogCaptureFixture, hear: Callable[..., Calls]
) -> None:
    """Nothing happens, so nothing is missing, however long no delivery comes."""
    heard = [hear(signals.events_recovered), hear(signals.registration_inactive)]
    stopping = Impatient(most=3)

    with OktaClient(state.settings, wait=stopping.wait) as client:
        keep_up(state, client, stopping, 300)

    assert [each.arguments for each in heard] == [[], []]
    assert caplog.records == []


@SQLITE
def test_a_hook_that_is_switched_off(
    simulator: Simulator,
    state: AppState,
    caplog: pytest.LogCaptureFixture,
    hear: Callable[..., Calls],
    clock: Clock,
) -> None:
    """It is told when that is found, ten minutes after the last look at the latest, and when it is over."""
    heard = hear(signals.registration_inactive)
    inbox = state.runtime().inbox
    inbox.elapsed = lambda: clock.now
    (hook,) = simulator.org.hooks()
    with OktaClient(state.settings) as client:
        hooks = RegisteredHooks(state, client)
        hooks.look()
        simulator.org.deactivate_hook(hook["id"])
        clock.now += 599
        hooks.look()
        assert heard.arguments == []
        for _ in range(3):
            clock.now += 601
            hooks.look()
        (told,) = heard.arguments
        assert (told["name"], told["status"], told["verification_status"]) == (
            "Staff 1",
            "INACTIVE",
            "VERIFIED",
        )
        assert caplog.text.count("is INACTIVE and VERIFIED, so nothing is delivered to 'okta'") == 1

        simulator.org.activate_hook(hook["id"])
        clock.now += 601
        hooks.look()
    assert "is active and verified again" in caplog.text


@SQLITE
def test_a_token_that_may_not_read_hooks(
    simulator: Simulator,
    okta: EventHook,
    make_app: Callable[..., Flask],
    inbox_url: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is said once, with what is needed."""
    simulator.org.access.add_token("logs", ["okta.logs.read"])
    app = make_app(okta, INBOX=inbox_url, ORG_URL=simulator.url, API_TOKEN="logs", URL=URL)
    state: AppState = app.extensions["okta_hooks"]
    inbox = state.runtime().inbox
    elapsed = iter(range(0, 10_000, 601))
    inbox.elapsed = lambda: float(next(elapsed))

    with OktaClient(state.settings) as client:
        hooks = RegisteredHooks(state, client)
        hooks.look()
        hooks.look()
    state.close()

    assert caplog.text.count("cannot be asked") == 1
    assert "okta.eventHooks.read" in caplog.text
