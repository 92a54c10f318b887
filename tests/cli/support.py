"""What the tests of several commands need."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.testing import Result

    Run = Callable[..., Result]


def printed(result: Result) -> Any:
    return json.loads(result.stdout)


def uuids(result: Result) -> list[str]:
    return [row["uuid"] for row in printed(result)]


def states(run: Run) -> dict[str, str]:
    rows = printed(run("events", "list", "--json"))
    return {row["uuid"]: row["state"] for row in rows if not row["uuid"].startswith("sha256:")}
