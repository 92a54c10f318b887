"""What an app pays for having the hook before anything comes: time to import, memory."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Final

from .servers import ROOT, okta_hooks

if TYPE_CHECKING:
    from pathlib import Path

    from .figures import Figures

IMPORT: Final = "milliseconds to import"
MEMORY: Final = "MB of memory of an app that has had a delivery"
FLASK: Final = "flask"
OURS: Final = "okta_hooks on top of flask"
_IMPORTED: Final = {
    FLASK: "import time; t = time.perf_counter(); import flask",
    OURS: "import time, flask; t = time.perf_counter(); from okta_hooks import EventHook",
}
_AFTER: Final = """
from pathlib import Path
from benchmarks.apps import PATH, SECRET
body = '{"data": {"events": [{"uuid": "1", "eventType": "user.session.start"}]}}'
answer = app.test_client().post(PATH, data=body, headers={"Authorization": SECRET})
assert answer.status_code == 204
status = Path("/proc/self/status").read_text()
print(int(status.partition("VmRSS:")[2].split()[0]) / 1024)
"""
_APPS: Final = {
    "without the hook": "from benchmarks.apps import bare\napp = bare()",
    "with the hook": "from benchmarks.apps import ours\napp = ours()",
}


def measure(figures: Figures, folder: Path, *, rounds: int) -> None:
    """Start fresh processes, in turn in each round."""
    environment = okta_hooks(f"sqlite:///{folder / 'footprint.sqlite3'}")
    for _ in range(rounds):
        for name, code in _IMPORTED.items():
            seconds = _run(f"{code}\nprint(time.perf_counter() - t)", {})
            figures.add(IMPORT, name, seconds * 1000)
        for name, code in _APPS.items():
            figures.add(MEMORY, name, _run(code + _AFTER, environment))


def _run(code: str, environment: dict[str, str]) -> float:
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    return float(ran.stdout.split()[-1])
