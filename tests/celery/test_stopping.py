from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.support import NEEDS_PSYCOPG

from .support import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from .support import Host

pytestmark = NEEDS_PSYCOPG


@pytest.fixture(scope="module")
def host(make_host: Callable[..., Host]) -> Host:
    """Return a host with a relay, whose leases run out soon."""
    host = make_host(SHORT_LEASES="1")
    host.relay()
    return host


def child_of(host: Host, uuid: str) -> int:
    """Wait until an event is being handled, and return the id of the process that does."""
    until(lambda: host.runs("began")[uuid])
    return next(int(line[-1]) for line in host.lines("began") if line[0] == uuid)


def test_a_warm_shutdown_finishes_what_runs(host: Host) -> None:
    """It is done once, and no worker stays in the list."""
    worker = host.worker()
    host.store("sleep_1.5_warm")
    child_of(host, "sleep_1.5_warm")

    assert host.end(worker) == 0

    assert host.receipt("sleep_1.5_warm").state == "done"
    assert host.performers() == []


def test_a_worker_that_is_killed_after_its_grace_counts_no_death(host: Host) -> None:
    """It was told to stop before: what it had in hand goes to another worker as if nothing had been."""
    worker = host.worker()
    host.store("hold_grace")
    child = child_of(host, "hold_grace")
    worker.send_signal(signal.SIGTERM)
    with host.sql() as connection:
        marked = "SELECT count(*) FROM okta_hooks_worker WHERE is_stopping = 1"
        until(lambda: connection.exec_driver_sql(marked).scalar())
    host.end(worker, signal.SIGKILL)
    os.kill(child, signal.SIGKILL)

    until(lambda: host.receipt("hold_grace").state == "pending")
    assert host.deaths("hold_grace") == 0
    host.let_go("hold_grace")
    assert host.performers() == []


def test_a_cold_shutdown_gives_back_what_runs(host: Host) -> None:
    """That is at once, and counts no death."""
    worker = host.worker()
    host.store("hold_cold")
    child_of(host, "hold_cold")

    host.end(worker, signal.SIGQUIT)

    until(lambda: host.receipt("hold_cold").state == "pending")
    assert host.deaths("hold_cold") == 0
    host.let_go("hold_cold")
    until(lambda: host.performers() == [])


def test_a_process_that_has_had_its_share_of_tasks_leaves(host: Host) -> None:
    """With ``--max-tasks-per-child`` each process enters the list of workers, and leaves it."""
    worker = host.worker("--max-tasks-per-child", "2", queues="slow")
    names = [f"share-{number}" for number in range(4)]
    host.store(*names)
    until(lambda: all(host.runs("slow")[name] for name in names))
    processes = {line[-1] for line in host.lines("slow") if line[0].startswith("share")}

    assert len(processes) >= 2
    host.end(worker)
    assert host.performers() == []


@pytest.mark.parametrize("pool", ["threads", "gevent", "solo"])
def test_other_pools_run_receivers(host: Host, pool: str) -> None:
    """What runs side by side in one process is handled once, and the process leaves the list of workers."""
    if pool == "gevent":
        pytest.importorskip("gevent")
    worker = host.worker("--pool", pool, "--concurrency", "4")
    names = [f"{pool}-{number}" for number in range(20)]
    host.store(*names)
    until(lambda: all(host.runs("ran")[name] for name in names))

    assert host.end(worker) == 0
    assert all(host.runs("ran")[name] == 1 for name in names)
    assert host.performers() == []
