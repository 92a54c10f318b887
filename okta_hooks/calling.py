"""One HTTP request to a hook, and its answer: nothing is followed, and nothing is tried again.

https://developer.okta.com/docs/concepts/event-hooks/
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import urlsplit

from werkzeug.test import Client

from .secret import frameless

if TYPE_CHECKING:
    from flask import Flask

#: The type of a refusal of ours: https://www.rfc-editor.org/rfc/rfc9457
_PROBLEM: Final = "application/problem+json"
#: How long Okta waits for an answer, in seconds.
TIMEOUT: Final = 3.0
#: So much of an answer is read: what Okta looks at is shorter.
_LONGEST_ANSWER: Final = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is sent to a hook; ``chunked`` over HTTP, or with the length of its body.

    Its representation shows no header, for one of them holds the secret.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)
    chunked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the hook answers. ``location`` is where a redirect leads, which nobody follows."""

    status: int
    body: bytes = b""
    location: str | None = None
    content_type: str | None = None

    @property
    def is_problem(self) -> bool:
        """Whether it is a refusal as this library writes them: what is in front of it answers with pages of its own."""
        return (self.content_type or "").partition(";")[0].strip().lower() == _PROBLEM


#: Sends a request and returns the answer. It raises :class:`TimeoutError` if there is none in time,
#: another :class:`OSError` if there will be none.
Send: TypeAlias = Callable[[Request], Answer]


class HttpSender:
    """Sends over HTTP, with one time-out for all of it, and follows no redirect.

    :param timeout: From the connection to the last byte of the answer, in seconds.
    """

    def __init__(self, timeout: float = TIMEOUT) -> None:
        self.timeout = timeout

    @frameless
    def __call__(self, request: Request) -> Answer:
        """Send a request, as :data:`Send` says."""
        parts = urlsplit(request.url)
        make = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        # Without a port, http.client would look for one in the host, and find it in [::1].
        port = parts.port or make.default_port
        connection = make(parts.hostname or "", port, timeout=self.timeout)
        expired = threading.Event()
        opened: list[socket.socket] = []

        def expire() -> None:
            expired.set()
            for each in opened:
                # Not SSLSocket's own method, which would wait for the peer.
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(each, socket.SHUT_RDWR)

        # A socket's own time-out begins again with every byte that comes.
        timer = threading.Timer(self.timeout, expire)
        timer.daemon = True
        timer.start()
        try:
            connection.connect()
            opened.append(connection.sock)
            if expired.is_set():
                raise TimeoutError
            answer = _exchange(connection, request)
            # To http.client a connection that was shut down may look like the end of the answer.
            if expired.is_set():
                raise TimeoutError
        except (OSError, UnicodeError, http.client.HTTPException) as error:
            if expired.is_set() or isinstance(error, TimeoutError):
                raise TimeoutError from None
            if isinstance(error, OSError):
                raise
            raise ConnectionError(str(error) or type(error).__name__) from None
        finally:
            timer.cancel()
            timer.join()
            connection.close()
        return answer


def _exchange(connection: http.client.HTTPConnection, request: Request) -> Answer:
    parts = urlsplit(request.url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection.putrequest(request.method, target, skip_accept_encoding=True)
    for name, value in request.headers.items():
        connection.putheader(name, value.encode())
    if request.chunked:
        connection.putheader("Transfer-Encoding", "chunked")
    elif request.method == "POST":
        connection.putheader("Content-Length", str(len(request.body)))
    connection.endheaders(request.body or None, encode_chunked=request.chunked)
    response = connection.getresponse()
    return Answer(
        status=response.status,
        body=response.read(_LONGEST_ANSWER),
        location=response.getheader("Location"),
        content_type=response.getheader("Content-Type"),
    )


def app_sender(app: Flask) -> Send:
    """Return what sends to a Flask application in the same process, in the caller's thread.

    Nothing times out here. What the app raises while it is ``testing`` comes out.

    :param app: The application that the hooks' URLs stand for. It sees the URL's host,
        and its own ``APPLICATION_ROOT`` as what it is mounted at, whether the URL begins with that or not.
    """
    root = app.config["APPLICATION_ROOT"].rstrip("/")

    def send(request: Request) -> Answer:
        parts = urlsplit(request.url)
        path = parts.path.removeprefix(root) if parts.path.startswith(f"{root}/") else parts.path

        def call(environ: dict[str, Any], start_response: Any) -> Any:
            # Here, and by the hook removed again: arguments of the client's would stand in its frames.
            environ.update(_as_environ(request.headers))
            return app(environ, start_response)

        response = Client(call, use_cookies=False).open(
            path or "/",
            method=request.method,
            base_url=f"{parts.scheme}://{parts.netloc}{root}",
            query_string=parts.query,
            data=request.body,
            environ_base={"REMOTE_ADDR": "127.0.0.1"},
        )
        return Answer(
            status=response.status_code,
            body=response.get_data(),
            location=response.headers.get("Location"),
            content_type=response.headers.get("Content-Type"),
        )

    return send


def _as_environ(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers as WSGI has them."""
    found = {}
    for name, value in headers.items():
        key = name.upper().replace("-", "_")
        found[key if key in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{key}"] = value
    return found
