from __future__ import annotations

import gzip
import io
import json
import logging
import subprocess
import sys
import time
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from okta_hooks import EventHook, signals
from okta_hooks.state.app import BEGAN

from .support import CREATED, RIGHT, URL, assert_problem, post, warnings_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from blinker import NamedSignal
    from flask import Flask
    from werkzeug.test import TestResponse

    from tests.support import Calls

    AppFactory = Callable[..., Flask]
    BodyFactory = Callable[..., bytes]

MOST_EVENTS = 10_000
MOST_VALUES = 500_000
#: What docs/answers.md says of 10 MiB, which is the default, and a little for what a process needs beside it.
MEGABYTES = 150 + 30


@pytest.fixture(params=[True, False], ids=["stored", "in the request"])
def app(
    request: pytest.FixtureRequest, make_app: AppFactory, okta: EventHook, tmp_path: Any
) -> Iterator[Flask]:
    """Return an app with an inbox, and one without."""
    made = make_app(
        okta, INBOX=f"sqlite:///{tmp_path / 'inbox.sqlite3'}" if request.param else None
    )
    made.testing = True
    yield made
    if request.param:
        made.extensions["okta_hooks"].close()


@pytest.fixture
def storing(make_app: AppFactory, okta: EventHook, tmp_path: Any) -> Iterator[Flask]:
    """Return an app with an inbox."""
    made = make_app(okta, INBOX=f"sqlite:///{tmp_path / 'inbox.sqlite3'}")
    made.testing = True
    yield made
    made.extensions["okta_hooks"].close()


def events_of(app: Flask) -> int:
    counts = app.extensions["okta_hooks"].runtime().inbox.overview.counts()
    return int(counts.pending + counts.dead)


def post_begun(app: Flask, body: bytes | io.BytesIO, seconds_ago: float, size: int) -> TestResponse:
    """Deliver as if the request had come in so long ago."""
    return app.test_client().post(
        URL,
        headers=RIGHT,
        input_stream=io.BytesIO(body) if isinstance(body, bytes) else body,
        environ_overrides={
            BEGAN: time.monotonic() - seconds_ago,
            "CONTENT_LENGTH": str(size),
        },
    )


@pytest.mark.parametrize(("number", "status"), [(MOST_EVENTS, 204), (MOST_EVENTS + 1, 413)])
def test_the_number_of_events(app: Flask, number: int, status: int) -> None:
    """A delivery of more than 10,000 events is refused: to store it might take longer than Okta waits."""
    answer = post(app, b'{"data":{"events":[%b]}}' % b",".join([b"{}"] * number))

    assert answer.status_code == status
    if status == 413:
        assert_problem(answer, 413)
        assert "10,000 events" in answer.text


@pytest.mark.parametrize("value", [b"[]", b"{}", b"1", b'"ab"'])
def test_the_number_of_values(app: Flask, value: bytes) -> None:
    """A body of more than 500,000 values is refused before it is read, also where there are no events in it."""
    most = b'{"data":{"events":[]},"x":[%b]}'
    fits = (MOST_VALUES - 5) // (2 if value in {b"[]", b"{}"} else 1)

    assert post(app, most % b",".join([value] * fits)).status_code == 204
    refused = post(app, most % b",".join([value] * (fits + 5)))

    assert_problem(refused, 413)
    assert "500,000" in refused.text


def test_text_is_no_value(app: Flask) -> None:
    """A large body of few values is none of these."""
    assert post(app, json.dumps({"data": {"events": []}, "x": "a" * 2_000_000})).status_code == 204


class Slow(io.BytesIO):
    """A body that comes in pieces, as slowly as a test wants, from a server that gives nobody its connection."""

    def __init__(self, body: bytes, seconds: float) -> None:
        super().__init__(body)
        self._seconds = seconds
        self.reads = 0

    def readinto(self, buffer: Any) -> int:
        """Take a while."""
        self.reads += 1
        time.sleep(self._seconds)
        return super().readinto(memoryview(buffer)[:1000])


def test_a_body_that_comes_slowly(
    app: Flask, hear: Callable[[NamedSignal], Calls], caplog: pytest.LogCaptureFixture
) -> None:
    """What has not come by the deadline gets a 503, and nobody reads on."""
    refused = hear(signals.delivery_refused)
    slow = Slow(b" " * 100_000, 0.02)

    answer = post_begun(app, slow, 1.9, 100_000)

    assert_problem(answer, 503)
    assert slow.reads < 50
    (arguments,) = refused.arguments
    assert (arguments["status"], "within 2 s" in arguments["reason"]) == (503, True)
    assert len(warnings_of(caplog)) == 1


