from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from okta_hooks.exceptions import InboxUnavailable
from okta_hooks.inbox import Inbox
from okta_hooks.work.lease import HEARTBEAT_SECONDS, LEASE_SECONDS, FileLease, RowLease, lease_for
from tests.support import DAY, fan_out

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import sqlalchemy as sa

    from okta_hooks.inbox.claims import Claim
    from okta_hooks.inbox.intake import NewDelivery
    from okta_hooks.inbox.workers import DeadReceipt
    from tests.support import Clock

    DeliveryFactory = Callable[..., NewDelivery]

TRIES = """
import sys
from okta_hooks.inbox import Inbox
from okta_hooks.work.lease import lease_for
lease = lease_for(Inbox(sys.argv[1]), "child")
for _ in sys.stdin:
    print(lease.renew(), flush=True)
"""


class Child:
    """Another process that tries to get the lease whenever it is asked to."""

    def __init__(self, url: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", TRIES, url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def renew(self) -> str:
        """Return what ``renew`` returned there."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()

    def kill(self) -> None:
        """End it without a chance to give anything up."""
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the file of the inbox is."""
    return tmp_path / "inbox.sqlite3"


@pytest.fixture
def child(path: Path) -> Iterator[Child]:
    """Return another process over the same file."""
    made = Child(f"sqlite:///{path}")
    yield made
    made.kill()


@pytest.fixture
def on_file(path: Path, clock: Clock) -> Iterator[Inbox]:
    """Return an inbox over a file."""
    made = Inbox(f"sqlite:///{path}", clock=clock, elapsed=clock)
    yield made
    made.close()


def claim(inbox: Inbox, worker: str, receiver: str = "a") -> list[Claim]:
    """Claim without a heartbeat, which is the lease's."""
    return inbox.claims.claim(worker, "okta", receiver, 1)


def test_the_kind_of_lease(inbox: Inbox, inbox_url: str) -> None:
    """A file has a lock beside it; a server has rows."""
    lease = lease_for(inbox, "me")

    assert isinstance(lease, FileLease if inbox_url.startswith("sqlite") else RowLease)


def test_one_of_two_in_one_process_has_the_file(on_file: Inbox, path: Path) -> None:
    """The system's lock does not hold between threads: here it does, until it is given up."""
    first, second = lease_for(on_file, "first"), lease_for(on_file, "second")
    second.give_up()

    assert not first.holds()
    assert first.renew() == []
    assert second.renew() is None
    assert first.renew() == []
    assert (first.holds(), second.holds()) == (True, False)

    first.give_up()
    first.give_up()
    assert (first.holds(), second.renew(), second.holds()) == (False, [], True)
    second.give_up()


def test_one_of_two_processes_has_the_file(on_file: Inbox, child: Child) -> None:
    """Another process gets it when this one gives up, and this one when that is killed."""
    mine = lease_for(on_file, "me")
    assert mine.renew() == []
    assert child.renew() == "None"
    mine.give_up()
    assert child.renew() == "[]"
    assert mine.renew() is None

    child.kill()

    assert mine.renew() == []
    mine.give_up()


def test_a_standby_that_failed_leaves_the_lock_alone(on_file: Inbox, child: Child) -> None:
    """Closing a file drops this process's locks on it: a second try in the process must not."""
    mine, second = lease_for(on_file, "me"), lease_for(on_file, "second")
    assert mine.renew() == []

    assert second.renew() is None

    assert child.renew() == "None"
    mine.give_up()


def test_the_lock_is_its_owners_alone(on_file: Inbox, path: Path) -> None:
    """It lies beside the inbox, and nobody else may hold it."""
    lease = lease_for(on_file, "me")
    lease.renew()
    lease.give_up()

    assert path.with_name("inbox.sqlite3.lock").stat().st_mode & 0o777 == 0o600


def test_the_new_leader_takes_everything_back(on_file: Inbox, delivery: DeliveryFactory) -> None:
    """Who has the file knows that nobody else runs anything: there is no lease to wait for."""
    on_file.intake.store([delivery("a")])
    fan_out(on_file, "a")
    on_file.workers.beat("dead", LEASE_SECONDS)
    assert len(claim(on_file, "dead")) == 1
    lease = lease_for(on_file, "me")

    assert lease.renew() == []

    assert len(claim(on_file, "me")) == 1
    assert lease.renew() == []
    assert claim(on_file, "me") == []
    lease.give_up()


def test_rows_that_expire(inbox: Inbox, clock: Clock, delivery: DeliveryFactory) -> None:
    """All workers with a row may work; what one held is free when its heartbeats have stopped."""
    inbox.intake.store([delivery("a")])
    fan_out(inbox, "a")
    mine, other = RowLease(inbox, "me"), RowLease(inbox, "other")
    assert mine.renew() == []
    assert other.renew() == []
    assert mine.holds()
    assert other.holds()
    assert len(claim(inbox, "other")) == 1

    mine.renew()
    for _ in range(6):
        clock.now += HEARTBEAT_SECONDS
        mine.renew()
        assert claim(inbox, "me") == []
    assert not other.holds()
    clock.now += HEARTBEAT_SECONDS
    mine.renew()

    assert mine.holds()
    assert len(claim(inbox, "me")) == 1


def test_a_row_that_is_not_renewed(inbox: Inbox, clock: Clock) -> None:
    """A worker stops by itself before others may take what it has."""
    lease = RowLease(inbox, "me")
    assert not lease.holds()
    lease.renew()
    clock.now += LEASE_SECONDS - 0.1
    assert lease.holds()
    clock.now += 0.1

    assert not lease.holds()


def test_a_row_that_is_given_up(inbox: Inbox, clock: Clock, delivery: DeliveryFactory) -> None:
    """Others need not wait for the end of the lease."""
    inbox.intake.store([delivery("a")])
    fan_out(inbox, "a")
    mine, other = RowLease(inbox, "me"), RowLease(inbox, "other")
    mine.renew()
    assert len(claim(inbox, "me")) == 1

    mine.give_up()
    other.renew()

    assert len(claim(inbox, "other")) == 1


def test_what_killed_its_workers_is_told(
    inbox: Inbox, clock: Clock, delivery: DeliveryFactory
) -> None:
    """Who finds the fifth death gets the receipt that is dead now."""
    inbox.intake.store([delivery("a")])
    fan_out(inbox, "a")
    mine = RowLease(inbox, "me")
    told = []
    for number in range(5):
        inbox.workers.beat(f"killed-{number}", LEASE_SECONDS)
        (found,) = claim(inbox, f"killed-{number}")
        inbox.workers.mark_alone(f"killed-{number}", found)
        told += watched(mine, clock, LEASE_SECONDS)

    assert told == [("okta", "a", found.event_id)]


def watched(lease: RowLease, clock: Clock, seconds: float) -> list[DeadReceipt]:
    """Let time pass with a worker looking on; return what it found dead."""
    found: list[DeadReceipt] = []
    lease.renew()
    for _ in range(int(seconds / HEARTBEAT_SECONDS) + 1):
        clock.now += HEARTBEAT_SECONDS
        found += lease.renew() or []
    return found


def test_a_worker_is_not_gone_because_nobody_looked(
    inbox: Inbox, clock: Clock, delivery: DeliveryFactory
) -> None:
    """A day in which this worker was suspended, or the database away, says nothing of another worker."""
    inbox.intake.store([delivery("a")])
    fan_out(inbox, "a")
    mine, other = RowLease(inbox, "me"), RowLease(inbox, "other")
    mine.renew()
    other.renew()
    mine.renew()
    assert len(claim(inbox, "other")) == 1

    clock.now += DAY
    mine.renew()
    assert claim(inbox, "me") == []
    other.renew()
    assert claim(inbox, "me") == []

    watched(mine, clock, LEASE_SECONDS)
    assert len(claim(inbox, "me")) == 1


@pytest.mark.parametrize("inbox_url", ["PostgreSQL"], indirect=True)
def test_a_database_whose_clock_is_set_ends_no_lease(
    inbox: Inbox, clock: Clock, delivery: DeliveryFactory, engine: sa.Engine
) -> None:
    """By it every lease has run out for a moment: who still beats keeps what it has."""
    inbox.intake.store([delivery("a")])
    fan_out(inbox, "a")
    mine, other = RowLease(inbox, "me"), RowLease(inbox, "other")
    mine.renew()
    other.renew()
    assert len(claim(inbox, "other")) == 1

    for _ in range(20):
        with engine.begin() as connection:
            connection.exec_driver_sql(
                "UPDATE okta_hooks_worker SET alive_until = alive_until - 1e7"
            )
        clock.now += HEARTBEAT_SECONDS
        mine.renew()
        other.renew()

    assert claim(inbox, "me") == []


def test_who_removes_the_lock_makes_no_second_leader(
    on_file: Inbox, path: Path, child: Child, clock: Clock, delivery: DeliveryFactory
) -> None:
    """Another process gets a lock then; the first can claim nothing any more, and steps down."""
    on_file.intake.store([delivery("a")])
    fan_out(on_file, "a")
    first = lease_for(on_file, "first")
    assert first.renew() == []

    path.with_name("inbox.sqlite3.lock").unlink()
    assert child.renew() == "[]"

    assert claim(on_file, "first") == []
    clock.now += HEARTBEAT_SECONDS
    assert first.renew() is None
    assert not first.holds()
    assert child.renew() == "[]"


def test_takeover_of_a_locked_file(
    tmp_path: Path, delivery: DeliveryFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new leader that cannot free what the old one had in hand tries again, and runs nothing until then."""
    monkeypatch.setattr("okta_hooks.inbox.database.SECONDS", 0.1)
    file = tmp_path / "inbox.sqlite3"
    inbox = Inbox(f"sqlite:///{file}")
    inbox.intake.store([delivery("a")])
    fan_out(inbox, "r")
    inbox.workers.beat("killed", LEASE_SECONDS)
    assert claim(inbox, "killed", "r")
    lease = FileLease(inbox, "new", file.with_suffix(".lock"))

    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(InboxUnavailable):
            lease.renew()
        assert not lease.holds()
        other.execute("ROLLBACK")

    assert lease.renew() == []
    assert lease.holds()
    assert claim(inbox, "new", "r")
    lease.give_up()
    inbox.close()
