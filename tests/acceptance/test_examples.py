from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import Request, urlopen

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.acceptance.conftest import Server

EXAMPLES = Path(__file__).parents[2] / "examples"
SECRET = "correct horse"
DELIVERY = b"""{"eventId":"1","data":{"events":[
    {"uuid":"1","eventType":"user.lifecycle.deactivate","target":[
        {"type":"User","alternateId":"ada@example.com"},{"type":"User","alternateId":"bob@example.com"}]},
    {"uuid":"2","eventType":"user.lifecycle.deactivate","target":[
        {"type":"User","alternateId":"eve@example.com"}]}]}}"""


@pytest.mark.parametrize(
    "command",
    [
        ["flask", "--app", "examples/quickstart", "run", "--port=0"],
        ["gunicorn", "--chdir=examples", "--bind=127.0.0.1:0", "quickstart:create_app()"],
        ["waitress", "--listen=127.0.0.1:0", "--call", "examples.quickstart:create_app"],
    ],
    ids=["flask run", "gunicorn", "waitress"],
)
def test_quickstart(start_server: Callable[..., Server], command: list[str]) -> None:
    """The quickstart is served as it is, verified, and prints whom Okta has deactivated."""
    server = start_server(command, EXAMPLES.parent, FLASK_OKTA_HOOKS_SECRET=SECRET)
    url = f"http://127.0.0.1:{server.port}/okta/events"

    with urlopen(Request(url, headers={"X-Okta-Verification-Challenge": "3f29"})) as answer:
        assert (answer.status, answer.read()) == (200, b'{"verification": "3f29"}')
    headers = {"Authorization": SECRET, "Content-Type": "application/json"}
    with urlopen(Request(url, DELIVERY, headers)) as answer:
        assert (answer.status, answer.read()) == (204, b"")

    printed = [line for line in server.read().splitlines() if line.startswith("Revoking")]
    assert printed == [f"Revoking the access of {who}@example.com" for who in ("ada", "bob", "eve")]


def run_demo(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, EXAMPLES / "demo.py"],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_demo() -> None:
    """``make demo`` shows the verification, the deliveries and what the receivers made of them."""
    demo = run_demo()

    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "< 200 OK  {" in demo.stdout
    assert "< 401 " in demo.stdout
    assert demo.stdout.count("< 204 ") == 3
    assert "receivers: revoked the tokens of 00u1ada: laptop, phone" in demo.stdout
    assert demo.stdout.endswith("All as it should be.\n")


def test_demo_tells_when_something_is_wrong() -> None:
    """An app that refuses every delivery makes the demo fail, and say where."""
    demo = run_demo(FLASK_OKTA_HOOKS_MAX_BODY="10")

    assert demo.returncode == 1
    assert "! the status should be 204, and is 413" in demo.stdout


def test_demo_tells_when_the_app_does_not_start() -> None:
    """An app that cannot start makes the demo fail, and the app's reason is there to read."""
    demo = run_demo(FLASK_OKTA_HOOKS_MAX_BODY="none at all")

    assert demo.returncode == 1
    assert "OKTA_HOOKS_MAX_BODY is 'none at all'" in demo.stderr
