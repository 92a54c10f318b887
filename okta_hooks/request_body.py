"""Reading the body of a request until a deadline, however slowly it comes, and undoing its compression.

Where a server reads from the connection while the app reads the body, its ``read(n)`` returns when n bytes have come,
so to look at the clock between two reads ends none of them. Two servers give the connection to the app;
there a thread shuts it for reading at the deadline: the read ends, and the answer still goes out.
Other servers have the whole body before they call the app, or a time-out of their own.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Self, cast

from flask import request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from .forks import in_children
from .threads import start_thread

if TYPE_CHECKING:
    from typing import IO

#: Where the connection stands in the WSGI environment: of gunicorn, and of Werkzeug's server, which ``flask run`` is.
_CONNECTIONS: Final = ("gunicorn.socket", "werkzeug.socket")
_PIECE: Final = 64 * 1024
#: What is read of a body that nobody wants.
_MOST_TO_DRAIN: Final = 64 * 1024
_SECONDS_TO_DRAIN: Final = 1.0
_SECONDS_BETWEEN_LOOKS: Final = 0.1
_LOOKS_BEFORE_THE_END: Final = 100
#: Values of Content-Encoding that say nothing.
_AS_IT_IS: Final = frozenset({"", "identity"})
_BEGINS_OF_JSON: Final = (b"{", b"[")
#: How zlib is told that what comes has the header of gzip.
_GZIP: Final = 16 + zlib.MAX_WBITS


class TooSlow(Exception):
    """The body had not come by the deadline."""


class Lost(Exception):
    """Something between the client and the hook has lost the body, or changed it so that nobody can read it.

    :param reason: What has become of it, as a sentence.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def read(longest: int, deadline: float) -> bytes:
    """Return the body of the request, decompressed.

    :param longest: How many bytes it may have.
    :param deadline: The monotonic time until which it may take.
    :raises TooSlow: if it took longer.
    :raises RequestEntityTooLarge: if it is larger, as it came or decompressed.
    :raises Lost: if there is none, or it cannot be decompressed.
    :raises HTTPException: if the client is gone.
    :raises OSError: likewise.
    """
    # One byte more: of a chunked body Werkzeug reads up to this, and does not tell whether there was more.
    request.max_content_length = longest + 1
    with _Read(request.environ, deadline) as this:
        try:
            # Not the stream itself: what a `before_request` of the host has read is kept by the request.
            request.stream = cast("IO[bytes]", _Timed(request.stream, deadline))
            body = request.get_data(cache=False)
        except (HTTPException, OSError):
            if this.is_ended:
                raise TooSlow from None
            raise
    if this.is_ended:
        raise TooSlow
    if len(body) > longest:
        raise RequestEntityTooLarge
    if not body:
        raise Lost(_why_empty())
    codings = [
        name.strip() for name in request.headers.get("Content-Encoding", "").lower().split(",")
    ]
    return _decompressed(body, [name for name in codings if name not in _AS_IT_IS], longest)


def _why_empty() -> str:
    if _was_without_length(request.environ):
        return "The body was sent in chunks, without its length, and the server does not pass it on to the app."
    announced = request.content_length or 0
    if announced:
        return (
            f"The body is empty, and {announced} bytes were announced: something has read them before, in the app "
            "or in front of it."
        )
    return "The body is empty, and Okta sends none that is: something on the way has dropped it."


def _was_without_length(environ: dict[str, Any]) -> bool:
    """Return whether a body came without its length, through a server that does not say where it ends: none is read.

    https://werkzeug.palletsprojects.com/en/stable/wsgi/#werkzeug.wsgi.get_input_stream
    """
    if "wsgi.input_terminated" in environ:
        return False
    # HTTP/2 has no header that says so.
    is_older = str(environ.get("SERVER_PROTOCOL", "HTTP/1")).startswith("HTTP/1")
    has_length = bool(environ.get("CONTENT_LENGTH"))
    return "HTTP_TRANSFER_ENCODING" in environ or not (is_older or has_length)


