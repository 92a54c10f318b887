from __future__ import annotations

import statistics
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

from okta_hooks.inbox.tables import lane
from okta_hooks.inbox.write_queue import WriteQueue

from .support import python, see, seen

if TYPE_CHECKING:
    from pathlib import Path

    from okta_hooks.inbox.database import Database

LOCK = (
    "import fcntl, sys\n"
    "file = open(sys.argv[1], 'r+')\n"
    "fcntl.lockf(file, getattr(fcntl, sys.argv[2]), 1, int(sys.argv[3]))\n"
    "print('held', flush=True)\n"
    "sys.stdin.read()"
)


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
        see(database, f"store {number}", seconds=30.0, reserved=True)
        waited.append(time.monotonic() - began)
    for thread in threads:
        thread.join(60)

    assert statistics.median(waited) < 0.75
    assert len(seen(database)) == 320
    assert database._system.engine.pool.checkedin() <= 6  # type: ignore[attr-defined]  # noqa: SLF001 - counted
