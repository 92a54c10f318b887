from __future__ import annotations

import os
import signal
import time
from statistics import median
from typing import TYPE_CHECKING

import pytest

from tests.support import NEEDS_PSYCOPG

from .support import until

if TYPE_CHECKING:
    from collections.abc import Callable

    import sqlalchemy as sa

    from .support import Host, Redis

pytestmark = NEEDS_PSYCOPG


@pytest.fixture(scope="module")
def host(make_host: Callable[..., Host]) -> Host:
    """Return a host with two web processes, which relay, and a worker; leases run out soon."""
    host = make_host(SHORT_LEASES="1", RESEND="2")
    host.web()
    host.worker()
    return host


def test_web_processes_relay(host: Host) -> None:
    """Each of the processes that were forked off has its own connections to the inbox and to the broker."""
    for number in range(20):
        host.post(f"web-{number}")
    until(lambda: all(host.runs("ran")[f"web-{number}"] for number in range(20)))

    assert all(host.runs("ran")[f"web-{number}"] == 1 for number in range(20))


@pytest.mark.parametrize("fault", ["dead", "frozen"])
def test_a_broker_that_is_away_is_waited_for(host: Host, redis: Redis, fault: str) -> None:
    """Requests do not notice, others can see it, and when it is back everything goes on."""
    host.post(f"before-{fault}")
    until(lambda: host.runs("ran")[f"before-{fault}"])
    if fault == "dead":
        redis.kill()
    else:
        redis.signal(signal.SIGSTOP)
    seconds = [host.post(f"{fault}-{number}") for number in range(10)]
    until(lambda: any(each.broker_away_since for each in host.inbox.workers.listed()))
    seconds += [host.post(f"{fault}-later-{number}") for number in range(10)]
    if fault == "dead":
        redis.start()
    else:
        redis.signal(signal.SIGCONT)
    host.settle()

    # A broker that is asked takes 3 seconds not to answer.
    assert median(seconds) < 1
    until(lambda: not any(each.broker_away_since for each in host.inbox.workers.listed()))


def test_a_broker_that_has_lost_its_memory(host: Host, redis: Redis) -> None:
    """What it was given is sent again, also when there is no queue any more."""
    host.post("sleep_0.5_flushed")
    until(lambda: host.runs("began")["sleep_0.5_flushed"])
    names = [f"flushed-{number}" for number in range(20)]
    host.post(*names)
    until(lambda: sum(redis.keys(host.broker).values()))
    redis.flush()
    until(lambda: all(host.runs("ran")[name] for name in names))

    assert all(host.runs("ran")[name] == 1 for name in names)


def test_a_process_that_was_frozen_settles_nothing_that_others_took(host: Host) -> None:
    """Another runs it, and what came of it there counts."""
    host.worker()
    host.post("hold_frozen")
    until(lambda: host.runs("began")["hold_frozen"])
    (frozen,) = (int(line[-1]) for line in host.lines("began") if line[0] == "hold_frozen")
    os.kill(frozen, signal.SIGSTOP)
    host.let_go("hold_frozen")
    until(lambda: host.receipt("hold_frozen").state == "done")
    os.kill(frozen, signal.SIGCONT)
    until(lambda: host.runs("ran")["hold_frozen"] == 2)
    names = [f"thawed-{number}" for number in range(20)]
    host.post(*names)
    until(lambda: all(host.runs("ran")[name] for name in names))

    assert host.receipt("hold_frozen").attempts == 1
    assert all(host.runs("ran")[name] == 1 for name in names)


def test_a_database_that_was_away_while_tasks_came(host: Host, postgresql: sa.Engine) -> None:
    """They wait for it, and when it is back everything goes on, without a restart."""
    name = host.url.rpartition("/")[2].partition("?")[0]
    names = [f"outage-{number}" for number in range(30)]
    host.post(*names)
    with postgresql.connect() as connection:
        connection.exec_driver_sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        connection.exec_driver_sql(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        )
        time.sleep(2)
        connection.exec_driver_sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    host.settle()

    assert all(host.runs("ran")[name] for name in names)
