"""How long it takes to read one LogEvent into typed objects."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Final

from .figures import turns
from .load import TYPES
from .servers import ROOT

if TYPE_CHECKING:
    from .figures import Figures

ITEM: Final = "microseconds to read one event"
SDK: Final = "LogEvent.from_dict of Okta's SDK"
OURS: Final = "okta_hooks, load_event"
_TIMED: Final = """
import json, sys, time
from okta_hooks.testing import make_event
events = [make_event(name, seed=1) for name in json.loads(sys.argv[1])]
{setup}
for event in events * 50:
    read(event)
began = time.process_time()
for event in events * {times}:
    read(event)
print((time.process_time() - began) / (len(events) * {times}) * 1e6)
"""
_READERS: Final = {
    "marshmallow, our schemas, without the generated loader": (
        "from okta_hooks.wire.events import LogEvent\nfrom okta_hooks.wire.fields import schema_of\n"
        "read = schema_of(LogEvent).load"
    ),
    SDK: "from okta.models.log_event import LogEvent\nread = LogEvent.from_dict",
    OURS: "from okta_hooks.wire.reading import load_event as read",
}


def measure(figures: Figures, *, rounds: int, times: int) -> None:
    """Let each read the same events, in a process of its own, in turn in each round."""
    for name in turns(list(_READERS), rounds):
        figures.measure(ITEM, [name], _read, _READERS[name], times)


def _read(setup: str, times: int) -> list[float]:
    code = _TIMED.format(setup=setup, times=times)
    command = [sys.executable, "-c", code, json.dumps(TYPES)]
    ran = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return [float(ran.stdout)]
