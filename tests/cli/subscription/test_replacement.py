"""What a replacement keeps, loses, and must not overtake."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask import request

from okta_hooks import EventHook
from okta_hooks.org import hook_request, subscription
from okta_hooks.org.client import _hook
from okta_hooks.secret import Secret, revealed
from tests.support import SECRET

from .support import CREATE, DEACTIVATE, World

START = "user.session.start"


def filtered(*types: str) -> dict[str, Any]:
    entries = [
        {"event": each, "condition": {"expression": "event.actor.id ne null"}} for each in types
    ]
    return {"type": "EXPRESSION_LANGUAGE", "eventFilterMap": entries}


def test_what_is_not_known_stays(world: World) -> None:
    """A replacement begins with the document as it was read: what this library has no name for is sent back."""
    hook_id = world.create(CREATE)
    document = world.org.hook(hook_id)
    document["region"] = {"of": "tomorrow"}
    document["channel"]["config"]["authScheme"]["scheme"] = "new"
    live = _hook("https://acme.okta.com", document)
    needed = subscription.Demand(
        patterns=frozenset({CREATE, DEACTIVATE}), types=(CREATE, DEACTIVATE)
    )
    made = subscription.plan(needed, live, name="Staff", url=None, auth_header="Authorization")

    body = revealed(hook_request.body(made, Secret("s3cret")))

    assert body["region"] == {"of": "tomorrow"}
    assert "region" in made.kept
    assert body["channel"]["config"]["method"] == "POST"
    assert body["channel"]["config"]["authScheme"] == {
        "type": "HEADER",
        "key": "Authorization",
        "value": "s3cret",
        "scheme": "new",
    }
    assert not body.keys() & {"id", "status", "verificationStatus", "created", "_links"}


def test_what_goes_is_listed(world: World) -> None:
    """A filter goes with its type, and that is said before."""
    types = {"type": "EVENT_TYPE", "items": [CREATE, START], "filter": filtered(CREATE, START)}
    world.create(CREATE, events=types)

    assert f"    - lost: filter of {START}" in world.run("plan", status=2).stdout
    document = json.loads(world.run("plan", "--json", status=2).stdout)
    assert document["lost"] == [f"filter of {START}"]
    assert document["kept"] == [f"filter of {CREATE}"]


@pytest.mark.parametrize("change", ["types", "status"])
def test_a_hook_that_is_changed_meanwhile(world: World, change: str) -> None:
    """Between plan and write somebody may be faster: nothing is written over it, also with --yes."""
    hook_id = world.create(CREATE)
    done: list[str] = []

    @world.simulator.app.after_request
    def be_faster(response: Any) -> Any:
        if request.path == "/api/v1/eventHooks" and not done:
            done.append(change)
            if change == "status":
                world.org.deactivate_hook(hook_id)
            else:
                hook = world.org.hook(hook_id)
                hook["events"]["items"] = [CREATE, START]
                hook["channel"]["config"]["authScheme"]["value"] = SECRET
                world.org.replace_hook(hook_id, hook)
        return response

    error = world.fail("apply", "--yes")

    assert "has been changed at Okta in the meantime, and nothing was written: plan again." in error
    now = world.org.hook(hook_id)
    assert now["status"] == ("INACTIVE" if change == "status" else "ACTIVE")
    assert not any(each.startswith("PUT") for each in world.asked())


def test_two_apps_share_a_hook(world: World) -> None:
    """With --keep-types each adds what it needs, and takes nothing from the other."""
    world.create(CREATE)
    world.run("apply", "--yes", "--keep-types")
    other = EventHook("okta")
    other.on(START)(lambda *_, **__: None)
    ours, world.hooks = world.hooks, (other,)
    world.configure()
    world.run("apply", "--yes", "--keep-types")
    world.run("plan", "--keep-types")
    world.hooks = ours
    world.configure()

    assert "is in step" in world.run("plan", "--keep-types").stdout
    assert sorted(world.org.hooks()[0]["events"]["items"]) == [CREATE, DEACTIVATE, START]
    assert f"- {START}" in world.run("plan", status=2).stdout
