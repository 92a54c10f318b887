from __future__ import annotations

import json
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from okta_hooks.simulator import (
    HttpSender,
    Org,
    Request,
)

from .support import MANNERS, Endpoint, failures_in_log

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("behaviours", MANNERS, ids=", ".join)
def test_the_manners_over_http(
    delivered: dict[tuple[str, ...], tuple[Endpoint, Org]], behaviours: tuple[str, ...]
) -> None:
    """Three seconds; one retry on time-out and 5xx, none otherwise; no redirect followed; failures are logged once."""
    endpoint, org = delivered[behaviours]
    statuses, reason = MANNERS[behaviours]
    assert [path for _, path, _, _ in endpoint.posts] == ["/okta/events"] * len(statuses)
    assert len({sent for _, _, _, sent in endpoint.posts}) == 1
    assert all(headers["Authorization"] == "s3cret" for _, _, headers, _ in endpoint.posts)
    assert not endpoint.behaviours
    (delivery,) = org.deliveries()
    assert [attempt["status"] for attempt in delivery["attempts"]] == statuses
    for behaviour, attempt in zip(behaviours, delivery["attempts"], strict=True):
        late = behaviour in {"sleep 4", "drip"}
        assert (attempt["error"] == "timed out") == late
        assert not late or attempt["seconds"] > 2.9
    assert delivery["state"] == ("failed" if reason else "delivered")
    failures = failures_in_log(org)
    assert len(failures) == (1 if reason else 0)
    for failure in failures:
        assert str(reason) in failure["outcome"]["reason"]
        assert failure["target"][0]["id"] == delivery["hookId"] == org.hooks()[0]["id"]
        debug = failure["debugContext"]["debugData"]
        assert debug["eventId"] == delivery["eventId"]
        assert debug["attempts"] == str(len(statuses))
        assert debug.get("httpStatus") == (str(statuses[-1]) if statuses[-1] else None)
        assert None not in debug.values()


def test_nobody_listens(serve: Callable[..., Endpoint]) -> None:
    """A refused connection is not tried again, and is in the log."""
    endpoint = serve()
    org = Org(http_hooks=True)
    org.register(endpoint.url, ["user.session.start"])
    endpoint.server.shutdown()
    endpoint.server.server_close()
    org.emit("user.session.start")
    org.settle()
    (delivery,) = org.deliveries()
    (attempt,) = delivery["attempts"]
    assert "refused" in attempt["error"]
    assert len(failures_in_log(org)) == 1


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://[::1]/okta/events", ("::1", 80)),
        ("https://[::1]/okta/events", ("::1", 443)),
        ("http://[::1]:5000/okta/events", ("::1", 5000)),
        ("http://app.example.com/okta/events", ("app.example.com", 80)),
    ],
)
def test_a_url_need_not_have_a_port(
    url: str, address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scheme's own port is called, also of an address with colons in it."""
    called = []

    def connect(address: tuple[str, int], *_: object) -> None:
        called.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(ConnectionRefusedError):
        HttpSender()(Request(method="GET", url=url, headers={}))
    assert called == [address]


def test_a_host_that_cannot_be() -> None:
    """A name that no resolver takes is a failure like any other."""
    request = Request(method="POST", url=f"http://{'a' * 64}.example.com/", headers={})
    with pytest.raises(ConnectionError):
        HttpSender()(request)


def test_headers_go_over_the_wire_as_they_are(serve: Callable[..., Endpoint]) -> None:
    """The secret is sent verbatim, beyond ASCII in UTF-8, and the client adds no headers but its own two."""
    endpoint = serve("204")
    org = Org(http_hooks=True)
    (hook_id,) = org.register(f"{endpoint.url}/?a=1&b=2", ["user.session.start"], secret="^&*$! é")
    org.emit("user.session.start")
    org.settle()
    ((_, path, headers, sent),) = endpoint.posts
    assert path == "/okta/events/?a=1&b=2"
    assert headers.pop("Authorization").encode("latin-1") == "^&*$! é".encode()
    assert set(headers) == {
        "Host",
        "Content-Length",
        "Content-Type",
        "Accept",
        "User-Agent",
        "X-Okta-Request-Id",
    }
    assert headers["User-Agent"].endswith(hook_id)
    assert json.loads(sent)["data"]["events"][0]["eventType"] == "user.session.start"


def test_https_is_spoken_to_https_urls() -> None:
    """A server without TLS is no endpoint of an https URL."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                hello.append(connection.recv(1))

        hello: list[bytes] = []
        thread = threading.Thread(target=answer)
        thread.start()
        request = Request(
            method="GET", url=f"https://127.0.0.1:{listening.getsockname()[1]}/", headers={}
        )
        with pytest.raises(OSError, match=r"."):
            HttpSender()(request)
        thread.join()
    assert hello == [b"\x16"]  # a TLS handshake
