from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Callable

# What a Python on Windows has not got.
WINDOWS = """
import os, sys

sys.modules["fcntl"] = None
for name in ("register_at_fork", "fork", "getuid", "geteuid"):
    delattr(os, name)

from flask import Flask
from okta_hooks import EventHook

url, body = sys.argv[1:]
app = Flask("host")
app.config.update(OKTA_HOOKS_SECRET="correct horse", OKTA_HOOKS_INBOX=url)
okta = EventHook("okta")
"""

REGISTERED = """
try:
    app.register_blueprint(okta)
except RuntimeError as error:
    print(error)
"""

OPENED = """
from okta_hooks.exceptions import InboxUnavailable
from okta_hooks.inbox import Inbox

try:
    Inbox(url, folder=".")
except InboxUnavailable as error:
    print(error)
"""

DELIVERED = """
import threading

ran = threading.Event()

@okta.on("*")
def receiver(app, event, **extra):
    ran.set()

app.register_blueprint(okta)
answer = app.test_client().post(
    "/okta/events", data=body.encode(), headers={"Authorization": "correct horse"}
)
print(answer.status_code, ran.wait(30))
app.extensions["okta_hooks"].close()
"""


def on_windows(then: str, url: str, body: bytes = b"") -> str:
    """Return what is printed by an interpreter without what Windows has not got."""
    done = subprocess.run(
        [sys.executable, "-c", WINDOWS + then, url, body.decode()],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("then", [REGISTERED, OPENED])
def test_a_file_without_locks(then: str) -> None:
    """On Windows the package is imported, and an SQLite file is refused with the reason."""
    assert "needs the file locks of a POSIX system" in on_windows(then, "sqlite:///x.sqlite3")


def test_a_delivery_on_postgresql(postgresql_url: str, body: Callable[..., bytes]) -> None:
    """On Windows a delivery is stored and handled, with an inbox on PostgreSQL."""
    said = on_windows(DELIVERED, postgresql_url, body("user.lifecycle.create"))

    assert said == "204 True"
    url = sa.make_url(postgresql_url).set(drivername="postgresql+psycopg")
    with sa.create_engine(url, poolclass=sa.NullPool).connect() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM okta_hooks_event")) == 1
