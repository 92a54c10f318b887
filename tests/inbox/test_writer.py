from __future__ import annotations

import asyncio
import gc
import logging
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from okta_hooks.exceptions import InboxUnavailable
from okta_hooks.inbox import Inbox, writer
from okta_hooks.inbox.intake import Stored
from okta_hooks.inbox.selection import Selection
from okta_hooks.inbox.writer import Writer
from tests.support import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from okta_hooks.inbox.intake import NewDelivery
    from tests.support import Clock

    DeliveryFactory = Callable[..., NewDelivery]

NAME = "okta-hooks-writer"
SQLITE_OR_POSTGRESQL_WOULD_WAIT = 5.0


class Counting(Inbox):
    """An inbox that counts transactions, and lets the first wait until it is told to go on."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.sizes: list[int] = []
        self.has_begun = threading.Event()
        self.may_go_on = threading.Event()

        self.store_at_once = self.intake.store
        self.intake.store = self.store_slowly  # type: ignore[method-assign]

    def store_slowly(self, deliveries: Sequence[NewDelivery], **options: Any) -> list[Stored]:
        """Count, wait, store."""
        self.sizes.append(len(deliveries))
        self.has_begun.set()
        assert self.may_go_on.wait(PATIENCE)
        return self.store_at_once(deliveries, **options)


@pytest.fixture
def counting(inbox_url: str, clock: Clock) -> Iterator[Counting]:
    """Return an inbox that counts its transactions, the first of which waits."""
    inbox = Counting(inbox_url, clock=clock, elapsed=clock)
    yield inbox
    inbox.may_go_on.set()
    inbox.close()


@pytest.fixture
def unlock(inbox: Inbox, engine: sa.Engine) -> Iterator[Callable[[], None]]:
    """Keep everybody from writing, and return a function that lets them again."""
    inbox.open()
    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        if engine.dialect.name == "sqlite":
            driver.execute("BEGIN IMMEDIATE")
        else:
            driver.execute("LOCK TABLE okta_hooks_delivery IN EXCLUSIVE MODE")
        yield driver.rollback
        driver.rollback()


def nothing() -> None:
    """Stand where a worker would be woken."""


def uuids(inbox: Inbox) -> set[str]:
    return {row.uuid for row in inbox.overview.find(Selection())}


def writers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == NAME]


def test_storing_returns_after_the_commit(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """What comes back says what became of the delivery, another connection sees it, a worker is told."""
    told = threading.Semaphore(0)
    at_work = Writer(inbox, told.release)

    assert at_work.store(delivery("a", "b"), PATIENCE) == Stored(new=2, duplicate=0)
    assert uuids(inbox) == {"a", "b"}
    assert at_work.store(delivery("b"), PATIENCE) == Stored(new=0, duplicate=1)
    for _ in range(2):
        assert told.acquire(timeout=PATIENCE)


def test_what_is_queued_meanwhile_is_one_transaction(
    counting: Counting, delivery: DeliveryFactory
) -> None:
    """Many requests share a commit: each of them costs the disk the same."""
    at_work = Writer(counting, nothing)
    with ThreadPoolExecutor(41) as pool:
        first = pool.submit(at_work.store, delivery("first"), PATIENCE)
        assert counting.has_begun.wait(PATIENCE)
        others = [
            pool.submit(at_work.store, delivery(f"uuid-{number}"), PATIENCE) for number in range(40)
        ]
        while len(at_work._waiting) < 40:  # noqa: SLF001 - nothing else tells that they wait
            threading.Event().wait(0.01)
        counting.may_go_on.set()
        stored = [future.result(PATIENCE) for future in [first, *others]]

    assert stored == [Stored(new=1, duplicate=0)] * 41
    assert counting.sizes == [1, 40]
    assert len(uuids(counting)) == 41


def test_a_database_that_takes_too_long(
    inbox: Inbox, unlock: Callable[[], None], delivery: DeliveryFactory
) -> None:
    """The limit holds while somebody else has the database; sent again afterwards, it is stored."""
    at_work = Writer(inbox, nothing)

    began = time.monotonic()
    for uuid, seconds in {"a": 0.2, "b": 0.1}.items():
        with pytest.raises(InboxUnavailable):
            at_work.store(delivery(uuid), seconds)
    assert time.monotonic() - began < SQLITE_OR_POSTGRESQL_WOULD_WAIT
    unlock()

    assert at_work.store(delivery("a", "b"), PATIENCE).duplicate <= 1
    assert uuids(inbox) == {"a", "b"}


def test_processes_take_turns_at_a_file(tmp_path: Path, delivery: DeliveryFactory) -> None:
    """Who holds the turn makes others wait, but no request longer than its limit; killed, it holds nothing."""
    inbox = Inbox(f"sqlite:///{tmp_path / 'inbox.sqlite3'}")
    at_work = Writer(inbox, nothing)
    at_work.store(delivery("a"), PATIENCE)
    with held(tmp_path / "inbox.sqlite3.turn"):
        began = time.monotonic()
        assert at_work.store(delivery("b"), 1.0) == Stored(new=1, duplicate=0)
        assert time.monotonic() - began > 0.4
    began = time.monotonic()
    assert at_work.store(delivery("c"), PATIENCE) == Stored(new=1, duplicate=0)
    assert time.monotonic() - began < SQLITE_OR_POSTGRESQL_WOULD_WAIT / 2
    inbox.close()


HOLD = (
    "import fcntl, sys, threading\n"
    "file = open(sys.argv[1], 'w')\n"
    "fcntl.lockf(file, fcntl.LOCK_EX)\n"
    "print('held', flush=True)\n"
    "sys.stdin.read()"
)


@contextmanager
def held(path: Path) -> Iterator[Callable[[], None]]:
    """Hold the lock of a file in another process, until it is let go."""
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        yield other.stdin.close
        other.kill()


def test_a_turn_that_never_ends_is_waited_for_no_longer_than_sqlite_would(
    tmp_path: Path, delivery: DeliveryFactory
) -> None:
    """Who has it may have been stopped: then SQLite's own lock decides, and it is free here."""
    inbox = Inbox(f"sqlite:///{tmp_path / 'inbox.sqlite3'}")
    inbox.intake.store([delivery("a")])

    with held(tmp_path / "inbox.sqlite3.turn"), ThreadPoolExecutor(2) as pool:
        stored = [pool.submit(inbox.intake.store, [delivery(uuid)]) for uuid in "bc"]
        assert [one.result(PATIENCE) for one in stored] == [[Stored(new=1, duplicate=0)]] * 2
    inbox.close()


