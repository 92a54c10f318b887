from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

import pytest
from flask import request

from okta_hooks import EventHook, settings
from okta_hooks.cli.verification import cure
from okta_hooks.exceptions import VerificationFailed
from okta_hooks.org import provisioning
from okta_hooks.org.client import OktaClient
from okta_hooks.simulator import Answer, Org, Simulator
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
    left = world.run("apply", "--no-verify")
    assert left.stdout.splitlines()[1:] == [
        "Plan: nothing to do but the verification, which --no-verify leaves out."
    ]
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


def test_what_is_left_out_is_not_a_part_of_the_plan(world: World) -> None:
    """With --no-verify apply says that it changes the rest; what is out of step stays so for plan."""
    hook_id = world.create(CREATE, DEACTIVATE)
    hook = world.org.hook(hook_id)
    hook["channel"]["config"]["headers"] = [{"key": "X-Via", "value": "okta"}]
    world.org.replace_hook(hook_id, hook)
    world.org.deactivate_hook(hook_id)

    applied = world.run("apply", "--no-verify", "--rotate", "--yes").stdout

    assert "verification:" not in applied
    assert "    ~ status: INACTIVE -> ACTIVE" in applied
    assert "Plan: 1 to change: 2 other changes." in applied
    assert "    ~ verification: UNVERIFIED -> VERIFIED" in world.run("plan", status=2).stdout


def test_an_app_that_is_down(world: World) -> None:
    """The hook is created, the verification fails with what to look at, and goes on from there later."""
    world.configure(URL="http://127.0.0.1:9/okta/events")
    result = world.run("apply", "--yes", status=1)
    assert result.stdout.splitlines()[-1].startswith("Created: who")
    (line,) = result.stderr.splitlines()
    url = "http://127.0.0.1:9/okta/events"
    assert line.startswith(f"Error: Okta could not verify {url}. Okta answered 400: E0000001")
    assert f"Nobody answered: is the app running at {url}, and can Okta reach it?" in line
    assert "At Okta the hook is UNVERIFIED, and gets no events." in line
    assert line.endswith(f"When that is mended: flask okta-hooks verify --url {url}")
    assert "has the first secret" not in result.stderr

    assert "Connection refused" in world.fail("verify")
    world.asked()
    world.fail("apply", "--yes")
    assert [request.split()[0] for request in world.asked()] == ["GET", "POST", "GET"]


def again(text: str) -> list[str]:
    """Return the arguments of the command that an error ends with."""
    return shlex.split(text.rpartition("flask okta-hooks ")[2])


@pytest.mark.parametrize("hidden", ["", "?key=hush"])
def test_the_command_that_goes_on_from_there(world: World, okta: EventHook, hidden: str) -> None:
    """It says which hook is meant, as nothing else does, and works as it stands; nothing secret is in it."""
    world.configure(URL=None)
    url = f"{world.url}{hidden}"
    send, world.org.send = world.org.send, lambda _: Answer(status=503, body=b"")

    failed = world.fail("apply", "--url", url, "--yes")
    world.org.send = send

    assert "It answered 503: the log of the app, or of the proxy before it, says why." in failed
    assert "hush" not in failed
    assert world.run(*again(failed)).stdout.endswith("is verified.\n")


def test_the_command_for_what_was_left_unverified(world: World, okta: EventHook) -> None:
    """In an app with several hooks, and with several hooks at one URL, it says which are meant."""
    other = EventHook("customers", url_prefix="/okta/customers")
    world.hooks = (okta, other)
    world.configure(URL=None)
    world.create(CREATE, DEACTIVATE, name="Another")

    wanted = ("--hook", "okta", "--name", "Another", "--url", f"{world.url}/")
    world.run("apply", *wanted, "--no-verify", "--rotate", "--yes")
    world.create(CREATE, name="Beside it")
    left = world.run("apply", *wanted, "--no-verify", "--yes").stderr.splitlines()[0]

    assert again(left) == ["verify", "--hook", "okta", "--name", "Another", "--url", world.url]
    assert world.run(*again(left)).stdout.startswith("The hook 'Another'")


def test_a_verification_that_fails_takes_nothing_away(world: World) -> None:
    """What Okta has is read again: a hook that was verified before goes on getting events."""
    world.create(CREATE, DEACTIVATE)
    world.org.send = lambda _: Answer(status=401, body=b"")

    failed = world.fail("verify")

    assert "At Okta the hook is VERIFIED still, and goes on getting events." in failed
    assert (
        "It answered 401: the running app has another secret than Okta; "
        "apply --rotate gives Okta the first one of OKTA_HOOKS_SECRET."
    ) in failed


def test_a_secret_that_only_okta_has(world: World) -> None:
    """A secret that changed takes the verification away, and the cure is about the secret of here."""
    world.create(CREATE, DEACTIVATE)
    world.org.send = lambda _: Answer(status=401, body=b"")

    failed = world.fail("apply", "--rotate", "--yes")

    assert "At Okta the hook is UNVERIFIED, and gets no events." in failed
    assert (
        "It answered 401: the running app has another secret than the first one of OKTA_HOOKS_SECRET here."
    ) in failed


def test_an_org_that_does_not_say_what_it_has(world: World) -> None:
    """What cannot be read is not claimed."""
    hook_id = world.create(CREATE, DEACTIVATE)
    world.org.send = lambda _: Answer(status=404, body=b"")

    @world.simulator.app.before_request
    def refuse() -> Any:
        return ({}, 500) if (request.method, request.path[-20:]) == ("GET", hook_id) else None

    failed = world.fail("verify")

    assert "Whether the hook is verified at Okta could not be read." in failed
    assert f"It answered 404: is {world.url} the path of the hook in the running app?" in failed


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("The endpoint answered 302, not 200", "follows no redirect"),
        ("The endpoint answered 405, not 200", "does something before it answer?"),
        ("There was no answer: timed out", "Nobody answered"),
        ("There was no answer: Name or service not known", "Nobody answered"),
        ("CERTIFICATE_VERIFY_FAILED: self-signed certificate", "a public authority"),
        ("The answer does not have the challenge at verification", "Something else answers"),
        ("It failed", "flask okta-hooks doctor --url '<the whole URL>' asks the same"),
    ],
)
def test_the_cure_goes_by_the_cause(reason: str, said: str) -> None:
    """Of what it may be, only that is told which fits what Okta has said."""
    url = "https://a.example.com/okta/events?key=hush"
    cured = cure(VerificationFailed(url, f"Okta answered 400: E0000001: {reason}"))

    assert said in cured
    assert "hush" not in cured


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
