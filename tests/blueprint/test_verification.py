"""The verification says whether a delivery could be stored now."""

from __future__ import annotations

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from okta_hooks.state import state_of
from tests.support import until

from .support import as_nobody, assert_problem, post, verify, wrapped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from flask import Flask

    from okta_hooks import EventHook

    AppFactory = Callable[..., Flask]


@pytest.fixture
def start(make_app: AppFactory) -> Iterator[Callable[[EventHook, str], Flask]]:
    """Return a function that makes an app as another process would, which is closed after the test."""
    made: list[Flask] = []

    def begin(okta: EventHook, url: str) -> Flask:
        made.append(make_app(okta, INBOX=url, WORKER="external"))
        return made[-1]

    yield begin
    for app in made:
        state_of(app).close()


def test_a_table_that_takes_nothing(
    start: Callable[[EventHook, str], Flask], okta: EventHook, inbox_url: str, engine: sa.Engine
) -> None:
    """A database that can be opened and read is not enough; nothing is left of the attempt."""
    assert verify(start(okta, inbox_url)).status_code == 200
    with engine.begin() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM okta_hooks_delivery")) == 0
        connection.execute(sa.text("ALTER TABLE okta_hooks_delivery RENAME TO elsewhere"))

    assert_problem(verify(start(okta, inbox_url)), 503)


def test_a_file_that_has_become_read_only(
    start: Callable[[EventHook, str], Flask],
    okta: EventHook,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One that could be written when the app started, and cannot now: both answers are 503."""
    tmp_path.chmod(0o777)
    for folder in tmp_path.parents[:3]:
        folder.chmod(folder.stat().st_mode | 0o755)
    app = start(okta, f"sqlite:///{tmp_path}/inbox.sqlite3")
    assert verify(app).status_code == 200
    assert post(app, wrapped([{"eventType": "a.b"}])).status_code == 204
    state_of(app).close()
    (tmp_path / "inbox.sqlite3").chmod(0o444)

    with as_nobody():
        assert_problem(verify(app), 503)
        assert_problem(post(app, wrapped([{"eventType": "a.b"}])), 503)

    assert caplog.text.count("which may not read and write it") >= 2


def test_a_database_that_has_become_read_only(
    start: Callable[[EventHook, str], Flask],
    okta: EventHook,
    postgresql: sa.Engine,
    postgresql_url: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An old primary that was put aside begins every transaction, and stores nothing."""
    assert verify(start(okta, postgresql_url)).status_code == 200
    name = sa.make_url(postgresql_url).database
    with postgresql.connect() as connection:
        connection.exec_driver_sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")

    assert_problem(verify(start(okta, postgresql_url)), 503)
    assert "read-only transaction" in caplog.text


def test_many_who_ask_a_silent_database(
    start: Callable[[EventHook, str], Flask], okta: EventHook
) -> None:
    """Who knows the URL needs no secret to ask: one thread tries, whoever comes after that waits for nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent, ThreadPoolExecutor(8) as pool:
        app = start(okta, f"postgresql://app@127.0.0.1:{silent.getsockname()[1]}/app")
        asked = [pool.submit(verify, app) for _ in range(8)]
        until(lambda: openers() == 1)
        assert {each.result().status_code for each in asked} == {503}
        assert min(seconds_to_be_refused(app) for _ in range(3)) < 1
        assert openers() <= 1


def seconds_to_be_refused(app: Flask) -> float:
    began = time.monotonic()
    assert verify(app).status_code == 503
    return time.monotonic() - began


def openers() -> int:
    return sum(thread.name == "okta-hooks-question" for thread in threading.enumerate())
