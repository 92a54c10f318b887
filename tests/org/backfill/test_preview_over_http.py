"""A preview that an org sends over HTTP, edited, of an event that was not delivered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from okta_hooks.simulator import Org, Simulator
from tests.support import NEEDS_SDK, SECRET, serving

from .support import CREATED, TOKEN, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

    from okta_hooks import EventHook, LogEvent

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


def test_an_edit_of_the_debug_data_alone(connect: Callable[..., Flask], okta: EventHook) -> None:
    """A preview that claims a higher privilege does not take the place of the event that grants a lower one."""
    grant = "user.account.privilege.grant"
    given: list[str] = []

    @okta.on(grant, name="given")
    def note(sender: Flask, event: LogEvent, **extra: Any) -> None:
        given.append(event.raw["debugContext"]["debugData"]["privilegeGranted"])

    def privilege(granted: str) -> dict[str, Any]:
        return {"debugData": {"privilegeGranted": granted}}

    org = Org(token=TOKEN, seed=1, http_hooks=True)
    with Simulator(org) as simulator:
        app = connect(simulator.url, okta, URL=None, WORKER="external")
        with serving(app) as base:
            (hook_id,) = org.register(f"{base}/okta/events", [grant], secret=SECRET)
            org.emit(grant, faults=["lost"], debug_context=privilege("Read-only administrator"))
            org.preview(hook_id, grant, debug_context=privilege("Super administrator"))
            org.settle()
            run(app, "backfill", "--since=1h")
            app.extensions["okta_hooks"].runtime().worker.drain()
    assert sorted(given) == ["Read-only administrator", "Super administrator"]
