from __future__ import annotations

import http.client
import select
import socket
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from .conftest import Host

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.acceptance.conftest import Server

APP = "tests.acceptance.stored:app"
GUNICORN = ["gunicorn", "--bind=127.0.0.1:0", "--workers=1"]
THREADS = 4
#: Those that read from the connection while the app reads the body.
SERVERS = {
    "gunicorn, sync": [*GUNICORN, APP],
    "gunicorn, gthread": [*GUNICORN, f"--threads={THREADS}", APP],
    "gunicorn, gevent": [*GUNICORN, "--worker-class=gevent", APP],
    "flask run": ["flask", f"--app={APP}", "run", "--no-reload", "--port=0"],
}
WAITRESS = ["waitress", "--listen=127.0.0.1:0", f"--threads={THREADS}", APP]
OKTA_WAITS = 3.0
#: The second for a stranger's body, and what a busy machine takes beside it.
A_STRANGER_IS_HEARD = 2.0
RIGHT, WRONG = "correct horse", "wrong"
OF_A_LENGTH, CHUNKED = "Content-Length: 5000", "Transfer-Encoding: chunked"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """Return an app over an SQLite file: no test here leaves anything behind that another one would meet."""
    folder = tmp_path_factory.mktemp("host")
    made = Host(f"sqlite:///{folder / 'inbox.sqlite3'}", folder)
    yield made
    made.end()


@pytest.fixture(scope="module", params=list(SERVERS.values()), ids=list(SERVERS))
def server(request: pytest.FixtureRequest, host: Host) -> Iterator[Server]:
    """Return one of the servers, with its first request behind it."""
    started = start(host, request.param)
    yield started
    started.kill()


def start(host: Host, command: list[str]) -> Server:
    server = host.serve(*command, WORKER="external")
    # What a process imports at its first request is not what this is about.
    host.send_until_stored(server, "first")
    return server


class Trickle:
    """A client that begins a body at once, and goes on with one byte in a while."""

    def __init__(self, server: Server, secret: str, length: str, begun: bytes = b"") -> None:
        self._connection = socket.create_connection(("127.0.0.1", server.port), timeout=10)
        head = f"POST /okta/events HTTP/1.1\r\nHost: test\r\nAuthorization: {secret}\r\n{length}\r\n\r\n"
        self._began = time.monotonic()
        self._connection.sendall(head.encode() + begun)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def wait(self, *, goes_on: bool = True) -> tuple[int, float]:
        """Go on until the answer is there; return its status, and after how many seconds it came."""
        while not select.select([self._connection], [], [], 0.2)[0]:
            assert time.monotonic() - self._began < 10, "There was no answer."
            if goes_on:
                self._connection.sendall(b"1")
        with closing(http.client.HTTPResponse(self._connection)) as answer:
            answer.begin()
            seconds = time.monotonic() - self._began
            answer.read()
        return answer.status, seconds

    def is_closed(self) -> bool:
        """Return whether the server closes the connection, though it has not got the body."""
        try:
            return self._connection.recv(1) == b""
        except TimeoutError:
            return False
        except OSError:
            return True


of_both_kinds = pytest.mark.parametrize("length", [OF_A_LENGTH, CHUNKED], ids=["length", "chunked"])


@of_both_kinds
def test_a_body_that_trickles(host: Host, server: Server, length: str) -> None:
    """It is answered with 503 before Okta stops waiting, and the thread that read it takes the next delivery."""
    slow = Trickle(server, RIGHT, length, b"ffff\r\n" if length == CHUNKED else b"{")

    with closing(slow):
        status, seconds = slow.wait()
        assert (status, seconds < OKTA_WAITS) == (503, True)
        assert slow.is_closed()

    assert host.post(server, "next").status == 204


def test_a_body_that_stops(host: Host, server: Server) -> None:
    """So is one of which nothing comes any more, on a connection that stays open."""
    slow = Trickle(server, RIGHT, OF_A_LENGTH, b'{"data": {"events": [')

    with closing(slow):
        status, seconds = slow.wait(goes_on=False)

    assert (status, seconds < OKTA_WAITS) == (503, True)


@of_both_kinds
def test_a_stranger_is_heard_for_a_second(host: Host, server: Server, length: str) -> None:
    """Whoever has no secret gets an answer, and is left, whatever is still to come."""
    slow = Trickle(server, WRONG, length, b"ffff\r\n" if length == CHUNKED else b"{")

    with closing(slow):
        status, seconds = slow.wait()
        assert (status, seconds < A_STRANGER_IS_HEARD) == (401, True)
        assert slow.is_closed()

    assert host.post(server, "next").status == 204


@pytest.mark.parametrize(
    "command", [SERVERS["gunicorn, gthread"], WAITRESS], ids=["gunicorn, gthread", "waitress"]
)
def test_strangers_do_not_hold_all_threads(host: Host, command: list[str]) -> None:
    """As many of them as there are threads, and Okta gets its answer meanwhile.

    Waitress needs no help: its threads are called when the whole body is there.
    """
    server = start(host, command)
    strangers = [Trickle(server, WRONG, OF_A_LENGTH, b"{") for _ in range(THREADS)]

    assert host.post(server, "meanwhile").status == 204
    for stranger in strangers:
        stranger.close()
