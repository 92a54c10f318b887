from __future__ import annotations

import os
import re
import runpy
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest

from tests.acceptance.conftest import await_verified, until
from tests.support import SECRET

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.acceptance.conftest import Server

EXAMPLES = Path(__file__).parents[2] / "examples"
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
def test_quickstart(
    start_server: Callable[..., Server], command: list[str], tmp_path: Path
) -> None:
    """The quickstart is served as it is, verified, and prints whom Okta has deactivated."""
    environment = {
        "FLASK_OKTA_HOOKS_SECRET": SECRET,
        "FLASK_OKTA_HOOKS_INBOX": f"sqlite:///{tmp_path}/inbox.sqlite3",
    }
    server = start_server(command, EXAMPLES.parent, **environment)
    url = f"http://127.0.0.1:{server.port}/okta/events"
    await_verified(url)

    with urlopen(Request(url, headers={"X-Okta-Verification-Challenge": "3f29"})) as answer:
        assert (answer.status, answer.read()) == (200, b'{"verification": "3f29"}')
    headers = {"Authorization": SECRET, "Content-Type": "application/json"}
    with urlopen(Request(url, DELIVERY, headers)) as answer:
        assert (answer.status, answer.read()) == (204, b"")

    server.await_output("eve@")
    printed = [line for line in server.output.splitlines() if line.startswith("Revoking")]
    assert printed == [f"Revoking the access of {who}@example.com" for who in ("ada", "bob", "eve")]


def run_demo(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, EXAMPLES / "demo.py", *arguments],
        # Where this is set, programs take whatever they write to for a terminal.
        env={key: value for key, value in os.environ.items() if key != "FORCE_COLOR"} | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def rows(output: str) -> dict[str, list[int]]:
    found = re.findall(r"^ +(\w+) +(\d+) +(\d+) +(\d+) +(\d+) *$", output, re.MULTILINE)
    return {receiver: [int(number) for number in numbers] for receiver, *numbers in found}


def test_demo() -> None:
    """The app is killed in the middle of the day, and its receivers see all that it acknowledged."""
    demo = run_demo("--rate=100")

    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert demo.stderr == ""
    assert "12:00  kill -9." in demo.stdout
    assert "The app is started again." in demo.stdout
    shown = rows(demo.stdout)
    assert list(shown) == ["welcome", "directory", "watch", "offboard", "audit"]
    assert all(
        seen == acknowledged and missing == 0 for acknowledged, seen, _, missing in shown.values()
    )
    assert shown["audit"][0] > 0
    assert f"{shown['audit'][0]} were acknowledged" in demo.stdout
    *_, verdict, hint = demo.stdout.splitlines()
    assert verdict == "Every receiver saw everything that was acknowledged."
    assert hint.endswith("make play")
    assert "\x1b" not in demo.stdout


@pytest.mark.parametrize("rate", ["0", "-1", "nan", "quick"])
def test_demo_needs_a_rate(rate: str) -> None:
    """A rate that is none is told in one line."""
    demo = run_demo(f"--rate={rate}")

    assert demo.returncode == 2
    assert "error: argument --rate: " in demo.stderr
    assert "Traceback" not in demo.stderr


def test_demo_tells_when_receivers_see_nothing() -> None:
    """Where no worker hands events to the receivers, the demo counts them as missing, and fails."""
    demo = run_demo("--rate=100", "--patience=1", FLASK_OKTA_HOOKS_WORKER="external")

    assert demo.returncode == 1, demo.stdout + demo.stderr
    shown = rows(demo.stdout)
    assert all(
        seen == 0 and missing == acknowledged for acknowledged, seen, _, missing in shown.values()
    )
    assert shown["audit"][0] > 0
    assert "Some of what was acknowledged is missing." in demo.stdout


