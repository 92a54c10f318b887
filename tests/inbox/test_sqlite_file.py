from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from okta_hooks.exceptions import InboxUnavailable
from okta_hooks.inbox.tables import lane
from tests.support import SOON

from .support import python, see, seen

if TYPE_CHECKING:
    from pathlib import Path

    from okta_hooks.inbox.database import Database


def test_another_program_holds_the_file(database: Database, path: Path) -> None:
    """Who writes waits for it until the deadline, and no longer; who reads does not wait."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        with pytest.raises(InboxUnavailable, match="locked") as raised:
            see(database, "a", seconds=0.5)
        assert 0.4 < time.monotonic() - began < SOON
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
        assert 0.25 < time.monotonic() - began < SOON
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
        assert 0.3 < time.monotonic() - began < SOON
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

    assert 0.25 < time.monotonic() - began < SOON
    assert raised.value.is_transient
    see(database, "a")
    assert seen(database) == {"a"}


READ_ONLY = """
import os, sys, tempfile
from okta_hooks.exceptions import InboxUnavailable
from okta_hooks.inbox.database import Database
from okta_hooks.inbox.tables import lane

folder = sys.argv[1]
# What is imported late may lie where the other user may not look.
with tempfile.TemporaryDirectory() as spare:
    other = Database(f"sqlite:///{spare}/inbox.sqlite3", ".")
    other.open()
    other.close()
if os.getuid() == 0:
    os.chown(folder, 65534, 65534)
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
database = Database(f"sqlite:///{folder}/inbox.sqlite3", ".")

def see(name):
    with database.transaction(seconds=10.0) as connection:
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

    assert len(said) == 3
    assert all("may not read and write it" in line for line in said[:-1])
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
