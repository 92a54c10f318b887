from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from okta_hooks.work.lane import MOST_IN_HAND
from tests.acceptance.conftest import until
from tests.support import SQLITE

if TYPE_CHECKING:
    from tests.acceptance.conftest import Host

_EVENTS = 12


def _led_by(host: Host) -> set[int]:
    return {run.pid for run in host.runs("begin")}


@SQLITE
def test_somebody_removes_the_lock(host: Host) -> None:
    """Another process leads then; what both run is at most what the first had in hand at that moment."""
    host.worker()
    uuids = [f"uuid-{number:02}" for number in range(_EVENTS)]
    host.store(*uuids, seconds=0.6)
    first = host.await_run(uuids[1], "crm", "begin").pid
    host.worker()

    assert host.inbox.path is not None
    host.inbox.path.with_name(f"{host.inbox.path.name}.lock").unlink()
    # Until the other has run something, there is something to run.
    for number in range(1000):
        host.store(f"more-{number}", seconds=0.2)
        until(lambda: host.inbox.overview.counts().open == 0)
        if _led_by(host) != {first}:
            break

    runs = host.runs("begin")
    times = Counter((run.uuid, run.receiver) for run in runs)
    again = [receiver for (_, receiver), number in times.items() if number > 1]
    # Who takes a while has one at a time in hand.
    assert again.count("crm") <= 1
    assert again.count("audit") <= MOST_IN_HAND
    assert max(times.values()) <= 2
    # The first leads no more: it ran nothing after what it had in hand.
    led = [run.pid for run in runs if run.receiver == "crm"]
    assert led[-1] != first
