from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from flask import Flask

from okta_hooks import EventHook
from okta_hooks.cli import group

from .support import SECRET

if TYPE_CHECKING:
    from pathlib import Path


URL = "/okta/events"
Found = dict[str, list[dict[str, str]]]


def make_hook_app(tmp_path: Path, **config: Any) -> Flask:
    okta = EventHook("okta")
    okta.on("user.lifecycle.deactivate", name="offboard")(lambda *_, **__: None)
    app = Flask("host")
    defaults = {"SECRET": SECRET, "INBOX": f"sqlite:///{tmp_path / 'inbox.sqlite3'}"}
    for key, value in (defaults | config).items():
        app.config[f"OKTA_HOOKS_{key}"] = value
    app.register_blueprint(okta)
    return app


def examine(app: Flask, *arguments: str) -> Found:
    """Run the command, and return what it found, by the names of the checks."""
    result = app.test_cli_runner().invoke(group, ["doctor", "--json", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert SECRET not in result.output
    found: Found = {}
    for check in json.loads(result.stdout):
        found.setdefault(check["name"], []).append(check)
    levels = {check["level"] for checks in found.values() for check in checks}
    assert result.exit_code == ("failure" in levels)
    return found


def troubles(found: Found) -> dict[str, str]:
    """Return the names and levels of what is not as it should be."""
    return {
        name: check["level"]
        for name, checks in found.items()
        for check in checks
        if check["level"] in ("warning", "failure")
    }


def in_front(found: Found, *, timed: bool = False) -> dict[str, str]:
    """Return the same, but for what the served app does first when it is first asked.

    :param timed: Whether to return, too, how long the answers took, which a busy machine makes longer.
    """
    behind = {"inbox", "inbox-file", "worker"} | (set() if timed else {"answer-time"})
    return {name: level for name, level in troubles(found).items() if name not in behind}


#: The servers here are on the loopback, which is said.
INSIDE = {"url": "warning"}
