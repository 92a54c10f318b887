from __future__ import annotations

import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from okta_hooks import state_of
from okta_hooks.console import reads
from okta_hooks.exceptions import InboxUnavailable
from tests.support import PATIENCE, until

from .support import OWN, ROOT, Page, get

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flask import Flask
    from flask.testing import FlaskClient

    from okta_hooks import EventHook

SCREENS = ("", "/events", "/events/1", "/dead-letters", "/receivers", "/registration", "/audit")


def test_a_database_that_cannot_be_opened(
    make: Callable[..., Flask], okta: EventHook, tmp_path: Path
) -> None:
    """Every screen says so, with 503 and without a traceback."""
    client = make(okta).test_client()
    (tmp_path / "inbox.sqlite3").write_bytes(
        b"this is no database, and long enough to look like one" * 20
    )

    for path in SCREENS:
        answer = client.get(ROOT + path)
        assert answer.status_code == 503
        assert "The inbox does not answer" in answer.text
        assert "Traceback" not in answer.text
        assert answer.headers["Cache-Control"] == "no-store"


def test_a_database_that_is_silent(
    client: FlaskClient, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page waits for no more than a time, whatever the database does, and works again when that does."""
    monkeypatch.setattr(reads, "SECONDS", 0.3)
    inbox = state_of(app).runtime().inbox
    get(client)
    held = [inbox.database._slots.acquire() for _ in range(5)]  # noqa: SLF001 - as five that hang

    began = time.monotonic()
    answers = [client.get(ROOT + path) for path in ("/events", "/audit")]
    took = time.monotonic() - began
    for _ in held:
        inbox.database._slots.release()  # noqa: SLF001 - as above

    assert [answer.status_code for answer in answers] == [503, 503]
    assert took < 10
    assert get(client, "/audit")


def test_acting_on_a_database_that_is_locked(
    client: FlaskClient,
    app: Flask,
    directory: object,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What cannot be written down is not done, and that is said."""
    from okta_hooks.console import visit

    get(client)
    monkeypatch.setattr(visit, "SECONDS_TO_ACT", 0.5)
    with closing(sqlite3.connect(tmp_path / "inbox.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        answer = client.post(f"{ROOT}/receivers/pause?hook=okta&name=directory", headers=OWN)

    assert answer.status_code == 503
    assert "The inbox does not answer" in Page(answer.text).text
    assert state_of(app).runtime().inbox.pauses.paused() == []


def test_no_thread_can_be_started(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often that happens, the pages say so, and are there again when threads can be."""

    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        statuses = [client.get(f"{ROOT}/audit").status_code for _ in range(8)]

    assert statuses == [503] * 8
    assert get(client, "/audit")


def test_many_who_look_at_a_database_that_hangs(client: FlaskClient, app: Flask) -> None:
    """A database that hangs holds a few threads, and not one for each who looks."""
    held, goes_on = threading.Semaphore(0), threading.Event()
    asked = reads.Reads()
    inbox = state_of(app).runtime().inbox

    def hang(_: object) -> None:
        held.release()
        goes_on.wait(PATIENCE)

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(6) as pool:
        patch.setattr(reads, "SECONDS", 0.2)
        waiting = [pool.submit(asked.ask, inbox, hang) for _ in range(6)]
        for _ in waiting:
            assert held.acquire(timeout=PATIENCE)
        with pytest.raises(InboxUnavailable, match="has not answered others"):
            asked.ask(inbox, hang)
        for each in waiting:
            with pytest.raises(InboxUnavailable, match=r"did not answer within 0\.2 s"):
                each.result(PATIENCE)
        goes_on.set()
    until(lambda: asked.ask(inbox, lambda _: True))
