"""How the org calls a hook: one request, for a delivery at most one more, and nothing followed.

https://developer.okta.com/docs/concepts/event-hooks/
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from flask import Flask

#: How long Okta waits for an answer, in seconds.
TIMEOUT: Final = 3.0
_ATTEMPTS: Final = 2
_SERVER_ERRORS: Final = range(500, 600)
#: No answer that means anything to Okta is longer.
_LONGEST_ANSWER: Final = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the org sends to a hook."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the hook answers. ``location`` is where a redirect leads, which nobody follows."""

    status: int
    body: bytes = b""
    location: str | None = None


#: Sends a request and returns the answer. It raises :class:`TimeoutError` if there is none in time,
#: another :class:`OSError` if there will be none.
Send: TypeAlias = Callable[[Request], Answer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One request: when, how long it took in seconds, and the status or the error."""

    at: datetime
    seconds: float
    status: int | None = None
    error: str | None = None
    timed_out: bool = False


def attempt(
    send: Send, request: Request, clock: Callable[[], datetime], attempts: list[Attempt]
) -> Answer | None:
    """Send a request once; without an answer, the attempt says why there is none.

    What no sender should raise comes out; an app that is ``testing`` does.

    :param attempts: Gets the attempt, whatever comes of it.
    """
    at, began = clock(), time.monotonic()
    answer, error, timed_out = None, None, False
    try:
        answer = send(request)
    except TimeoutError:
        error, timed_out = "timed out", True
    except OSError as broken:
        error = str(broken) or type(broken).__name__
    except BaseException as unexpected:
        error = f"{type(unexpected).__name__}: {unexpected}"
        raise
    finally:
        attempts.append(
            Attempt(
                at=at,
                seconds=time.monotonic() - began,
                status=None if answer is None else answer.status,
                error=error,
                timed_out=timed_out,
            )
        )
    return answer


def deliver(
    send: Send, request: Request, clock: Callable[[], datetime], attempts: list[Attempt]
) -> None:
    """Send a request; once more if it timed out, or the answer was a server error.

    A refused or broken connection is not tried again: Okta's pages disagree on it,
    and a receiver that counts on no retry is right in either case.

    :param attempts: Gets every attempt.
    """
    for _ in range(_ATTEMPTS):
        attempt(send, request, clock, attempts)
        if not attempts[-1].timed_out and attempts[-1].status not in _SERVER_ERRORS:
            break


class HttpSender:
    """Sends over HTTP, with one time-out for all of it, and follows no redirect.

    :param timeout: From the connection to the last byte of the answer, in seconds.
    """

    def __init__(self, timeout: float = TIMEOUT) -> None:
        self.timeout = timeout

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
                # The method of the plain socket: that of TLS would wait for the peer.
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(each, socket.SHUT_RDWR)

        # A socket's own time-out starts anew with every byte.
        timer = threading.Timer(self.timeout, expire)
        timer.daemon = True
        timer.start()
        try:
            connection.connect()
            opened.append(connection.sock)
            if expired.is_set():
                raise TimeoutError
            answer = _exchange(connection, request)
            # A connection that was cut may look like the end of an answer.
            if expired.is_set():
                raise TimeoutError
        except (OSError, UnicodeError, http.client.HTTPException) as error:
            if expired.is_set() or isinstance(error, TimeoutError):
                raise TimeoutError from error
            if isinstance(error, OSError):
                raise
            raise ConnectionError(str(error) or type(error).__name__) from error
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
    if request.method == "POST":
        connection.putheader("Content-Length", str(len(request.body)))
    connection.endheaders(request.body or None)
    response = connection.getresponse()
    return Answer(
        status=response.status,
        body=response.read(_LONGEST_ANSWER),
        location=response.getheader("Location"),
    )


def app_sender(app: Flask) -> Send:
    """Return what delivers to a Flask application in the same process, in the caller's thread.

    Nothing times out here. What the app raises while it is ``testing`` comes out of the org's ``settle``.

    :param app: The application that the hooks' URLs stand for. It sees the URL's host,
        and its own ``APPLICATION_ROOT`` as what it is mounted at, whether the URL begins with that or not.
    """
    client = app.test_client(use_cookies=False)
    root = app.config["APPLICATION_ROOT"].rstrip("/")

    def send(request: Request) -> Answer:
        parts = urlsplit(request.url)
        path = parts.path.removeprefix(root) if parts.path.startswith(f"{root}/") else parts.path
        response = client.open(
            path or "/",
            method=request.method,
            base_url=f"{parts.scheme}://{parts.netloc}{root}",
            query_string=parts.query,
            headers=dict(request.headers),
            data=request.body,
        )
        return Answer(
            status=response.status_code,
            body=response.get_data(),
            location=response.headers.get("Location"),
        )

    return send