def test_what_is_read_too_late_is_not_stored(storing: Flask) -> None:
    """A delivery that is read when the time is over is left to Okta's retry, which need not be a duplicate."""
    assert post(storing, b'{"data":{"events":[]}}').status_code == 204  # opens the inbox
    # To tell so many apart takes longer than is left.
    body = b'{"data":{"events":[%b]}}' % b",".join([b"{}"] * MOST_EVENTS)

    answer = post_begun(storing, body, 1.98, len(body))

    assert_problem(answer, 503)
    storing.extensions["okta_hooks"].close()
    assert events_of(storing) == 0


def test_an_outage_is_told_once(
    make_app: AppFactory,
    okta: EventHook,
    body: BodyFactory,
    tmp_path: Any,
    *,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """While no delivery can be stored, the log does not get a line for each; the host is told of each."""
    app = make_app(okta, INBOX=f"sqlite:///{tmp_path}/inbox.sqlite3")
    (tmp_path / "inbox.sqlite3").mkdir()
    app.testing = True

    answers = [post(app, body(CREATED)).status_code for _ in range(5)]

    assert answers == [503] * 5
    told = [line for line in warnings_of(caplog) if "not stored" in line]
    assert len(told) == 1
    assert told[0].startswith("A delivery to the hook 'okta' was not stored: ")
    app.extensions["okta_hooks"].close()


def test_unreadable_events_are_told_of_together(
    storing: Flask, hear: Callable[[NamedSignal], Calls], caplog: pytest.LogCaptureFixture
) -> None:
    """Ten thousand of them in one delivery are one line of the log, and one signal, when they are stored."""
    dead = hear(signals.event_dead)

    answer = post(storing, b'{"data":{"events":[%b]}}' % b",".join([b"{}"] * MOST_EVENTS))

    assert answer.status_code == 204
    assert [arguments["reason"].split(maxsplit=1)[0] for arguments in dead.arguments] == ["10000"]
    (record,) = (record for record in caplog.records if record.levelno >= logging.WARNING)
    assert len(record.getMessage()) < 500
    assert events_of(storing) == MOST_EVENTS


def test_a_bomb(app: Flask) -> None:
    """Of what unpacks to much more than a body may have, no more than that is unpacked."""
    packed = gzip.compress(bytes(300 * 1024 * 1024), compresslevel=1)
    headers = RIGHT | {"Content-Encoding": "gzip"}
    tracemalloc.start()
    try:
        answer = app.test_client().post(URL, data=packed, headers=headers)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert_problem(answer, 413)
    assert most < 50 * 1024 * 1024


MEASURE = """
import io, sys
from pathlib import Path

if sys.argv[1] == "json":
    sys.modules["msgspec"] = None
from flask import Flask
from okta_hooks import EventHook

app = Flask("app")
app.testing = True
app.config.update(OKTA_HOOKS_SECRET="s", OKTA_HOOKS_INBOX="sqlite:///" + sys.argv[2])
app.register_blueprint(EventHook("okta"))

def post(body):
    size, stream = len(body), io.BytesIO(body)
    del body
    return app.test_client().post(
        "/okta/events", input_stream=stream, content_length=size, headers={"Authorization": "s"}
    ).status_code

def megabytes(what):
    return int(Path("/proc/self/status").read_text().partition(what + ":")[2].split()[0]) / 1024

event = b'{"uuid":"u","eventType":"a.b"}'
while post(b'{"data":{"events":[%b]}}' % event) != 204:
    pass  # the first imports what it needs, which may take its time
size = 10 * 1024 * 1024
values = b'{"data":{"events":[]},"x":[%b]}'
bodies = {
    "unreadable": lambda: b'{"data":{"events":[%b]}}' % b",".join([b'{"x":"%b"}' % (b"a" * 1030)] * 10_000),
    "objects": lambda: (values % b",".join([b'{"":0}'] * 249_000)).ljust(size),
    "wide": lambda: values % b",".join([('"\\N{KEY}' + "a" * 14 + '"').encode()] * 490_000),
}
body = bodies[sys.argv[3]]()
assert len(body) <= size
before = megabytes("VmRSS")
Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
status = post(body)
print(status, megabytes("VmHWM") - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("kind", ["unreadable", "objects", "wide"])
@pytest.mark.parametrize("reader", ["json", "msgspec"])
def test_the_memory_of_a_request(tmp_path: Any, reader: str, kind: str) -> None:
    """The worst of what one body can hold takes as much memory as the documentation says."""
    command = [sys.executable, "-c", MEASURE, reader, str(tmp_path / "inbox.sqlite3"), kind]

    status, more = subprocess.run(command, capture_output=True, check=True).stdout.split()

    assert status in {b"204", b"503"}  # on a busy machine it may be late
    assert float(more) < MEGABYTES