def test_demo_tells_when_nothing_is_acknowledged() -> None:
    """An app that refuses every delivery has shown nothing, and the demo fails."""
    demo = run_demo("--rate=1000", FLASK_OKTA_HOOKS_MAX_BODY="10")

    assert demo.returncode == 1
    assert "Nothing was acknowledged, so nothing is shown.\n" in demo.stdout


def test_demo_tells_when_the_app_does_not_start() -> None:
    """An app that cannot start makes the demo fail, and the app's reason is there to read."""
    demo = run_demo(FLASK_OKTA_HOOKS_MAX_BODY="none at all")

    assert demo.returncode == 1
    assert "OKTA_HOOKS_MAX_BODY is set to a wrong value" in demo.stderr


def test_demo_is_a_live_view_in_a_terminal() -> None:
    """In a terminal there are bars, which go away at the end; the lines stay."""
    demo = run_demo(FLASK_OKTA_HOOKS_MAX_BODY="none at all", FORCE_COLOR="1", TERM="xterm")

    assert "happened" in demo.stdout
    assert demo.stdout.rstrip().endswith("\x1b[2K")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_demo_takes_the_app_with_it(
    start_server: Callable[..., Server], number: signal.Signals
) -> None:
    """However the demo is ended, nobody listens at the app's address any more."""
    demo = start_server(["examples.demo"], EXAMPLES.parent)
    with socket.create_connection(("127.0.0.1", demo.port)):
        pass

    demo.send(number)

    assert demo.await_end() == 128 + number
    assert "Traceback" not in demo.read()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", demo.port))


def test_play(start_server: Callable[..., Server]) -> None:
    """An org, an app whose hook is registered there, and a console with what came; they end together."""
    playing = start_server(["examples.play", "--org-port=0", "--app-port=0"], EXAMPLES.parent)
    playing.await_output("Ctrl-C")
    org, app, console = re.findall(r"http://\S+", playing.output)

    def has(url: str, text: str) -> bool:
        with urlopen(url, timeout=60) as answer:
            return text in answer.read().decode()

    until(lambda: has(app, "Welcomed Grace Hopper."), "a receiver that has run")
    until(lambda: has(f"{console}/receivers", "badges"), "a receiver in the console")
    assert has(org, "active, verified")
    switch = {"Sec-Fetch-Site": "cross-site"}
    with pytest.raises(HTTPError, match="403"):
        urlopen(Request(f"{app}badges", b"badges=up", switch), timeout=60)
    switch = {"Sec-Fetch-Site": "same-origin"}
    with urlopen(Request(f"{app}badges", b"badges=up", switch), timeout=60) as answer:
        assert b"It works" in answer.read()

    playing.send(signal.SIGINT)

    assert playing.await_end() == 0
    assert "Traceback" not in playing.read()
    for url in (org, app):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", urlsplit(url).port or 0))


def test_play_ends_with_its_app(start_server: Callable[..., Server]) -> None:
    """If the app cannot start, so much is said, with the reason, and nothing is left running."""
    with pytest.raises(pytest.fail.Exception, match="MAX_BODY is set to a wrong value"):
        start_server(
            ["examples.play", "--org-port=0", "--app-port=0"],
            EXAMPLES.parent,
            FLASK_OKTA_HOOKS_MAX_BODY="none at all",
        )


def test_demo_misses_one_event_of_one_receiver() -> None:
    """What counts is each receiver's own journal: what another saw, or a second time, helps nobody."""
    tally = runpy.run_path(str(EXAMPLES / "demo.py"))["tally"]
    deliveries = [
        {
            "events": [
                {"uuid": f"{status}-{number}", "eventType": "user.lifecycle.deactivate"}
                for number in (1, 2)
            ],
            "attempts": [{"status": 503}, {"status": status}],
        }
        for status in (204, 500, None)
    ]
    journal = ["audit 204-1", "audit 204-2", "offboard 204-1", "offboard 204-1"]

    missing = {each.receiver: each.missing for each in tally(deliveries, journal) if each.missing}

    assert missing == {"offboard": {"204-2"}}