def test_a_file_that_is_replaced_while_a_turn_is_waited_for(
    tmp_path: Path, delivery: DeliveryFactory
) -> None:
    """What is stored after that is where it can be found."""
    path = tmp_path / "inbox.sqlite3"
    inbox = Inbox(f"sqlite:///{path}")
    inbox.intake.store([delivery("a")])

    with held(tmp_path / "inbox.sqlite3.turn") as let_go, ThreadPoolExecutor(1) as pool:
        waits = pool.submit(inbox.intake.store, [delivery("b")])
        with pytest.raises(TimeoutError):
            waits.result(0.2)
        path.rename(tmp_path / "away")
        let_go()
        assert waits.result(PATIENCE) == [Stored(new=1, duplicate=0)]

    with closing(Inbox(f"sqlite:///{path}")) as moved:
        assert uuids(moved) == {"b"}
    inbox.close()


def test_an_inbox_that_is_gone_takes_no_turn_along(
    tmp_path: Path, delivery: DeliveryFactory
) -> None:
    """Of two inboxes over one file in a process, the first may go while the second writes."""
    url = f"sqlite:///{tmp_path / 'inbox.sqlite3'}"
    first, second = Inbox(url), Inbox(url)
    first.intake.store([delivery("a")])
    second.intake.store([delivery("b")])
    is_free = (
        "import fcntl, sys\n"
        "file = open(sys.argv[1], 'r+')\n"
        "fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)"
    )
    command = [sys.executable, "-c", is_free, str(tmp_path / "inbox.sqlite3.turn")]
    assert subprocess.run(command, check=False).returncode == 0

    first.close()
    del first
    gc.collect()
    with second.database.transaction():
        assert subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == 1
    second.close()


def test_where_no_turns_can_be_taken(tmp_path: Path, delivery: DeliveryFactory) -> None:
    """SQLite's own lock is enough to store: the turns only make it quicker."""
    (tmp_path / "inbox.sqlite3.turn").mkdir()
    inbox = Inbox(f"sqlite:///{tmp_path / 'inbox.sqlite3'}")
    at_work = Writer(inbox, nothing)

    assert at_work.store(delivery("a"), PATIENCE) == Stored(new=1, duplicate=0)
    inbox.close()


