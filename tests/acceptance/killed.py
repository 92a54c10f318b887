"""The app ``stored``, which kills its process at one point of its way, once.

The point stands in the file that ``FLASK_KILL_AT`` names; the file goes when the point is reached.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from okta_hooks.signals import delivery_stored
from tests.acceptance.stored import app

__all__ = ["app"]

_FILE = Path(app.config["KILL_AT"])
_SETTLES = "attempts = attempts + 1"


def _reached(point: str) -> None:
    if _FILE.exists() and _FILE.read_text(encoding="utf-8") == point:
        _FILE.unlink()
        os.kill(os.getpid(), signal.SIGKILL)


class _Statements(threading.local):
    """What a thread has executed: the statement before this one, and whether events wait for a commit."""

    last = ""
    stores = False


_here = _Statements()


def _before(statement: str) -> None:
    """Look at a statement that begins; the one before it in this thread has ended."""
    _after(_here.last)
    _here.last = statement
    if _SETTLES in statement:
        _reached("after the receiver, before the settle")
    elif statement == "COMMIT" and _here.stores:
        _here.stores = False
        _reached("before the commit")


def _after(statement: str) -> None:
    if statement.startswith("INSERT INTO okta_hooks_event"):
        _here.stores = True
    elif statement.startswith("INSERT INTO okta_hooks_receipt"):
        _reached("in the fan-out")
    elif _SETTLES in statement:
        _reached("in the settle")
    elif statement.startswith("UPDATE okta_hooks_receipt"):
        _reached("in the claim")


@event.listens_for(sa.Engine, "connect")
def _watch_sqlite(raw: Any, _: object) -> None:
    """Let SQLite tell of each statement that begins, whoever executes it."""
    if isinstance(raw, sqlite3.Connection):
        raw.set_trace_callback(_before)


@event.listens_for(sa.Engine, "after_cursor_execute")
def _watch_sqlalchemy(connection: sa.Connection, cursor: Any, statement: str, *_: Any) -> None:
    if connection.dialect.name == "postgresql":
        _after(statement)


def _watch_exchanges() -> None:
    """Look at the statements that go to PostgreSQL without SQLAlchemy."""
    try:
        from okta_hooks.inbox import pipeline
    except ImportError:
        return
    execute = pipeline.execute

    def watched(connection: Any, statements: Any, **named: Any) -> Any:
        texts = [text for text, _ in statements]
        settles = any(_SETTLES in text for text in texts)
        if settles:
            _reached("after the receiver, before the settle")
        if any(text.startswith("UPDATE okta_hooks_receipt") for text in texts):
            _reached("in the claim")
        if "COMMIT" in texts and _here.stores:
            _here.stores = False
            _reached("before the commit")
        found = execute(connection, statements, **named)
        if settles:
            _reached("in the settle")
        if any(text.startswith("INSERT INTO okta_hooks_event") for text in texts):
            _here.stores = True
        return found

    pipeline.execute = watched  # type: ignore[assignment]


_watch_exchanges()


@delivery_stored.connect
def _stored(sender: object, **_: object) -> None:
    _reached("after the commit, before the 204")