def _decompressed(body: bytes, codings: list[str], longest: int) -> bytes:
    """Undo a compression, by no more than so many bytes: a few of them may stand for millions.

    What is JSON already stays as it is: something on the way has decompressed it, and has left the header.
    """
    if not codings or body.lstrip()[:1] in _BEGINS_OF_JSON:
        return body
    # A "deflate" may come with the header of zlib, as it should, or without: RFC 9110, 8.4.1.2.
    formats = {"gzip": (_GZIP,), "x-gzip": (_GZIP,), "deflate": (zlib.MAX_WBITS, -zlib.MAX_WBITS)}
    for bits in formats.get(codings[0], ()) if len(codings) == 1 else ():
        with suppress(zlib.error):
            return _inflated(body, bits, longest)
    raise Lost(
        "The body is not compressed as its Content-Encoding says: gzip and deflate can be read."
    )


def _inflated(body: bytes, bits: int, longest: int) -> bytes:
    """Decompress all parts of a body: a gzip may have several, RFC 1952, 2.2.

    :raises zlib.error: if it is not compressed so, or cut off.
    """
    decoded = b""
    while body:
        decoder = zlib.decompressobj(bits)
        decoded += decoder.decompress(body, longest + 1 - len(decoded))
        if len(decoded) > longest:
            raise RequestEntityTooLarge
        if not decoder.eof:
            raise zlib.error("cut off")
        body = decoder.unused_data
    return decoded


def drain() -> None:
    """Read some of a body that nobody wants: to close on unread data resets the connection, and loses the answer.

    What is left after that keeps no thread: the connection is shut for reading, so the server closes it after
    the answer. A header could not say so, because PEP 3333 leaves ``Connection`` to the server.
    """
    request.max_content_length = sys.maxsize
    deadline = time.monotonic() + _SECONDS_TO_DRAIN
    left = _MOST_TO_DRAIN + 1
    with _Read(request.environ, deadline) as this:
        with suppress(HTTPException, OSError):
            while left > 0 and time.monotonic() < deadline:
                piece = request.stream.read(min(left, _PIECE))
                if not piece:
                    return
                left -= len(piece)
        this.end()


class _Timed:
    """A body that is read in pieces, with a look at the clock after each."""

    def __init__(self, stream: IO[bytes], deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self) -> bytes:
        """Return all of it."""
        pieces = []
        while piece := self._stream.read(_PIECE):
            if time.monotonic() >= self._deadline:
                raise TooSlow
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


class _Read:
    """The reading of one body, which is ended at its deadline if the server has given the connection to the app."""

    def __init__(self, environ: dict[str, Any], deadline: float) -> None:
        self.deadline = deadline
        self.is_ended = False
        self._connection: socket.socket | None = None
        # Of HTTP/2 many requests share a connection.
        if environ.get("SERVER_PROTOCOL") in {"HTTP/1.0", "HTTP/1.1"}:
            self._connection = next(
                (environ[name] for name in _CONNECTIONS if name in environ), None
            )

    def __enter__(self) -> Self:
        if self._connection is not None:
            _watchdog.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        if self._connection is not None:
            _watchdog.remove(self)

    def end(self) -> None:
        """Shut the connection for reading."""
        if self._connection is None:
            return
        # First: the read that this ends asks at once, in its own thread, why it has ended.
        self.is_ended = True
        # By another object of the same connection: that of a TLS connection would take the TLS off.
        with (
            suppress(OSError),
            socket.socket(fileno=os.dup(self._connection.fileno())) as same,
        ):
            same.shutdown(socket.SHUT_RD)


class _Watchdog:
    """One thread per process that ends reads at their deadlines. It goes when there has been none for a while."""

    def __init__(self) -> None:
        self.reset()
        # Threads do not survive a fork, and somebody may have held the lock.
        in_children(self.reset)

    def reset(self) -> None:
        """Begin anew."""
        self._lock = threading.Lock()
        self._reads: set[_Read] = set()
        self._thread: threading.Thread | None = None

    def add(self, read: _Read) -> None:
        """End this read at its deadline."""
        with self._lock:
            self._reads.add(read)
            if self._thread is None:
                self._thread = start_thread(self._run, name="okta-hooks-deadlines")

    def remove(self, read: _Read) -> None:
        """Leave this read alone from now on: its connection may be another's soon."""
        with self._lock:
            self._reads.discard(read)

    def _run(self) -> None:
        looks_at_nothing = 0
        while True:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
            now = time.monotonic()
            with self._lock:
                looks_at_nothing = 0 if self._reads else looks_at_nothing + 1
                if looks_at_nothing > _LOOKS_BEFORE_THE_END:
                    self._thread = None
                    return
                for read in self._reads:
                    if read.deadline <= now and not read.is_ended:
                        read.end()


_watchdog = _Watchdog()
