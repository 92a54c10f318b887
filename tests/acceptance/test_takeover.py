from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.support import once_each

if TYPE_CHECKING:
    from tests.acceptance.conftest import Host

BOTH = ["audit", "crm"]


@pytest.mark.parametrize("inbox_url", ["SQLite"], indirect=True)
def test_a_standby_takes_over(host: Host) -> None:
    """About a second after the leader was killed, another has what it had in hand, and the rest."""
    workers = [host.worker(), host.worker()]
    host.store("in-hand", "waiting", seconds=60)
    host.await_run("in-hand", "crm", "begin")
    (leader,) = (worker for worker in workers if worker.pid == host.runs("begin")[0].pid)
    (standby,) = (worker for worker in workers if worker is not leader)
    leader.kill()
    killed_at = time.monotonic()

    again = host.await_run("in-hand", "crm", "begin", times=2)

    print(f"took over after {again.at - killed_at:.2f} s")
    assert again.pid == standby.pid
    assert again.at - killed_at < 3


@once_each("starts_by", {"a page": "PostgreSQL", "a worker": "SQLite"})
def test_what_was_left_before_a_restart(host: Host, starts_by: str) -> None:
    """It is picked up without a new delivery: any page of the app starts the thread that does."""
    server = host.flask_run(WORKER="external")
    host.send_until_stored(server, "left")
    server.kill()

    if starts_by == "a page":
        host.get(host.flask_run())
    else:
        host.worker()
    host.await_state(done=1)

    assert host.ran("begin") == [("left", receiver) for receiver in BOTH]
