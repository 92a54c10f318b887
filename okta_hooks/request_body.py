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
#: How zlib is told that what comes has the header of gzip.
_GZIP: Final = 16 + zlib.MAX_WBITS


class TooSlow(Exception):
    """The body had not come by the deadline."""


class NotPassedOn(Exception):
    """The client sends a body without its length, and the server gives the app none of it."""


class Undecodable(Exception):
    """The body is not compressed as its header says, or in a way that is not known here."""


def read(longest: int, deadline: float) -> bytes:
    """Return the body of the request, decompressed.

    :param longest: How many bytes it may have.
    :param deadline: The monotonic time until which it may take.
    :raises TooSlow: if it took longer.
    :raises RequestEntityTooLarge: if it is larger, as it came or decompressed.
    :raises NotPassedOn: if it was sent without its length, and did not come this far.
    :raises Undecodable: if it cannot be decompressed.
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
    if not body and _was_without_length(request.environ):
        raise NotPassedOn
    coding = request.headers.get("Content-Encoding", "").strip().lower()
    return _decompressed(body, coding, longest) if body and coding not in _AS_IT_IS else body


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


def _decompressed(body: bytes, coding: str, longest: int) -> bytes:
    """Undo a compression, by no more than so many bytes: a few of them may stand for millions."""
    # A "deflate" may come with the header of zlib, as it should, or without: RFC 9110, 8.4.1.2.
    formats = {"gzip": (_GZIP,), "x-gzip": (_GZIP,), "deflate": (zlib.MAX_WBITS, -zlib.MAX_WBITS)}
    for bits in formats.get(coding, ()):
        decoder = zlib.decompressobj(bits)
        try:
            decoded = decoder.decompress(body, longest + 1)
        except zlib.error:
            continue
        if len(decoded) > longest:
            raise RequestEntityTooLarge
        if decoder.eof and not decoder.unused_data:
            return decoded
    raise Undecodable


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
