from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from flask import request

from okta_hooks import settings
from okta_hooks.exceptions import VerificationFailed
from okta_hooks.org import provisioning
from okta_hooks.org.client import OktaClient
from okta_hooks.simulator import Org, Simulator
from tests.support import NEEDS_SDK

from .support import CREATE, DEACTIVATE, TOKEN, World

if TYPE_CHECKING:
    from collections.abc import Callable

    from okta_hooks.org.hooks import RegisteredHook

pytestmark = NEEDS_SDK


def test_verify_later(world: World) -> None:
    """What apply leaves unverified is out of step until verify has been run."""
    applied = world.run("apply", "--url", world.url, "--no-verify", "--yes")
    assert "It gets no events yet" in applied.stderr
    planned = world.run("plan", status=2)
    assert "    ~ verification: UNVERIFIED -> VERIFIED" in planned.stdout
    assert "Plan: 1 to change: 1 other change." in planned.stdout

    world.asked()
    world.run("apply", "--no-verify", "--yes")
    assert world.asked() == ["GET /api/v1/eventHooks"]

    (hook,) = world.org.hooks()
    assert world.run("verify").stdout == f"The hook 'okta' ({hook['id']}) is verified.\n"
    assert json.loads(world.run("verify", "--json").stdout) == {
        "id": hook["id"],
        "name": "okta",
        "url": world.url,
        "status": "ACTIVE",
        "verification": "VERIFIED",
    }
    world.run("plan")


def test_an_app_that_is_down(world: World) -> None:
    """The hook is created, the verification fails with what to look at, and goes on from there later."""
    world.configure(URL="http://127.0.0.1:9/okta/events")
    result = world.run("apply", "--yes", status=1)
    assert result.stdout.splitlines()[-1].startswith("Created: who")
    lines = result.stderr.splitlines()
    assert lines[0] == "Okta asked http://127.0.0.1:9/okta/events, and got no right answer. Look at"
    assert lines[-1].startswith("Error: The hook is not verified. Okta answered 400: E0000001")
    assert lines[-1].endswith("When that is mended: flask okta-hooks verify")
    assert "has the first secret" not in result.stderr

    assert "Connection refused" in world.fail("verify")
    world.asked()
    world.fail("apply", "--yes")
    assert [request.split()[0] for request in world.asked()] == ["GET", "POST"]


class SlowOrg(Org):
    """An org that verifies a hook some looks after it has said that it would."""

    looks = 3

    def verify_hook(self, hook_id: str) -> dict[str, Any]:
        """Verify a hook, and do not show it yet."""
        return {**super().verify_hook(hook_id), "verificationStatus": "UNVERIFIED"}

    def hooks(self) -> list[dict[str, Any]]:
        """Show a hook as verified when it has been looked at often enough."""
        self.looks -= 1
        state = "VERIFIED" if self.looks < 1 else "UNVERIFIED"
        return [{**hook, "verificationStatus": state} for hook in super().hooks()]


def verify_slowly(world: World, looks: int, wait: Callable[[float], Any]) -> RegisteredHook:
    """Verify a hook of an org that has to be looked at so many times."""
    slow = SlowOrg(token=TOKEN, seed=1, http_hooks=True)
    configured = {"OKTA_HOOKS_API_TOKEN": TOKEN}
    with Simulator(slow) as simulator:
        configured["OKTA_HOOKS_ORG_URL"] = simulator.url
        with OktaClient(settings.read(configured)) as org:
            world.org = slow
            world.create(CREATE, DEACTIVATE)
            (hook,) = org.hooks()
            slow.looks = looks
            return provisioning.verify(org, hook, wait=wait)


def test_okta_takes_its_time(world: World) -> None:
    """A hook that is not verified at once is looked at again."""
    waited: list[float] = []

    assert verify_slowly(world, 3, waited.append).is_verified
    assert waited == [2.0, 2.0, 2.0]


def test_okta_takes_for_ever(world: World) -> None:
    """It is not looked at again without end."""
    waited: list[float] = []

    with pytest.raises(VerificationFailed, match="after 20 s the hook is UNVERIFIED"):
        verify_slowly(world, 100, waited.append)
    assert sum(waited) == 20.0


def test_a_hook_that_is_deleted_meanwhile(world: World) -> None:
    """Between plan and apply somebody may be faster."""
    hook_id = world.create(CREATE)

    @world.simulator.app.before_request
    def delete() -> None:
        if request.method == "PUT":
            world.org.deactivate_hook(hook_id)
            world.org.delete_hook(hook_id)

    assert world.fail("apply", "--yes") == (
        f"Error: The hook 'Staff' ({hook_id}) has been deleted at Okta in the meantime: plan again."
    )