def test_what_nobody_waits_for_is_not_stored(counting: Counting, delivery: DeliveryFactory) -> None:
    """A delivery that was answered 503 before its turn came is left to Okta's retry."""
    at_work = Writer(counting, nothing)
    with ThreadPoolExecutor(1) as pool:
        begun = pool.submit(at_work.store, delivery("begun"), PATIENCE)
        assert counting.has_begun.wait(PATIENCE)
        with pytest.raises(InboxUnavailable):
            at_work.store(delivery("waiting"), 0.0)
        counting.may_go_on.set()
        begun.result(PATIENCE)

    at_work.store(delivery("last"), PATIENCE)

    assert uuids(counting) == {"begun", "last"}


def test_a_flood_is_refused(counting: Counting, delivery: DeliveryFactory) -> None:
    """When a thousand deliveries wait, the next is refused at once, however long it would wait."""
    at_work = Writer(counting, nothing)
    with ThreadPoolExecutor(1) as pool:
        begun = pool.submit(at_work.store, delivery("begun"), PATIENCE)
        assert counting.has_begun.wait(PATIENCE)
        for _ in range(1000):
            with pytest.raises(InboxUnavailable, match="did not commit"):
                at_work.store(delivery("waiting"), 0.0)

        with pytest.raises(InboxUnavailable, match="too many deliveries"):
            at_work.store(delivery("refused"), PATIENCE)

        counting.may_go_on.set()
        begun.result(PATIENCE)


def test_one_poisonous_delivery(counting: Counting, delivery: DeliveryFactory) -> None:
    """What the database refuses for good fails alone; what was queued with it is stored."""
    at_work = Writer(counting, nothing)
    bad = delivery("bad")
    bad = replace(bad, delivery=replace(bad.delivery, via=None))  # type: ignore[arg-type]
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(at_work.store, delivery("first"), PATIENCE)
        assert counting.has_begun.wait(PATIENCE)
        futures = [
            pool.submit(at_work.store, new, PATIENCE) for new in (delivery("a"), bad, delivery("b"))
        ]
        while len(at_work._waiting) < 3:  # noqa: SLF001 - nothing else tells that they wait
            threading.Event().wait(0.01)
        counting.may_go_on.set()
        good, error, other = (future.exception(PATIENCE) for future in futures)
        assert first.exception(PATIENCE) is None

    assert good is None
    assert other is None
    assert isinstance(error, InboxUnavailable)
    assert uuids(counting) == {"first", "a", "b"}
    assert counting.sizes == [1, 3, 1, 1, 1]


def test_a_lost_connection_is_tried_once_more(
    postgresql_url: str, clock: Clock, delivery: DeliveryFactory
) -> None:
    """A server that was restarted costs no delivery: the second connection may work."""
    inbox = Inbox(postgresql_url, clock=clock, elapsed=clock)
    at_work = Writer(inbox, nothing)
    at_work.store(delivery("a"), PATIENCE)
    engine = sa.create_engine(sa.make_url(postgresql_url).set(drivername="postgresql+psycopg"))
    kill = sa.text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    with engine.connect() as connection:
        assert connection.execute(kill).all()
    engine.dispose()

    assert at_work.store(delivery("b"), PATIENCE) == Stored(new=1, duplicate=0)
    assert uuids(inbox) == {"a", "b"}
    inbox.close()


