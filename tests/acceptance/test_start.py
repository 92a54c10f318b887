"""A server's hook that runs after the fork starts the work of its process."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.acceptance.conftest import ROOT
from tests.support import SQLITE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.acceptance.conftest import Host


def example() -> str:
    """Return the configuration of gunicorn that the page on operating has."""
    page = (ROOT / "docs/how-to/operate.md").read_text(encoding="utf-8")
    found: list[str] = re.findall(
        r"```python\n(import okta_hooks\n[^`]*post_worker_init[^`]*)```", page
    )
    assert len(found) == 1
    return found[0]


@SQLITE
def test_gunicorn_begins_without_a_request(host: Host, tmp_path: Path) -> None:
    """What was stored before the start is handled, though nobody asks the server anything."""
    (tmp_path / "gunicorn.conf.py").write_text(example(), encoding="utf-8")
    host.store("waiting")

    host.serve(
        "gunicorn",
        f"--config={tmp_path}/gunicorn.conf.py",
        "--bind=127.0.0.1:0",
        "--workers=2",
        "--preload",
        "tests.acceptance.stored:app",
    )

    host.await_state(done=1)
    assert host.ran() == [("waiting", "audit"), ("waiting", "crm")]
