from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.support import NEEDS_SDK

from .support import CREATE, DEACTIVATE

if TYPE_CHECKING:
    from .support import World

pytestmark = NEEDS_SDK


def unused(*_: object, **__: object) -> None:
    """Be a receiver of what Okta delivers to nobody."""


def test_the_resource_for_terraform(world: World) -> None:
    """It is all of the standard output; what else there is to say is on the standard error."""
    world.hooks[0].signal("event_hook.delivery").connect(unused, weak=False)
    result = world.run("plan", "--hcl", status=2)

    assert result.stdout.startswith('variable "okta_secret" {')
    assert f'    uri     = "{world.url}"\n' in result.stdout
    assert result.stdout.endswith("}\n")
    warning, summary = result.stderr.splitlines()
    assert warning.startswith("Warning: tests.cli.subscription.test_hcl:unused will never get ")
    assert summary == "Plan: 1 to create: 2 types."
    assert 'resource "okta_event_hook_verification" "okta" {' in result.stdout
    assert world.asked() == ["GET /api/v1/eventHooks"]


def test_a_hook_that_is_in_step(world: World) -> None:
    """The id to import is said, what the resource cannot hold is warned of, and the status is that of a plan."""
    hook_id = world.create(CREATE, DEACTIVATE, description="Ask Jane.")
    result = world.run("plan", "--hcl")

    assert f"# It exists: terraform import okta_event_hook.okta {hook_id}\n" in result.stdout
    assert re.findall(r'^    "(.*)",$', result.stdout, re.MULTILINE) == [CREATE, DEACTIVATE]
    place, secret, summary = result.stderr.splitlines()
    assert place == "Warning: The resource has no place for description: Terraform removes it."
    assert secret.startswith("Warning: After the import Terraform's first apply writes the hook")
    assert summary == "Plan: nothing to do: 2 types."


def test_one_form_at_a_time(world: World) -> None:
    """JSON and HCL together are wrong use, which is 1: 2 would be an answer."""
    assert world.fail("plan", "--hcl", "--json") == (
        "Error: --json and --hcl are two forms of the same: say one."
    )
