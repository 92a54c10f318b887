from __future__ import annotations

import json
from typing import TYPE_CHECKING

from okta_hooks.cli import group

if TYPE_CHECKING:
    from collections.abc import Iterable

    from click.testing import Result
    from flask import Flask

    from okta_hooks.doctor import Check


SECRET = "a secret of the tests and of nothing else"
TOKEN = "00a-token-nobody-may-see"


def levels(checks: Iterable[Check]) -> list[str]:
    return [check.level for check in checks]


def only(checks: Iterable[Check]) -> Check:
    (check,) = checks
    return check


def run(app: Flask, *arguments: str) -> Result:
    result = app.test_cli_runner().invoke(group, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    for hidden in (SECRET, TOKEN):
        assert hidden not in result.output
    return result


def examine(app: Flask, *arguments: str) -> dict[str, list[dict[str, str]]]:
    """Run the command, and return what it found, by the names of the checks."""
    found: dict[str, list[dict[str, str]]] = {}
    for check in json.loads(run(app, "doctor", "--json", *arguments).stdout):
        found.setdefault(check["name"], []).append(check)
    return found


def level(found: dict[str, list[dict[str, str]]], name: str) -> str:
    (check,) = found[name]
    return check["level"]
