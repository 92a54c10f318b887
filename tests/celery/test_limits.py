from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from tests.support import NEEDS_PSYCOPG, PATIENCE, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from .support import Host

pytestmark = NEEDS_PSYCOPG


@pytest.fixture(scope="module")
def host(make_host: Callable[..., Host]) -> Host:
    """Return a host with a relay and a worker whose tasks have time limits; leases run out soon."""
    limits = {
        "okta_hooks.okta.acts": {"soft_time_limit": 1, "time_limit": 2},
        "okta_hooks.other.timed": {"soft_time_limit": 1, "time_limit": 30},
    }
    host = make_host(SHORT_LEASES="1", ANNOTATIONS=json.dumps(limits))
    host.worker("--concurrency", "2")
    host.relay()
    return host


def test_a_soft_time_limit_is_a_failed_attempt(host: Host) -> None:
    """The receiver gets the exception, and what it does not catch is a failure like any other."""
    host.store("sleep_30_soft")
    until(lambda: host.receipt("sleep_30_soft").attempts)

    receipt = host.receipt("sleep_30_soft")
    assert receipt.state == "pending"
    assert str(receipt.error).startswith("SoftTimeLimitExceeded")


def test_a_soft_time_limit_comes_before_a_longer_timeout(host: Host) -> None:
    """The attempt has failed by then; the receiver, which is in another thread, goes on there."""
    host.store("hold_timed", hook="other")
    until(lambda: host.receipt("hold_timed", "timed").attempts)
    receipt = host.receipt("hold_timed", "timed")
    host.let_go("hold_timed")

    assert receipt.state == "pending"
    assert str(receipt.error).startswith("SoftTimeLimitExceeded")


def test_a_soft_time_limit_does_not_interrupt_settling(host: Host) -> None:
    """What has run is done, however long it takes to write that down."""
    host.store("sleep_0.7_settled")
    until(lambda: host.runs("began")["sleep_0.7_settled"])
    with host.sql() as connection:
        connection.exec_driver_sql("SELECT * FROM okta_hooks_receipt FOR UPDATE")
        until(lambda: host.runs("ran")["sleep_0.7_settled"])
        time.sleep(0.8)
    until(lambda: host.receipt("sleep_0.7_settled").state == "done")

    assert host.receipt("sleep_0.7_settled").attempts == 1
    assert host.runs("began")["sleep_0.7_settled"] == 1


def test_what_kills_its_process_five_times_is_a_dead_letter(host: Host) -> None:
    """That is so for what is killed at a hard time limit, as for what runs out of memory; nothing else suffers."""
    host.store("stubborn_hard", "kill_memory", "innocent")
    # Ten times a process dies, and its lease has to run out: half a minute, and more on a busy machine.
    until(lambda: host.receipt("kill_memory").state == "dead", 4 * PATIENCE)
    until(lambda: host.receipt("stubborn_hard").state == "dead", 4 * PATIENCE)

    for uuid in ("stubborn_hard", "kill_memory"):
        assert host.receipt(uuid).error == "the process died here"
        assert host.receipt(uuid).attempts == 0
        # More where a busy machine let a short lease run out: who is taken for dead by that is not convicted.
        assert host.runs("began")[uuid] >= 5
    assert host.receipt("innocent").state == "done"
