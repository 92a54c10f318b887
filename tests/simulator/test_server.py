from __future__ import annotations

import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from okta_hooks.simulator import (
    Answer,
    Org,
    Request,
    Simulator,
)
from tests.support import until

from .support import URL, Endpoint, Receiver, call

if TYPE_CHECKING:
    from collections.abc import Callable


def test_a_simulator_delivers_as_time_passes(serve: Callable[..., Endpoint]) -> None:
    """Over HTTP, nobody has to tell the org to deliver; one slow hook does not hold up another."""
    slow, quick = serve("sleep 30"), serve(*["204"] * 9)
    org = Org(http_hooks=True, batch_seconds=0.01)
    with Simulator(org) as simulator:
        assert org.url == simulator.url
        org.register(slow.url, ["user.session.start"])
        org.register(quick.url, ["user.session.start", "user.session.end"])
        call(f"{simulator.url}/simulator/events", {"type": "user.session.start"})
        for _ in range(3):
            until(lambda: quick.posts)
            quick.requests.clear()
            call(f"{simulator.url}/simulator/events", {"type": "user.session.end"})
        until(lambda: quick.posts)
        slow.released.set()
        org.settle()
        deliveries = call(f"{simulator.url}/simulator/deliveries")
        assert [each["state"] for each in deliveries] == ["delivered"] * 5
        hook = call(f"{simulator.url}/api/v1/eventHooks")[0]
        assert hook["_links"]["self"]["href"].startswith(simulator.url)
    with pytest.raises(OSError, match="refused"):
        call(f"{simulator.url}/api/v1/eventHooks")


def test_hooks_that_hang_hold_up_no_other() -> None:
    """However many of an org's hooks do not answer, the rest get theirs."""
    receiver = Receiver()
    released = threading.Event()

    def send(request: Request) -> Answer:
        if request.method == "POST" and request.url != URL:
            released.wait(30)
        return receiver(request)

    org = Org(send=send, batch_seconds=0)
    with Simulator(org):
        for number in range(24):
            org.register(f"{URL}/{number}", ["user.session.start"])
        org.register(URL, ["user.session.start"])
        org.emit("user.session.start")
        until(lambda: receiver.envelopes)
        assert [request.url for request in receiver.requests if request.method == "POST"] == [URL]
        released.set()
        org.settle()


def test_a_simulator_survives_what_a_sender_raises(caplog: pytest.LogCaptureFixture) -> None:
    """A thread that delivers logs what it did not expect, and goes on."""
    receiver = Receiver()

    def send(request: Request) -> Answer:
        answer = receiver(request)
        if len(receiver.envelopes) == 1:
            raise RuntimeError("a bug")
        return answer

    org = Org(send=send, batch_seconds=0, batch_size=1)
    with Simulator(org):
        org.register(URL, ["user.session.start"])
        org.emit("user.session.start", count=2)
        until(lambda: len(receiver.envelopes) == 2)
        org.settle()
    assert [delivery["state"] for delivery in org.deliveries()] == ["failed", "delivered"]
    assert "a bug" in caplog.text


def test_a_port_that_is_taken_is_an_error() -> None:
    """Whoever starts a simulator in a process learns of it by an OSError."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        simulator = Simulator(Org(), port=taken.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            simulator.start()
        simulator.stop()


def test_importing_pulls_in_nothing_that_is_optional() -> None:
    """The package does not import the simulator, and the simulator imports no extra and no test tool."""
    code = """
import sys
import okta_hooks
assert not [name for name in sys.modules if name.startswith(("okta_hooks.sim", "okta_hooks.test"))]
import okta_hooks.simulator, okta_hooks.testing
print([name for name in ("okta", "sqlalchemy", "pytest", "aiohttp", "requests") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
