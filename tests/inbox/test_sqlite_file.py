from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from okta_hooks.exceptions import InboxUnavailable
from okta_hooks.inbox.database import Database
from okta_hooks.inbox.tables import lane
from okta_hooks.inbox.write_queue import WriteQueue

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the file is."""
    return tmp_path / "inbox.sqlite3"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    """Return a database that is open."""
    made = Database(f"sqlite:///{path}", ".")
    made.open()
    yield made
    made.close()


def see(database: Database, name: str, *, seconds: float = 5.0, reserved: bool = False) -> None:
    """Write a row."""
    with database.transaction(seconds=seconds, reserved=reserved) as connection:
        connection.execute(lane.insert().values(hook="okta", receiver=name, seen_at=0.0))


def seen(database: Database) -> set[str]:
    with database.reading() as connection:
        return set(connection.scalars(sa.select(lane.c.receiver)))


@contextmanager
def python(script: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a script in another process; it goes on once it has written a line."""
    command = [sys.executable, "-c", script, *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


LOCK = (
    "import fcntl, sys\n"
    "file = open(sys.argv[1], 'r+')\n"
    "fcntl.lockf(file, getattr(fcntl, sys.argv[2]), 1, int(sys.argv[3]))\n"
    "print('held', flush=True)\n"
    "sys.stdin.read()"
)


def test_another_program_holds_the_file(database: Database, path: Path) -> None:
    """Who writes waits for it until the deadline, and no longer; who reads does not wait."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        with pytest.raises(InboxUnavailable, match="locked") as raised:
            see(database, "a", seconds=0.5)
        assert 0.4 < time.monotonic() - began < 2.0
        assert raised.value.is_transient
        assert seen(database) == set()


def test_a_file_that_is_held_for_a_moment(database: Database, path: Path) -> None:
    """Who writes goes on at once when the other program is through."""
    hold = (
        "import sqlite3, sys\n"
        "other = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "other.execute('BEGIN IMMEDIATE')\n"
        "print('held', flush=True)\n"
        "sys.stdin.read(1)\n"
        "other.execute('ROLLBACK')\n"
        "sys.stdin.read()"
    )
    with python(hold, str(path)) as other:
        assert other.stdin is not None
        let_go = threading.Timer(0.3, print, ["x"], {"file": other.stdin, "flush": True})
        began = time.monotonic()
        let_go.start()
        see(database, "a")
        assert 0.25 < time.monotonic() - began < 2.0
        let_go.join()


def test_reading_waits_too(database: Database, path: Path) -> None:
    """A program that has the file for itself, as one that restores it has, makes who reads wait until the deadline."""
    database.close()
    hold = (
        "import sqlite3, sys\n"
        "other = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "other.execute('PRAGMA locking_mode = EXCLUSIVE')\n"
        "other.execute('BEGIN EXCLUSIVE')\n"
        "print('held', flush=True)\n"
        "sys.stdin.read(1)\n"
        "other.close()\n"
        "print('gone', flush=True)\n"
        "sys.stdin.read()"
    )
    with python(hold, str(path)) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        began = time.monotonic()
        with (
            pytest.raises(InboxUnavailable, match="locked"),
            database.reading(seconds=0.5),
        ):
            pass
        assert 0.3 < time.monotonic() - began < 2.5
        other.stdin.write("x")
        other.stdin.flush()
        assert other.stdout.readline() == "gone\n"
        assert seen(database) == set()


def test_a_statement_that_takes_too_long(database: Database) -> None:
    """It is ended at the deadline, and the connection goes on to work."""
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"

    began = time.monotonic()
    with (
        pytest.raises(InboxUnavailable, match="interrupted") as raised,
        database.transaction(seconds=0.3) as connection,
    ):
        connection.exec_driver_sql(endless)

    assert 0.25 < time.monotonic() - began < 2.0
    assert raised.value.is_transient
    see(database, "a")
    assert seen(database) == {"a"}


READ_ONLY = """
import os, sys
from okta_hooks.exceptions import InboxUnavailable
from okta_hooks.inbox.database import Database
from okta_hooks.inbox.tables import lane

folder = sys.argv[1]
if os.getuid() == 0:
    os.chown(folder, 65534, 65534)
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
database = Database(f"sqlite:///{folder}/inbox.sqlite3", ".")

def see(name):
    with database.transaction(seconds=1.0) as connection:
        connection.execute(lane.insert().values(hook="okta", receiver=name, seen_at=0.0))

see("before")
database.close()
os.chmod(f"{folder}/inbox.sqlite3", 0o400)
os.chmod(folder, 0o700)
for _ in range(2):
    try:
        see("read-only")
    except InboxUnavailable as error:
        assert error.is_transient, error
        print(error)
    else:
        raise AssertionError
os.chmod(f"{folder}/inbox.sqlite3", 0o600)
see("after")
with database.reading() as connection:
    print(sorted(connection.exec_driver_sql("SELECT receiver FROM okta_hooks_lane").scalars()))
database.close()
"""


def test_a_file_that_was_read_only_for_a_while(tmp_path: Path) -> None:
    """A connection that was opened meanwhile could not write for ever: it is dropped, and the next can."""
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(folder.stat().st_mode | 0o755)
    (tmp_path / "inbox").mkdir()
    command = [sys.executable, "-c", READ_ONLY, str(tmp_path / "inbox")]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()

    assert all("readonly" in line for line in said[:-1])
    assert said[-1] == "['after', 'before']"


def test_a_file_that_is_moved_during_a_transaction(database: Database, path: Path) -> None:
    """What is in a file that nobody finds is not said to be stored; the next goes into a new one."""
    with (  # noqa: PT012 - what fails is the transaction
        pytest.raises(InboxUnavailable, match="moved") as raised,
        database.transaction() as connection,
    ):
        connection.execute(lane.insert().values(hook="okta", receiver="a", seen_at=0.0))
        path.rename(path.with_name("away"))
    assert raised.value.is_transient

    see(database, "b")

    with closing(sqlite3.connect(path)) as new:
        assert new.execute("SELECT receiver FROM okta_hooks_lane").fetchall() == [("b",)]


def test_the_queue_s_file_is_deleted(database: Database, path: Path) -> None:
    """Who has the old file open queues at the new one, where all others do."""
    see(database, "a")
    turn = path.with_name("inbox.sqlite3.turn")
    turn.unlink()
    turn.touch()

    with python(LOCK, str(turn), "LOCK_EX", "0"):
        began = time.monotonic()
        see(database, "b", seconds=0.6)  # half of that it queues, then SQLite decides
        assert time.monotonic() - began > 0.25


def test_who_goes_first_among_threads(database: Database) -> None:
    """A delivery that is to be stored goes before receivers' threads, however long these have waited."""
    order: list[str] = []

    def write(name: str, *, reserved: bool) -> None:
        with database.transaction(reserved=reserved):
            order.append(name)

    with database.transaction():
        threads = [
            threading.Thread(target=write, args=(str(number),), kwargs={"reserved": False})
            for number in range(4)
        ]
        for number, thread in enumerate(threads):
            thread.start()
            await_waiting(database, number + 1)
        first = threading.Thread(target=write, args=("store",), kwargs={"reserved": True})
        first.start()
        await_waiting(database, 5)
    for thread in [first, *threads]:
        thread.join(30)

    assert order == ["store", "0", "1", "2", "3"]


def await_waiting(database: Database, number: int) -> None:
    line = database._system._queue._threads  # type: ignore[attr-defined]  # noqa: SLF001 - nothing else tells
    give_up_at = time.monotonic() + 30
    while len(line._first) + len(line._others) < number:  # noqa: SLF001 - nothing else tells
        assert time.monotonic() < give_up_at
        time.sleep(0.005)


def test_who_goes_first_among_processes(tmp_path: Path) -> None:
    """While a store of another process waits, receivers' threads let it; another store does not."""
    path = tmp_path / "turn"
    path.touch()
    queue = WriteQueue(path)

    def seconds(*, first: bool) -> float:
        began = time.monotonic()
        with queue.turn(1.5, first=first):
            return time.monotonic() - began

    assert seconds(first=False) < 1.0
    with python(LOCK, str(path), "LOCK_EX", "1"):
        assert seconds(first=False) > 1.4
        assert seconds(first=True) < 1.0
    assert seconds(first=False) < 1.0


def test_a_store_that_waits_says_so(tmp_path: Path) -> None:
    """Other processes see that a store waits, and do not see it any more once it is through."""
    path = tmp_path / "turn"
    path.touch()
    queue = WriteQueue(path)
    is_free = (
        "import fcntl, sys\n"
        "file = open(sys.argv[1], 'r+')\n"
        "fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 1)"
    )
    command = [sys.executable, "-c", is_free, str(path)]

    def is_waited_for() -> bool:
        done = subprocess.run(command, stderr=subprocess.DEVNULL, check=False)
        return done.returncode != 0

    with python(LOCK, str(path), "LOCK_EX", "0"):
        waits = threading.Thread(target=enter, args=(queue,))
        waits.start()
        give_up_at = time.monotonic() + 4
        while not (is_seen := is_waited_for()) and time.monotonic() < give_up_at:
            time.sleep(0.05)
        assert is_seen
        waits.join(30)
    assert not is_waited_for()


def enter(queue: WriteQueue) -> None:
    with queue.turn(5.0, first=True):
        pass


GEVENT = """
from gevent import monkey
monkey.patch_all()
import sqlite3, subprocess, sys, time
import gevent
from okta_hooks.exceptions import InboxUnavailable
from okta_hooks.inbox.database import Database

ticks = [time.monotonic()]

def tick():
    while True:
        gevent.sleep(0.005)
        ticks.append(time.monotonic())

def longest(since):
    times = [since, *(at for at in ticks if at > since), time.monotonic()]
    return max(b - a for a, b in zip(times, times[1:]))

gevent.spawn(tick)
database = Database(f"sqlite:///{sys.argv[1]}", ".")
database.open()
"""

GEVENT_LOCKED = (
    GEVENT
    + """
hold = (
    "import sqlite3, sys; other = sqlite3.connect(sys.argv[1], isolation_level=None);"
    "other.execute('BEGIN IMMEDIATE'); print('held', flush=True); sys.stdin.read()"
)
command = [sys.executable, "-c", hold, sys.argv[1]]
with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
    other.stdout.readline()
    began = time.monotonic()
    try:
        with database.transaction(seconds=1.5):
            raise AssertionError
    except InboxUnavailable:
        pass
    took = time.monotonic() - began
    print(took, longest(began))
    other.kill()
database.close()
"""
)

GEVENT_COMMIT = (
    GEVENT
    + """
with database.transaction(seconds=60) as connection:
    connection.exec_driver_sql("PRAGMA cache_spill = OFF")
    connection.exec_driver_sql("CREATE TABLE big (data BLOB)")
    for _ in range(150):
        connection.exec_driver_sql("INSERT INTO big VALUES (randomblob(1000000))")
        gevent.sleep(0)
    gevent.sleep(0.01)
    began = time.monotonic()
took = time.monotonic() - began
print(took, longest(began))
database.close()
"""
)


@pytest.mark.parametrize("script", [GEVENT_LOCKED, GEVENT_COMMIT], ids=["locked", "commit"])
def test_other_greenlets_go_on(script: str, path: Path) -> None:
    """Under gevent neither the wait for another program nor the wait for the disk stops other greenlets."""
    command = [sys.executable, "-c", script, str(path)]
    said = subprocess.run(command, check=True, capture_output=True, text=True)
    took, longest = map(float, said.stdout.split())

    assert took > 0.1
    assert longest < max(0.1, took / 4)
    assert said.stderr == ""


def test_three_hundred_threads(database: Database) -> None:
    """They open few connections, and a delivery is stored between them at once."""
    stop = threading.Event()

    def work(number: int) -> None:
        with database.transaction(seconds=30.0) as connection:
            connection.execute(lane.insert().values(hook="okta", receiver=str(number), seen_at=0.0))
            stop.wait(0.005)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(300)]
    for thread in threads:
        thread.start()
    waited = []
    for number in range(20):
        began = time.monotonic()
        see(database, f"store {number}", seconds=2.0, reserved=True)
        waited.append(time.monotonic() - began)
    for thread in threads:
        thread.join(60)

    assert max(waited) < 1.5
    assert len(seen(database)) == 320
    assert database._system.engine.pool.checkedin() <= 6  # type: ignore[attr-defined]  # noqa: SLF001 - counted
