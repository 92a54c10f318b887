from __future__ import annotations

import json
import logging
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from Cryptodome.PublicKey import RSA
from flask import request

from okta_hooks.simulator import Simulator
from tests.support import NEEDS_SDK

from .support import CREATE, DEACTIVATE, SECRET, TOKEN, World, environment, write_host

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from flask import Response

pytestmark = NEEDS_SDK


def test_a_wrong_token(world: World) -> None:
    """It is not shown, and the key that holds it is named."""
    world.configure(API_TOKEN="00a-another")

    error = world.fail("plan")
    assert error == (
        "Error: Okta answered 401: E0000011: Invalid token provided. "
        "The token is wrong, expired or revoked, or another org's: see OKTA_HOOKS_API_TOKEN."
    )
    assert "00a-another" not in error


def test_a_token_that_may_not(world: World) -> None:
    """Whoever is refused reads which permission the command needs."""
    world.create(CREATE)
    refusal = {
        "errorCode": "E0000006",
        "errorSummary": "You do not have permission to perform the requested action",
    }

    @world.simulator.app.before_request
    def refuse() -> Any:
        return (refusal, 403) if request.method != "GET" else None

    world.run("plan", status=2)
    error = world.fail("apply", "--yes")
    assert error.startswith("Error: Okta answered 403: E0000006: You do not have permission to")
    assert error.endswith(
        "This command needs okta.eventHooks.read and okta.eventHooks.manage. At Okta the administrator whose token "
        "it is must have the role Super Administrator, or a custom role with okta.eventhooks.read and "
        "okta.eventhooks.manage."
    )
    assert "needs okta.eventHooks.read and okta.eventHooks.manage." in world.fail("verify")


def test_a_service_app_without_the_scope(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The token endpoint's refusal names what is needed, and a wrong key is told apart."""
    monkeypatch.setenv("OKTA_CLIENT_AUTHORIZATIONMODE", "PrivateKey")
    monkeypatch.setenv("OKTA_CLIENT_CLIENTID", "0oa1")
    monkeypatch.setenv("OKTA_CLIENT_SCOPES", "okta.logs.read")
    key = RSA.generate(2048)
    monkeypatch.setenv("OKTA_CLIENT_PRIVATEKEY", key.export_key().decode())
    public_key = key.public_key().export_key().decode()
    world.org.access.add_service_app("0oa1", public_key, ["okta.eventHooks.read"])
    world.configure(API_TOKEN=None)

    assert world.fail("plan") == (
        "Error: Okta answered 400: invalid_scope: One or more scopes are not configured "
        "for the authorization server resource. "
        "This command needs okta.eventHooks.read: grant the service app these scopes at Okta, "
        "and name them in OKTA_CLIENT_SCOPES."
    )
    monkeypatch.setenv("OKTA_CLIENT_PRIVATEKEY", RSA.generate(2048).export_key().decode())
    assert "private key is not that of a service app of this org" in world.fail("plan")


def test_something_that_is_no_org(world: World) -> None:
    """Another server's 404, and a host that nobody listens at, are told from Okta's answers."""
    world.configure(ORG_URL=world.url.removesuffix("/okta/events"))
    assert world.fail("plan") == (
        "Error: Okta answered 404: it gave no reason. Is OKTA_HOOKS_ORG_URL the URL of an Okta org?"
    )
    world.configure(ORG_URL="http://127.0.0.1:9")
    world.configure(ORG_URL=world.org.url)
    world.simulator.app.before_request(lambda: "Hello")
    assert world.fail("plan").endswith("with JSON: is it the URL of an Okta org?")
    world.configure(ORG_URL="http://127.0.0.1:9")
    assert world.fail("plan").startswith("Error: http://127.0.0.1:9 cannot be reached: ")
    world.configure(ORG_URL=None)
    assert world.fail("plan").startswith("Error: OKTA_HOOKS_ORG_URL is not set")


def test_a_rate_limited_org(world: World) -> None:
    """What is waited for is told on the standard error, and the plan comes after it."""
    now = [datetime.now(UTC) - timedelta(hours=1)]
    world.org.clock = lambda: now[0]
    simulator = Simulator(world.org, rate_limits={"/api/v1/eventHooks": 1})

    @simulator.app.after_request
    def let_a_minute_pass(response: Response) -> Response:
        if response.status_code == 429:
            now[0] += timedelta(minutes=1)
        return response

    with simulator:
        world.configure()
        world.create(CREATE, DEACTIVATE)
        assert world.run("plan").stderr == ""
        result = world.run("plan", "--json")
    assert json.loads(result.stdout)["in_step"] is True
    assert result.stderr.startswith(
        f"The rate limit of {world.org.url} is used up: going on in 1 s"
    )


def test_nothing_secret_is_logged(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Neither when all goes well nor when it does not, nor in what a traceback shows of a plan."""
    caplog.set_level(logging.DEBUG)
    world.run("apply", "--url", world.url, "--yes")
    world.run("apply", "--rotate", "--yes")
    world.org.http_hooks = False
    world.fail("apply", "--rotate", "--yes")

    assert caplog.text
    assert SECRET not in caplog.text
    assert TOKEN not in caplog.text


def test_wrong_use_is_not_out_of_step(world: World, tmp_path: Path) -> None:
    """A pipeline must not take a slip in the command, or an app that is not found, for a plan."""
    world.run("plan", "--bogus", status=1)
    world.run("plan", "--url", "nonsense", status=1)
    ended = at_shell(tmp_path, "--app", "nowhere", "okta-hooks", "plan")
    assert ended.returncode == 1
    assert "Could not import 'nowhere'" in ended.stderr


def test_without_the_sdk(world: World, tmp_path: Path) -> None:
    """Who has not installed the extra is told how."""
    write_host(tmp_path, "import sys; sys.modules['okta'] = None")

    ended = at_shell(tmp_path, "--app", "host", "okta-hooks", "plan")
    assert ended.returncode == 1
    assert ended.stderr == (
        "Error: To talk to Okta its SDK is needed: pip install 'okta-hooks[okta]'\n"
    )


def at_shell(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "flask", *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
    )
