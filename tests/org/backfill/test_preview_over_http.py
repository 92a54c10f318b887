"""A preview that an org sends over HTTP, edited, of an event that was not delivered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from okta_hooks.simulator import Org, Simulator
from tests.support import NEEDS_SDK, SECRET, serving

from .support import CREATED, TOKEN, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

    from okta_hooks import EventHook

pytestmark = NEEDS_SDK


def test_receivers_get_the_real_event_too(connect: Callable[..., Flask], okta: EventHook) -> None:
    """A backfill tells the log's event from the preview with its uuid, and receivers have had both, each once."""
    got: list[Any] = []
    okta.on(CREATED, name="got")(lambda sender, event, **extra: got.append(event.raw))
    org = Org(token=TOKEN, seed=1, http_hooks=True)
    with Simulator(org) as simulator:
        app = connect(simulator.url, okta, URL=None, WORKER="external")
        with serving(app) as base:
            (hook_id,) = org.register(f"{base}/okta/events", [CREATED], secret=SECRET)
            (real,) = org.emit(CREATED, target="user:ada@example.com", faults=["lost"])
            preview = org.preview(hook_id, CREATED, target="user:test@example.com")
            org.settle()
            assert org.deliveries()[-1]["state"] == "delivered"
            assert preview["uuid"] == real["uuid"]
            run(app, "backfill", "--since=1h")
            app.extensions["okta_hooks"].runtime().worker.drain()
    assert {each["uuid"] for each in got} == {real["uuid"]}
    assert sorted(each["target"][0]["alternateId"] for each in got) == [
        "ada@example.com",
        "test@example.com",
    ]
