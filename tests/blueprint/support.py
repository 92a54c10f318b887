from __future__ import annotations

import gzip
import importlib
import io
import json
import logging
import os
import tempfile
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from flask import Flask, redirect

from okta_hooks.inbox import Inbox

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pytest
    from werkzeug.test import TestResponse
    from werkzeug.wrappers import Response


SECRET = "correct horse"
RIGHT = {"Authorization": SECRET}
CHALLENGE = {"X-Okta-Verification-Challenge": "3f29"}
URL = "/okta/events"
SMALL = 2000
CREATED = "user.lifecycle.create"
DEACTIVATED = "user.lifecycle.deactivate"
SUSPENDED = "user.lifecycle.suspend"


def post(app: Flask, body: Any = b"", secret: str = SECRET, url: str = URL) -> TestResponse:
    return app.test_client().post(url, data=body, headers={"Authorization": secret})


def verify(app: Flask, url: str = URL, **headers: str) -> TestResponse:
    return app.test_client().get(url, headers={**CHALLENGE, **headers})


def assert_problem(response: TestResponse, status: int) -> None:
    """Check that a refusal is RFC 9457's, says what to do, and leads nowhere else."""
    assert response.status_code == status
    assert response.mimetype == "application/problem+json"
    assert "Location" not in response.headers
    assert response.json is not None
    assert response.json["status"] == status
    assert response.json["title"]
    assert response.json["detail"]


def nowhere(_: Exception) -> Response:
    return redirect("/login")


class Interrupted(io.BytesIO):
    """A body whose sender goes away, as servers tell it: by an error while reading."""

    def read(self, *_: Any) -> bytes:
        """Fail, as a read from a closed socket does."""
        raise ConnectionResetError

    def readinto(self, *_: Any) -> int:
        """Fail, as a read from a closed socket does."""
        raise ConnectionResetError


CHUNKED = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}


class Row(NamedTuple):
    """One row of the design's table: a request and its answer."""

    method: str
    status: int
    headers: Mapping[str, str]
    body: Any = b""
    environ: Mapping[str, Any] = {}


def ask(app: Flask, row: Row) -> TestResponse:
    return app.test_client().open(
        URL,
        method=row.method,
        headers=row.headers,
        input_stream=io.BytesIO(row.body) if isinstance(row.body, bytes) else row.body,
        environ_overrides={**row.environ},
    )


NOBODY = 65534


@contextmanager
def as_nobody() -> Iterator[None]:
    """Be a user who may not do everything."""
    user = os.getuid()
    if user != 0:
        yield
        return
    # What is imported late may lie where that user may not look.
    importlib.import_module("okta_hooks.state.runtime")
    with tempfile.TemporaryDirectory() as spare:
        inbox = Inbox(f"sqlite:///{spare}/inbox.sqlite3")
        inbox.open()
        inbox.close()
    os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


def wrapped(events: Any) -> bytes:
    return json.dumps({"data": {"events": events}}).encode()


