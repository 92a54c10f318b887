from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.error import HTTPError

import pytest

from okta_hooks.simulator.__main__ import main
from tests.support import until

from .support import Endpoint, body, call

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def running(*arguments: str, token: str = "simulator") -> Iterator[subprocess.Popen[str]]:
    """Run the command.

    :param token: What the variable for the token holds.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "okta_hooks.simulator", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"OKTA_SIMULATOR_TOKEN": token},
    )
    try:
        with process:
            yield process
            process.terminate()
    finally:
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_runs_an_org(serve: Callable[..., Endpoint], number: signal.Signals) -> None:
    """``python -m okta_hooks.simulator`` says where it is, does it all, and goes quietly."""
    endpoint = serve("204")
    with running("--port", "0", "--token", "T", "--seed", "1", "--http-hooks") as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "'T'" in line
        url = line.split()[4].rstrip(",")
        wish = body(channel__config={"uri": endpoint.url}, events__items=["user.lifecycle.create"])
        hook = call(f"{url}/api/v1/eventHooks", wish, "T")
        assert hook["id"] == "who" + "".join(
            random.Random(1).choices(
                "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", k=17
            )
        )
        call(hook["_links"]["verify"]["href"], {}, "T")
        call(f"{url}/simulator/events", {"type": "user.lifecycle.create"})
        until(lambda: endpoint.posts)
        assert "1 events to" in process.stdout.readline()
        process.send_signal(number)
        assert process.wait(10) == 0
        assert process.stdout.read() == ""


def test_the_command_makes_a_token_at_each_start() -> None:
    """Without an option or the variable, nobody knows the token but who sees what the command prints."""
    tokens = []
    for _ in range(2):
        with running("--port", "0", "--seed", "1", token="") as process:
            assert process.stdout is not None
            line = process.stdout.readline()
            tokens.append(line.rpartition(" ")[2].strip("'.\n"))
            url = line.split()[4].rstrip(",")
            assert call(f"{url}/api/v1/eventHooks", token=tokens[-1]) == []
            with pytest.raises(HTTPError, match="401"):
                call(f"{url}/api/v1/eventHooks", token="simulator")

    assert tokens[0] != tokens[1]
    assert min(map(len, tokens)) > 30


def test_the_command_takes_a_time_until_a_changed_hook_receives(
    serve: Callable[..., Endpoint],
) -> None:
    """With ``--change-seconds``, a hook that has just been verified gets nothing, and the terminal says so."""
    endpoint = serve()
    with running("--port", "0", "--http-hooks", "--change-seconds", "600.5") as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[4].rstrip(",")
        hook = call(f"{url}/api/v1/eventHooks", body(channel__config={"uri": endpoint.url}))
        call(hook["_links"]["verify"]["href"], {})
        call(f"{url}/simulator/events", {"type": "user.lifecycle.deactivate"})
        assert process.stdout.readline() == (
            f"{hook['id']} was changed less than 600.5 s ago, and does not get user.lifecycle.deactivate yet.\n"
        )
        assert call(f"{url}/simulator/deliveries") == []


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--port", "many"], "argument --port: 'many' is no number from 0 to 65535"),
        (["--port", "65536"], "argument --port: '65536' is no number from 0 to 65535"),
        (["--port=-1"], "argument --port: '-1' is no number from 0 to 65535"),
        (["--quota=-1"], "argument --quota: '-1' is no number from 0 on"),
        (["--seed", "x"], "argument --seed: invalid int value: 'x'"),
        (["--token", ""], "argument --token: '' is no token"),
        (["--token", "a b"], "argument --token: 'a b' is no token"),
        (["--change-seconds", "-1"], "--change-seconds: '-1' is no number of seconds"),
        (["--change-seconds", "1e9"], "--change-seconds: '1e9' is no number of seconds"),
        (["--https-hooks"], "unrecognized arguments: --https-hooks"),
    ],
)
def test_the_command_says_what_is_wrong_with_its_arguments(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The usage, one line that says what is wrong, and status 2."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    usage, *_, last = capsys.readouterr().err.splitlines()
    assert usage.startswith("usage: python -m okta_hooks.simulator")
    assert complaint in last


def test_the_command_says_that_its_port_is_taken() -> None:
    """One line and status 1, no traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with running("--port", str(port)) as process:
            assert process.wait(10) == 1
            assert process.stdout is not None
            (line,) = process.stdout.read().splitlines()
            assert line.startswith(f"Port {port} cannot be had: Address already in use")


def test_the_command_has_a_quota(serve: Callable[..., Endpoint]) -> None:
    """What is over it is in the log and not delivered, and the terminal says so."""
    endpoint = serve("204", "204")
    with running("--port", "0", "--http-hooks", "--quota", "1") as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[4].rstrip(",")
        wish = body(channel__config={"uri": endpoint.url}, events__items=["user.lifecycle.create"])
        hook = call(f"{url}/api/v1/eventHooks", wish)
        call(hook["_links"]["verify"]["href"], {})
        call(f"{url}/simulator/events", {"type": "user.lifecycle.create", "count": 2})
        assert "quota of 1 events in 24 hours is used up: 1 are not" in process.stdout.readline()
        assert "1 events to" in process.stdout.readline()
    assert len(endpoint.posts) == 1