def test_one_thread_that_comes_and_goes(
    inbox: Inbox, delivery: DeliveryFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It starts with the first delivery, goes when there is nothing to do, and starts again."""
    monkeypatch.setattr(writer, "_IDLE_SECONDS", 0.2)
    before = set(writers())
    at_work = Writer(inbox, nothing)
    assert set(writers()) == before

    for uuid in "ab":
        at_work.store(delivery(uuid), PATIENCE)
        (thread,) = set(writers()) - before
        thread.join(PATIENCE)
        assert not thread.is_alive()

    assert uuids(inbox) == {"a", "b"}


def test_starting_opens_the_inbox(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What is wrong with the database stands in the log before the first delivery comes."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(writer, "_IDLE_SECONDS", 0.0)
    before = set(writers())
    Writer(inbox, nothing).start()
    for thread in set(writers()) - before:
        thread.join(PATIENCE)

    assert "The inbox is " in caplog.text


def test_an_inbox_that_cannot_be_opened(
    tmp_path: Any, delivery: DeliveryFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """It is an ERROR in the log, every delivery is told, and all is well once the cause is gone."""
    (tmp_path / "folder").touch()
    inbox = Inbox(f"sqlite:///{tmp_path}/folder/inbox.sqlite3")
    at_work = Writer(inbox, nothing)
    with pytest.raises(InboxUnavailable):
        at_work.store(delivery("a"), PATIENCE)
    assert "The inbox cannot be opened" in caplog.text

    (tmp_path / "folder").unlink()

    assert at_work.store(delivery("a"), PATIENCE) == Stored(new=1, duplicate=0)
    inbox.close()


class Failing(Inbox):
    """An inbox that raises what a test says when it is to store a delivery of a hook named ``bad``."""

    def __init__(self, *arguments: Any, error: BaseException, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.store_well = self.intake.store
        self.intake.store = self.store_or_fail  # type: ignore[method-assign]
        self.error = error
        self.threads: list[threading.Thread] = []
        self.has_begun = threading.Event()
        self.may_go_on = threading.Event()

    def store_or_fail(self, deliveries: Sequence[NewDelivery], **options: Any) -> list[Stored]:
        """Wait, and fail or store."""
        self.threads.append(threading.current_thread())
        self.has_begun.set()
        assert self.may_go_on.wait(PATIENCE)
        if any(new.hook == "bad" for new in deliveries):
            raise self.error
        return self.store_well(deliveries, **options)


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (TypeError("a driver's"), TypeError),
        (asyncio.CancelledError(), InboxUnavailable),
        (SystemExit(1), InboxUnavailable),
    ],
    ids=repr,
)
def test_the_thread_survives_whatever_one_delivery_raises(
    tmp_path: Path, delivery: DeliveryFactory, error: BaseException, raised: type[Exception]
) -> None:
    """It fails alone, as an error that ends no server; what was queued with it and after it is stored at once."""
    inbox = Failing(f"sqlite:///{tmp_path / 'inbox.sqlite3'}", error=error)
    at_work = Writer(inbox, nothing)
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(at_work.store, delivery("first"), PATIENCE)
        assert inbox.has_begun.wait(PATIENCE)
        waiting = [delivery("a"), delivery("bad", hook="bad"), delivery("b")]
        futures = [pool.submit(at_work.store, new, PATIENCE) for new in waiting]
        while len(at_work._waiting) < 3:  # noqa: SLF001 - nothing else tells that they wait
            threading.Event().wait(0.01)
        inbox.may_go_on.set()
        found = [future.exception(PATIENCE) for future in [first, *futures]]

    assert [type(one) for one in found] == [type(None), type(None), raised, type(None)]
    with pytest.raises(raised):
        at_work.store(delivery("bad", hook="bad"), PATIENCE)
    at_work.store(delivery("after"), PATIENCE)

    assert uuids(inbox) == {"first", "a", "b", "after"}
    assert len(set(inbox.threads)) == 1
    inbox.close()


def test_the_thread_survives_what_follows_a_commit(
    inbox: Inbox, delivery: DeliveryFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """A delivery that is stored has its answer, whatever becomes of those who are told of it."""
    told: list[threading.Thread] = []

    def fail() -> None:
        told.append(threading.current_thread())
        raise asyncio.CancelledError

    at_work = Writer(inbox, fail)
    for uuid in "ab":
        assert at_work.store(delivery(uuid), PATIENCE) == Stored(new=1, duplicate=0)
    at_work.stop(PATIENCE)

    assert len(told) == 2
    assert len(set(told)) == 1
    assert "What follows a commit failed." in caplog.messages


def test_the_thread_survives_an_inbox_that_fails_to_open(
    inbox: Inbox, delivery: DeliveryFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A driver may raise anything at a server that it cannot use."""

    def fail() -> None:
        raise TypeError("an encoding that nobody knows")

    monkeypatch.setattr(inbox, "open", fail)
    at_work = Writer(inbox, nothing)

    assert at_work.store(delivery("a"), PATIENCE) == Stored(new=1, duplicate=0)


def test_the_thread_takes_no_context_along(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """What it does is no part of the request that happened to start it."""
    variable: ContextVar[str] = ContextVar("variable", default="empty")
    seen: list[str] = []
    variable.set("of a request")
    at_work = Writer(inbox, lambda: seen.append(variable.get()))

    at_work.store(delivery("a"), PATIENCE)
    at_work.stop(PATIENCE)

    assert seen == ["empty"]


def test_a_transaction_ends_when_nobody_waits_for_it(
    inbox: Inbox, unlock: Callable[[], None], delivery: DeliveryFactory
) -> None:
    """The thread is free for the next delivery as soon as the last one has been given up."""
    at_work = Writer(inbox, nothing)
    with pytest.raises(InboxUnavailable):
        at_work.store(delivery("a"), 0.2)
    unlock()
    began = time.monotonic()

    at_work.store(delivery("b"), PATIENCE)

    assert time.monotonic() - began < SQLITE_OR_POSTGRESQL_WOULD_WAIT / 5
    assert uuids(inbox) == {"b"}
