"""The app ``stored``, which kills its process at one point of its way, once.

The point stands in the file that ``FLASK_KILL_AT`` names; the file goes when the point is reached.
"""

from __future__ import annotations

import os
import signal
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


@event.listens_for(sa.Engine, "before_cursor_execute")
def _before(connection: sa.Connection, cursor: Any, statement: str, *_: Any) -> None:
    if _SETTLES in statement:
        _reached("after the receiver, before the settle")


@event.listens_for(sa.Engine, "after_cursor_execute")
def _after(connection: sa.Connection, cursor: Any, statement: str, *_: Any) -> None:
    if statement.startswith("INSERT INTO okta_hooks_event"):
        connection.info["stores"] = True
    elif statement.startswith("INSERT INTO okta_hooks_receipt"):
        _reached("in the fan-out")
    elif _SETTLES in statement:
        _reached("in the settle")
    elif statement.startswith("UPDATE okta_hooks_receipt"):
        _reached("in the claim")


def _watch_exchanges() -> None:
    """Look at statements that go to PostgreSQL without SQLAlchemy, too."""
    try:
        from okta_hooks.inbox import pipeline
    except ImportError:
        return
    execute = pipeline.execute
    stores = threading.local()

    def watched(connection: Any, statements: Any, **named: Any) -> Any:
        texts = [text for text, _ in statements]
        settles = any(_SETTLES in text for text in texts)
        if settles:
            _reached("after the receiver, before the settle")
        if any(text.startswith("UPDATE okta_hooks_receipt") for text in texts):
            _reached("in the claim")
        if "COMMIT" in texts and getattr(stores, "now", False):
            stores.now = False
            _reached("before the commit")
        found = execute(connection, statements, **named)
        if settles:
            _reached("in the settle")
        if any(text.startswith("INSERT INTO okta_hooks_event") for text in texts):
            stores.now = True
        return found

    pipeline.execute = watched  # type: ignore[assignment]


_watch_exchanges()


@event.listens_for(sa.Engine, "commit")
def _commit(connection: sa.Connection) -> None:
    if connection.info.pop("stores", False):
        _reached("before the commit")


@delivery_stored.connect
def _stored(sender: object, **_: object) -> None:
    _reached("after the commit, before the 204")