WRONG = {"Authorization": "wrong"}
NOT_PASSED_ON = {"HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": ""}
HTTP_2 = {"SERVER_PROTOCOL": "HTTP/2", "CONTENT_LENGTH": ""}
GZIP, DEFLATE = {"Content-Encoding": "gzip"}, {"Content-Encoding": "deflate"}
ROWS = {
    "GET, right secret": Row("GET", 200, RIGHT | CHALLENGE),
    "GET, no secret": Row("GET", 200, CHALLENGE),
    "GET, wrong secret": Row("GET", 401, WRONG | CHALLENGE),
    "GET, empty secret": Row("GET", 401, {"Authorization": ""} | CHALLENGE),
    "GET, no challenge": Row("GET", 400, RIGHT),
    "GET, no challenge, wrong secret": Row("GET", 400, WRONG),
    "GET, empty challenge": Row("GET", 400, {"X-Okta-Verification-Challenge": ""}),
    "GET, longest challenge": Row("GET", 200, {"X-Okta-Verification-Challenge": "x" * 1024}),
    "GET, longer challenge": Row("GET", 400, {"X-Okta-Verification-Challenge": "x" * 1025}),
    "POST, wrong secret": Row("POST", 401, WRONG, wrapped([])),
    "POST, no secret": Row("POST", 401, {}, wrapped([])),
    "POST, empty secret": Row("POST", 401, {"Authorization": ""}, wrapped([])),
    "POST, secret twice": Row("POST", 401, {"Authorization": f"{SECRET}, {SECRET}"}, wrapped([])),
    "POST, secret as a scheme": Row("POST", 401, {"Authorization": f"Bearer {SECRET}"}, b"{}"),
    "POST, secret elsewhere": Row("POST", 401, {"X-Authorization": SECRET}, wrapped([])),
    "POST, wrong secret, too large": Row("POST", 401, WRONG, b" " * (SMALL + 1)),
    "POST, wrong secret, broken off": Row("POST", 401, WRONG, Interrupted(), CHUNKED),
    "POST, largest": Row("POST", 204, RIGHT, wrapped([]).ljust(SMALL)),
    "POST, too large": Row("POST", 413, RIGHT, wrapped([]).ljust(SMALL + 1)),
    "POST, chunked": Row("POST", 204, RIGHT, wrapped([]).ljust(SMALL), CHUNKED),
    "POST, chunked, too large": Row("POST", 413, RIGHT, wrapped([]).ljust(SMALL + 1), CHUNKED),
    "POST, said to be too large": Row(
        "POST", 413, RIGHT, wrapped([]), {"CONTENT_LENGTH": str(10 * SMALL)}
    ),
    "POST, shorter than said": Row("POST", 400, RIGHT, wrapped([]), {"CONTENT_LENGTH": "1999"}),
    "POST, broken off": Row("POST", 400, RIGHT, Interrupted(), CHUNKED),
    "POST, empty": Row("POST", 503, RIGHT),
    "POST, chunked, empty": Row("POST", 503, RIGHT, b"", CHUNKED),
    "POST, chunked, not passed on": Row("POST", 503, RIGHT, wrapped([]), NOT_PASSED_ON),
    "POST, HTTP/2, not passed on": Row("POST", 503, RIGHT, wrapped([]), HTTP_2),
    "POST, HTTP/2, empty": Row("POST", 503, RIGHT, b"", HTTP_2 | {"CONTENT_LENGTH": "0"}),
    "POST, wrong secret, not passed on": Row("POST", 401, WRONG, wrapped([]), NOT_PASSED_ON),
    "POST, gzip": Row("POST", 204, RIGHT | GZIP, gzip.compress(wrapped([]))),
    "POST, gzip, largest": Row("POST", 204, RIGHT | GZIP, gzip.compress(wrapped([]).ljust(SMALL))),
    "POST, gzip, too large": Row(
        "POST", 413, RIGHT | GZIP, gzip.compress(wrapped([]).ljust(SMALL + 1))
    ),
    "POST, gzip, chunked": Row("POST", 204, RIGHT | GZIP, gzip.compress(wrapped([])), CHUNKED),
    "POST, deflate": Row("POST", 204, RIGHT | DEFLATE, zlib.compress(wrapped([]))),
    "POST, deflate without a header": Row(
        "POST", 204, RIGHT | DEFLATE, zlib.compress(wrapped([]), wbits=-zlib.MAX_WBITS)
    ),
    "POST, deflate, too large": Row(
        "POST", 413, RIGHT | DEFLATE, zlib.compress(wrapped([]).ljust(SMALL + 1))
    ),
    "POST, identity": Row("POST", 204, RIGHT | {"Content-Encoding": "identity"}, wrapped([])),
    "POST, decompressed before": Row("POST", 204, RIGHT | GZIP, b" \n" + wrapped([])),
    "POST, said to be another": Row(
        "POST", 204, RIGHT | {"Content-Encoding": "utf-8"}, wrapped([])
    ),
    "POST, gzip of two parts": Row(
        "POST", 204, RIGHT | GZIP, gzip.compress(wrapped([])[:9]) + gzip.compress(wrapped([])[9:])
    ),
    "POST, gzip of two parts, too large": Row(
        "POST", 413, RIGHT | GZIP, 2 * gzip.compress(b" " * (SMALL // 2 + 1))
    ),
    "POST, gzip and identity": Row(
        "POST", 204, RIGHT | {"Content-Encoding": "gzip, identity"}, gzip.compress(wrapped([]))
    ),
    "POST, said to be gzip": Row("POST", 503, RIGHT | GZIP, b"x"),
    "POST, gzip, cut off": Row("POST", 503, RIGHT | GZIP, gzip.compress(wrapped([]))[:-1]),
    "POST, gzip and more": Row("POST", 503, RIGHT | GZIP, gzip.compress(wrapped([])) + b"x"),
    "POST, another compression": Row("POST", 503, RIGHT | {"Content-Encoding": "br"}, b"x"),
    "POST, wrong secret, a bomb": Row(
        "POST", 401, WRONG | GZIP, gzip.compress(wrapped([]).ljust(SMALL + 1))
    ),
    "POST, not JSON": Row("POST", 400, RIGHT, b"eventType=com.okta.event_hook"),
    "POST, not UTF-8": Row("POST", 400, RIGHT, b'{"data":{"events":["\xff"]}}'),
    "POST, nested too deep": Row("POST", 400, RIGHT, b"[" * SMALL),
    "POST, a list": Row("POST", 400, RIGHT, b"[]"),
    "POST, no data": Row("POST", 400, RIGHT, b"{}"),
    "POST, data null": Row("POST", 400, RIGHT, b'{"data":null}'),
    "POST, no events": Row("POST", 400, RIGHT, b'{"data":{}}'),
    "POST, events null": Row("POST", 400, RIGHT, wrapped(None)),
    "POST, events no list": Row("POST", 400, RIGHT, wrapped({"eventType": CREATED})),
    "POST, empty list": Row("POST", 204, RIGHT, wrapped([])),
    "POST, events": Row("POST", 204, RIGHT, wrapped([{"eventType": CREATED}])),
    "POST, unreadable events": Row("POST", 204, RIGHT, wrapped([None, 1, {}, {"eventType": 2}])),
    "POST, unknown type": Row("POST", 204, RIGHT, wrapped([{"eventType": "moon.landing"}])),
    "POST, content type of a form": Row(
        "POST",
        204,
        RIGHT | {"Content-Type": "application/x-www-form-urlencoded"},
        wrapped([{"eventType": CREATED}]),
    ),
    "POST, a receiver failed": Row("POST", 500, RIGHT, wrapped([{"eventType": SUSPENDED}])),
}


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno >= logging.WARNING and record.name.startswith("okta_hooks.")
    ]
