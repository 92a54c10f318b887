from __future__ import annotations

import http.client
import json
import socket
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.acceptance.conftest import Server

SERVERS = {
    "gunicorn, 2 workers": ["gunicorn", "--workers=2", "--bind=127.0.0.1:0", "served:app"],
    "gunicorn, 2 workers of 2 threads": [
        *("gunicorn", "--workers=2", "--threads=2", "--bind=127.0.0.1:0", "served:app"),
    ],
    "waitress": ["waitress", "--listen=127.0.0.1:0", "served:app"],
    "flask run": ["flask", "--app", "served", "run", "--no-reload", "--port=0"],
}
MAX_BODY = 4 * 1024 * 1024
SECRET = "correct horse ^&*$!"
UMLAUTS = "pässwörd"
RIGHT = f"Authorization: {SECRET}".encode()
WRONG = b"Authorization: wrong"
CHALLENGE = b"X-Okta-Verification-Challenge: 3f29"
CHUNKED = b"Transfer-Encoding: chunked"


@pytest.fixture(scope="module")
def received(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file to which the receivers of all servers write."""
    return tmp_path_factory.mktemp("received") / "uuids"


@pytest.fixture(scope="module", params=list(SERVERS.values()), ids=list(SERVERS))
def running(
    request: pytest.FixtureRequest, start_server: Callable[..., Server], received: Path
) -> Server:
    """Return one of the servers, started."""
    return start_server(
        request.param,
        Path(__file__).parent,
        FLASK_OKTA_HOOKS_INBOX="null",
        FLASK_OKTA_HOOKS_SECRET=json.dumps([SECRET, UMLAUTS]),
        FLASK_OKTA_HOOKS_MAX_BODY=str(MAX_BODY),
        FLASK_RECEIVED=str(received),
    )


@pytest.fixture
def server(running: Server) -> Iterator[Server]:
    """Return the server; should the test fail, pytest shows what the server wrote meanwhile."""
    yield running
    sys.stdout.write(running.read())


def only(*names: str) -> pytest.MarkDecorator:
    """Return a mark: the servers that can do what a test is about."""
    return pytest.mark.parametrize(
        "running", [SERVERS[name] for name in names], ids=names, indirect=True
    )


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes


def connect(server: Server) -> closing[socket.socket]:
    return closing(socket.create_connection(("127.0.0.1", server.port), timeout=10))


def head(method: str, *lines: bytes, url: str = "/okta/events") -> bytes:
    return b"\r\n".join([f"{method} {url} HTTP/1.1".encode(), b"Host: test", *lines, b"", b""])


def with_body(body: bytes, *lines: bytes, url: str = "/okta/events") -> bytes:
    return head("POST", *lines, f"Content-Length: {len(body)}".encode(), url=url) + body


def in_chunks(*chunks: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)


def answer(connection: socket.socket) -> Answer:
    with closing(http.client.HTTPResponse(connection)) as response:
        response.begin()
        return Answer(response.status, response.headers, response.read())


def ask(server: Server, request: bytes) -> Answer:
    with connect(server) as connection:
        connection.sendall(request)
        return answer(connection)


def events(*types: Any) -> bytes:
    made = [{"eventType": type_, "uuid": f"uuid-{n}"} for n, type_ in enumerate(types)]
    return json.dumps({"data": {"events": made}}, separators=(",", ":")).encode()


def assert_problem(found: Answer, status: int) -> None:
    assert found.status == status
    assert found.headers["Content-Type"] == "application/problem+json"
    assert found.headers["Location"] is None
    assert json.loads(found.body)["status"] == status
    assert SECRET.encode() not in found.body


CREATED = events("user.lifecycle.create")
TABLE = {
    "GET, right secret": (head("GET", RIGHT, CHALLENGE), 200),
    "GET, no secret": (head("GET", CHALLENGE), 200),
    "GET, wrong secret": (head("GET", WRONG, CHALLENGE), 401),
    "GET, no challenge": (head("GET", RIGHT), 400),
    "GET, empty challenge": (head("GET", b"X-Okta-Verification-Challenge:"), 400),
    "GET, longer challenge": (head("GET", CHALLENGE + b"x" * 1021), 400),
    "POST, wrong secret": (with_body(CREATED, WRONG), 401),
    "POST, no secret": (with_body(CREATED), 401),
    "POST, empty secret": (with_body(CREATED, b"Authorization:"), 401),
    "POST, right secret twice": (with_body(CREATED, RIGHT, RIGHT), 401),
    "POST, wrong and right secret": (with_body(CREATED, WRONG, RIGHT), 401),
    "POST, secret as a scheme": (
        with_body(CREATED, b"Authorization: Bearer " + SECRET.encode()),
        401,
    ),
    "POST, largest": (with_body(CREATED.ljust(MAX_BODY), RIGHT), 204),
    "POST, not JSON": (with_body(b"eventType=x", RIGHT), 400),
    "POST, empty": (with_body(b"", RIGHT), 503),
    "POST, no length": (head("POST", RIGHT), 503),
    "POST, no events": (with_body(b'{"data":{}}', RIGHT), 400),
    "POST, events": (with_body(CREATED, RIGHT), 204),
    "POST, lower-case header": (with_body(CREATED, RIGHT.lower()), 204),
    "POST, UTF-8": (with_body(CREATED, b"Authorization: " + UMLAUTS.encode()), 204),
    "POST, Latin-1": (with_body(CREATED, b"Authorization: " + UMLAUTS.encode("latin-1")), 204),
    "POST, chunked": (
        head("POST", RIGHT, CHUNKED) + in_chunks(CREATED[:9], CREATED[9:], b""),
        204,
    ),
    "POST, chunked, wrong secret": (
        head("POST", WRONG, CHUNKED) + in_chunks(CREATED, b""),
        401,
    ),
    "POST, an unreadable event": (with_body(events("user.lifecycle.create", None), RIGHT), 204),
    "POST, a receiver failed": (with_body(events("user.lifecycle.suspend"), RIGHT), 500),
}


@pytest.mark.parametrize(("request_", "status"), TABLE.values(), ids=TABLE)
def test_answer_table(server: Server, request_: bytes, status: int) -> None:
    """Each request gets its answer from a real server, too."""
    found = ask(server, request_)

    if status == 200:
        assert found.status == 200
        assert found.headers["Content-Type"] == "application/json"
        assert json.loads(found.body) == {"verification": "3f29"}
    elif status == 204:
        assert (found.status, found.body) == (204, b"")
    else:
        assert_problem(found, status)


@pytest.mark.parametrize("url", ["/okta/events", "/okta/events/"])
def test_a_slash_at_the_end_makes_no_redirect(server: Server, url: str) -> None:
    """Okta follows no redirect, so both forms of the URL answer themselves."""
    assert ask(server, head("GET", CHALLENGE, url=url)).status == 200
    assert ask(server, with_body(CREATED, RIGHT, url=url)).status == 204


@only("gunicorn, 2 workers", "gunicorn, 2 workers of 2 threads", "flask run")
def test_a_body_that_is_said_to_be_too_large(server: Server) -> None:
    """It gets its 413 before it is sent; but Waitress reads it all before it calls the app."""
    said = head("POST", RIGHT, b"Content-Length: %d" % (10 * MAX_BODY))

    assert_problem(ask(server, said), 413)


@only("gunicorn, 2 workers", "gunicorn, 2 workers of 2 threads")
@pytest.mark.parametrize(
    "begun",
    [with_body(CREATED, RIGHT)[:-9], head("POST", RIGHT, CHUNKED) + in_chunks(CREATED)[:-9]],
    ids=["of a length", "chunked"],
)
def test_a_body_that_breaks_off(server: Server, begun: bytes) -> None:
    """Half a delivery is refused, and the worker goes on."""
    with connect(server) as connection:
        connection.sendall(begun)
        connection.shutdown(socket.SHUT_WR)
        assert_problem(answer(connection), 400)

    assert ask(server, with_body(CREATED, RIGHT)).status == 204


def test_a_chunked_body_over_the_limit(server: Server) -> None:
    """A body that does not say how long it is gets its 413 once it is too long."""
    too_large = head("POST", RIGHT, CHUNKED) + in_chunks(CREATED.ljust(MAX_BODY + 1), b"")

    assert_problem(ask(server, too_large), 413)


def test_a_stranger_gets_an_answer(server: Server) -> None:
    """A body of the usual size is read before the 401: else the connection is reset, and the answer may be lost."""
    usual = with_body(b"x" * 64 * 1024, WRONG)

    with connect(server) as connection:
        connection.sendall(usual)
        assert_problem(answer(connection), 401)


@only("gunicorn, 2 workers", "gunicorn, 2 workers of 2 threads", "flask run")
def test_a_stranger_with_a_large_body_is_left(server: Server) -> None:
    """Nobody reads on for the sake of the answer, which may be lost then; the next delivery is taken."""
    large = with_body(b"x" * 10 * MAX_BODY, WRONG)
    with connect(server) as connection, pytest.raises(OSError, match=r"pipe|reset"):
        connection.sendall(large)

    assert ask(server, with_body(CREATED, RIGHT)).status == 204


@only("gunicorn, 2 workers of 2 threads", "waitress")
def test_keep_alive(server: Server) -> None:
    """After a refusal, the next delivery on the same connection is read from its beginning."""
    with connect(server) as connection:
        connection.sendall(with_body(CREATED, WRONG, b"Connection: keep-alive"))
        refused = answer(connection)
        connection.sendall(with_body(CREATED, RIGHT))
        accepted = answer(connection)

    assert (refused.status, accepted.status) == (401, 204)


def test_every_event_reaches_the_receivers(server: Server, received: Path) -> None:
    """When Okta has its 204, every event of the delivery has been with its receiver, once."""
    received.unlink(missing_ok=True)

    assert ask(server, with_body(events(*["user.session.start"] * 9), RIGHT)).status == 204

    assert received.read_text().split() == [f"uuid-{number}" for number in range(9)]


def test_the_servers_output_tells_what_is_wrong_and_no_secret(server: Server) -> None:
    """Without any configuration of logging, refusals, failures and dead letters are there to read."""
    ask(server, with_body(CREATED, b"Authorization: Bearer " + SECRET.encode()))
    ask(server, with_body(events("user.lifecycle.suspend"), RIGHT))
    ask(server, with_body(events(None), RIGHT))

    server.read()
    assert "no right secret in Authorization" in server.output
    assert "LookupError: no such user" in server.output
    assert "no eventType" in server.output
    assert SECRET not in server.output
    assert UMLAUTS not in server.output
