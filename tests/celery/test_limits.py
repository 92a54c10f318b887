from __future__ import annotations

import json
import time
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
    """Return a host with a relay and a worker whose tasks have time limits; leases run out soon."""
    limits = {
        "okta_hooks.okta.acts": {"soft_time_limit": 2, "time_limit": 8},
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
    host.store("sleep_0.2_settled")
    until(lambda: host.runs("began")["sleep_0.2_settled"])
    with host.sql() as connection:
        connection.exec_driver_sql("SELECT * FROM okta_hooks_receipt FOR UPDATE")
        until(lambda: host.runs("ran")["sleep_0.2_settled"])
        time.sleep(2)
    until(lambda: host.receipt("sleep_0.2_settled").state == "done")

    assert host.receipt("sleep_0.2_settled").attempts == 1
    assert host.runs("began")["sleep_0.2_settled"] == 1


def test_what_kills_its_process_five_times_is_a_dead_letter(host: Host) -> None:
    """That is so for what runs out of memory, for example; nothing else suffers."""
    host.store("kill_memory", "innocent")
    # Each time the lease of the process has to run out.
    until(lambda: host.receipt("kill_memory").state == "dead")

    receipt = host.receipt("kill_memory")
    assert receipt.error == "the process died here"
    assert receipt.attempts == 0
    # More where a busy machine let a short lease run out: who is taken for dead by that is not convicted.
    assert host.runs("began")["kill_memory"] >= 5
    assert host.receipt("innocent").state == "done"


def test_a_hard_time_limit_is_a_death(host: Host) -> None:
    """It is no attempt, and is counted with what else kills processes."""
    host.store("stubborn_hard")
    # One whose short lease has run out on a busy machine, before its time limit, counts none.
    until(lambda: host.runs("began")["stubborn_hard"] and host.deaths("stubborn_hard") >= 1)

    assert host.receipt("stubborn_hard").attempts == 0
