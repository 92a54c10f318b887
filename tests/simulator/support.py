from __future__ import annotations

import json
import socket
import threading
import urllib.request
from collections import deque
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple

from flask import Flask

from okta_hooks import catalog
from okta_hooks.simulator import (
    Answer,
    Org,
    Request,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from email.message import Message

    from okta_hooks.simulator import Simulator


URL = "https://app.example.com/okta/events"
ELIGIBLE = [name for name, entry in catalog.entries().items() if entry.event_hook_eligible]


class Clock:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = datetime(2026, 8, 3, 9, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        """Return the time."""
        return self.now

    def go_on(self, **amount: float) -> None:
        """Let time pass."""
        self.now += timedelta(**amount)


class Receiver:
    """Takes requests in the same process: answers the challenge, and deliveries with what is set."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.statuses: deque[int] = deque()

    def __call__(self, request: Request) -> Answer:
        """Take a request."""
        self.requests.append(request)
        if request.method == "GET":
            challenge = request.headers["X-Okta-Verification-Challenge"]
            return Answer(status=200, body=json.dumps({"verification": challenge}).encode())
        return Answer(status=self.statuses.popleft() if self.statuses else 204)

    @property
    def envelopes(self) -> list[dict[str, Any]]:
        """The bodies of the deliveries."""
        return [json.loads(request.body) for request in self.requests if request.method == "POST"]

    @property
    def uuids(self) -> list[list[str]]:
        """The uuids of the events, delivery by delivery."""
        return [
            [event["uuid"] for event in envelope["data"]["events"]] for envelope in self.envelopes
        ]


HEADERS = {"Authorization": "SSWS simulator"}


def body(**changes: Any) -> dict[str, Any]:
    """Return what registers a hook; a keyword such as ``channel__config__uri`` changes one value."""
    hook: dict[str, Any] = {
        "name": "Offboarding",
        "events": {"type": "EVENT_TYPE", "items": ["user.lifecycle.deactivate"]},
        "channel": {
            "type": "HTTP",
            "version": "1.0.0",
            "config": {
                "uri": URL,
                "headers": [{"key": "X-Team", "value": "people"}],
                "authScheme": {"type": "HEADER", "key": "Authorization", "value": "s3cret"},
            },
        },
    }
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = hook
        for key in parents:
            place = place[key]
        place[last] = value
    return hook


def uuids(events: list[dict[str, Any]]) -> list[str]:
    return [event["uuid"] for event in events]


def types_in_log(org: Org, **arguments: str) -> list[str]:
    return [event["eventType"] for event in org.log(**arguments).events]


def failures_in_log(org: Org) -> list[dict[str, Any]]:
    return org.log(filter='eventType eq "event_hook.delivery"').events


class Endpoint:
    """An HTTP server that answers each POST as told, and remembers every request."""

    def __init__(self, *behaviours: str) -> None:
        self.behaviours = deque(behaviours)
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.released = threading.Event()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                endpoint.remember(self)
                challenge = self.headers["X-Okta-Verification-Challenge"]
                answer = json.dumps({"verification": challenge}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def do_POST(self) -> None:
                endpoint.remember(self)
                endpoint.answer(self, endpoint.behaviours.popleft())

            def log_message(self, *_: object) -> None:
                """Keep the test's output clean."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/okta/events"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))

    def remember(self, handler: BaseHTTPRequestHandler) -> None:
        """Keep method, path, headers and body of a request."""
        length = int(handler.headers.get("Content-Length", 0))
        headers = dict(handler.headers.items())
        self.requests.append((handler.command, handler.path, headers, handler.rfile.read(length)))

    def answer(self, handler: BaseHTTPRequestHandler, behaviour: str) -> None:
        """Do what a behaviour says: a status, ``sleep N``, ``drip``, ``close`` or ``garbage``."""
        handler.close_connection = True
        if behaviour == "close":
            handler.connection.shutdown(socket.SHUT_RDWR)
            return
        if behaviour == "garbage":
            handler.wfile.write(b"SMTP ready\r\n\r\n")
            return
        if behaviour.startswith("sleep"):
            self.released.wait(float(behaviour.split()[1]))
            behaviour = "204"
        with suppress(OSError):  # who timed out is not there any more
            if behaviour == "drip":
                handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Drip: ")
                while not self.released.wait(0.02):
                    handler.wfile.write(b".")
                return
            handler.send_response(int(behaviour))
            if behaviour == "302":
                handler.send_header("Location", "/elsewhere")
            handler.end_headers()

    @property
    def posts(self) -> list[tuple[str, str, dict[str, str], bytes]]:
        """The requests that are deliveries."""
        return [request for request in self.requests if request[0] == "POST"]


@contextmanager
def serving() -> Iterator[Callable[..., Endpoint]]:
    """Pass a function that starts an endpoint with the behaviours given."""
    endpoints = []

    def start(*behaviours: str) -> Endpoint:
        endpoint = Endpoint(*behaviours)
        endpoint.thread.start()
        endpoints.append(endpoint)
        return endpoint

    try:
        yield start
    finally:
        for endpoint in endpoints:
            endpoint.released.set()
            endpoint.server.shutdown()
            endpoint.server.server_close()
            endpoint.thread.join()


#: What an endpoint does, and then: the statuses of the attempts, and why the delivery failed.
MANNERS: dict[tuple[str, ...], tuple[list[int | None], str | None]] = {
    ("200",): ([200], None),
    ("204",): ([204], None),
    ("401",): ([401], "answered 401"),
    ("503", "503"): ([503, 503], "answered 503"),
    ("503", "204"): ([503, 204], None),
    ("503", "401"): ([503, 401], "answered 401"),
    ("302",): ([302], "answered 302"),
    ("sleep 4", "sleep 4"): ([None, None], "timed out"),
    ("sleep 4", "204"): ([None, 204], None),
    ("sleep 4", "close"): ([None, None], "closed connection"),
    ("sleep 1",): ([204], None),
    ("drip", "drip"): ([None, None], "timed out"),
    ("close",): ([None], "closed connection"),
    ("garbage",): ([None], "SMTP ready"),
}


def call(url: str, document: object = None, token: str = "simulator") -> Any:
    """Return what a URL answers, to a POST if there is a document."""
    data = None if document is None else json.dumps(document).encode()
    request = urllib.request.Request(url, data, {"Authorization": f"SSWS {token}"})
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.loads(response.read())


class RawAnswer(NamedTuple):
    """An answer as it came over the wire."""

    status: int
    headers: Message
    body: bytes


def answer_of(
    simulator: Simulator,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> RawAnswer:
    """Return what a simulator answers over HTTP, whatever the status, without following anything."""
    connection = HTTPConnection("127.0.0.1", simulator.port, timeout=10)
    with closing(connection):
        connection.request(method, path, body, headers or HEADERS)
        answer = connection.getresponse()
        return RawAnswer(answer.status, answer.headers, answer.read())


def plain() -> Flask:
    return Flask("app")
