"""What was broken once, and by what: each would lose, repeat or block events if it came back."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask

from okta_hooks import EventHook, LogEvent, Reject, RetryLater
from okta_hooks.exceptions import InboxUnavailable
from okta_hooks.inbox.claims import Inbox, Selection
from okta_hooks.work.lease import FileLease
from okta_hooks.work.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from okta_hooks.inbox.claims import NewDelivery
    from tests.support import Clock

    DeliveryFactory = Callable[..., NewDelivery]

COUNT = """
import sys
from okta_hooks.inbox import Inbox
inbox = Inbox(sys.argv[1])
print(sum(inbox.counts()[state] for state in ("pending", "claimed", "done", "dead")))
inbox.close()
"""


def make_worker(hook: EventHook, inbox: Inbox) -> Worker:
    hooks = {"okta": hook}
    return Worker(Flask("host"), hooks, inbox, max_attempts=3, retention=timedelta(days=30))


def count_elsewhere(url: str) -> int:
    """Return how many events another process finds; it is the last there to close the file."""
    done = subprocess.run(
        [sys.executable, "-c", COUNT, url], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


def test_two_inboxes_on_one_file_in_one_process(tmp_path: Path, delivery: DeliveryFactory) -> None:
    """Opening the file a second time takes no lock away that SQLite has on it.

    Else another process, closing the file, would delete the log that this one goes on writing to.
    """
    url = f"sqlite:///{tmp_path}/inbox.sqlite3"
    first, second = Inbox(url), Inbox(url)
    first.store([delivery("a")])
    second.store([delivery("b")])
    assert count_elsewhere(url) == 2

    first.store([delivery("c")])

    assert count_elsewhere(url) == 3
    first.close()
    second.close()


def test_ids_never_come_back(inbox: Inbox, okta: EventHook, delivery: DeliveryFactory) -> None:
    """A delivery that takes the place of a deleted one is read anew, not from what a worker remembers."""
    seen: list[str | None] = []

    @okta.on("*")
    def receiver(sender: object, event: LogEvent, **extra: Any) -> None:
        seen.append(event.uuid)
        if event.uuid == "old":
            raise Reject("no")

    worker = make_worker(okta, inbox)
    inbox.store([delivery("old")])
    worker.drain()
    inbox.prune_dead(before=inbox.clock() + 1)
    inbox.store([delivery("new")])
    worker.drain()

    assert seen == ["old", "new"]


def test_a_file_that_was_replaced_begins_anew(
    tmp_path: Path, okta: EventHook, delivery: DeliveryFactory
) -> None:
    """Nothing that a worker remembers of a file is taken for what is in the next one."""
    seen: list[str | None] = []

    @okta.on("*")
    def receiver(sender: object, event: LogEvent, **extra: Any) -> None:
        seen.append(event.uuid)

    file = tmp_path / "inbox.sqlite3"
    inbox = Inbox(f"sqlite:///{file}")
    worker = make_worker(okta, inbox)
    inbox.store([delivery("old")])
    worker.drain()
    for path in tmp_path.glob("inbox.sqlite3*"):
        path.rename(path.with_name(f"gone-{path.name}"))
    inbox.store([delivery("new")])
    worker.drain()
    inbox.close()

    assert seen == ["old", "new"]


def test_takeover_of_a_locked_file(
    tmp_path: Path, delivery: DeliveryFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new leader that cannot free what the old one had in hand tries again, and runs nothing until then."""
    monkeypatch.setattr("okta_hooks.inbox.database.SECONDS", 0.1)
    file = tmp_path / "inbox.sqlite3"
    inbox = Inbox(f"sqlite:///{file}")
    inbox.store([delivery("a")])
    inbox.fan_out(["okta"], lambda row: ["r"])
    assert inbox.claim("killed", "okta", "r", 20)
    lease = FileLease(inbox, file.with_suffix(".lock"))

    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(InboxUnavailable):
            lease.renew()
        assert not lease.holds()
        other.execute("ROLLBACK")

    assert lease.renew() == []
    assert lease.holds()
    assert inbox.claim("new", "okta", "r", 20)
    lease.give_up()
    inbox.close()


def test_no_thread_to_be_had(
    okta: EventHook, body: Callable[..., bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever goes wrong before the commit is a 503, also where the host answers errors with an OK."""
    app = Flask("host", instance_path=str(tmp_path))
    app.config["OKTA_HOOKS_SECRET"] = "s"
    app.register_blueprint(okta)
    app.register_error_handler(Exception, lambda error: ("sorry", 200))
    ran = threading.Event()
    okta.on("*")(lambda sender, **extra: ran.set())

    def post() -> int:
        headers = {"Authorization": "s"}
        return app.test_client().post("/okta/events", data=body("a"), headers=headers).status_code

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        assert post() == 503

    assert post() == 204
    assert ran.wait(30)
    runtime = app.extensions["okta_hooks"].runtime()
    assert runtime.worker.stop(30)
    runtime.inbox.close()


def test_many_orphans(inbox: Inbox, delivery: DeliveryFactory, clock: Clock) -> None:
    """However many receipts are given up, each call takes a batch of them, until there are none."""
    inbox.store([delivery(*(f"{number:04}" for number in range(1200)))])
    inbox.see_lanes([("okta", "gone")])
    for _ in range(3):
        inbox.fan_out(["okta"], lambda row: ["gone"])
    clock.now += 2 * 24 * 3600

    batches = [len(inbox.bury_orphans(24 * 3600)) for _ in range(4)]

    assert batches == [500, 500, 200, 0]
    assert inbox.counts()["dead"] == 1200


def test_retry_later_that_forgot_its_base(
    inbox: Inbox, okta: EventHook, delivery: DeliveryFactory, clock: Clock
) -> None:
    """An attempt counts, and waits, whatever is wrong with the exception that ended it."""

    class Later(RetryLater):
        def __init__(self) -> None:
            pass

    attempts: list[int] = []

    @okta.on("*")
    def receiver(sender: object, attempt: int, **extra: Any) -> None:
        attempts.append(attempt)
        raise Later

    inbox.store([delivery("a")])
    worker = make_worker(okta, inbox)
    for _ in range(5):
        worker.drain()
        clock.now += 3600

    assert attempts == [1, 2, 3]
    assert inbox.counts()["dead"] == 1


def test_password_in_the_query_of_the_url(caplog: pytest.LogCaptureFixture, inbox_url: str) -> None:
    """What is logged of the inbox's URL has no query: a password may stand there, too."""
    caplog.set_level("INFO", logger="okta_hooks")
    if inbox_url.startswith("postgresql"):
        separator = "&" if "?" in inbox_url else "?"
        inbox_url += f"{separator}sslpassword=hush"
    inbox = Inbox(inbox_url)
    inbox.open()
    inbox.close()

    assert "The inbox is" in caplog.text
    assert "hush" not in caplog.text


def test_drain_beside_a_leader_waits_only_for_its_own(
    tmp_path: Path, okta: EventHook, delivery: DeliveryFactory
) -> None:
    """A standby that drains does not wait for what no receiver of its is to have."""
    okta.on("*")(lambda sender, **extra: None)
    inbox = Inbox(f"sqlite:///{tmp_path}/inbox.sqlite3")
    inbox.store([delivery("a", hook="idle")])
    leader = FileLease(inbox, tmp_path / "inbox.sqlite3.lock")
    assert leader.renew() == []
    worker = Worker(
        Flask("host"),
        {"okta": okta, "idle": EventHook("idle")},
        inbox,
        max_attempts=3,
        retention=timedelta(days=30),
    )

    assert worker.drain() == 0

    leader.give_up()
    inbox.close()


def test_dead_again_after_a_replay(
    inbox: Inbox, okta: EventHook, delivery: DeliveryFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """An event that still cannot be read when it is replayed is told of again."""
    okta.on("*")(lambda sender, **extra: None)
    inbox.store([delivery({"uuid": "a"})])
    inbox.replay(Selection(states=("dead",)))

    make_worker(okta, inbox).drain()

    assert "Dead letter" in caplog.text
    assert inbox.counts()["dead"] == 1


def test_two_spellings_of_one_file_have_one_leader(tmp_path: Path) -> None:
    """A link to the folder makes no second leader."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    paths = [
        Inbox("sqlite:///inbox.sqlite3", folder=str(tmp_path / name)).path
        for name in ("real", "link")
    ]

    assert paths[0] == paths[1]


def test_leases_run_to_the_database_s_clock(
    postgresql_url: str, delivery: DeliveryFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host whose clock is wrong frees nothing that belongs to a worker that lives."""
    here = Inbox(postgresql_url)
    here.store([delivery("a")])
    here.fan_out(["okta"], lambda row: ["r"])
    here.keep_alive("here", 30)
    assert here.claim("here", "okta", "r", 20)

    script = (
        "import sys, time; now = time.time; time.time = lambda: now() + 3600\n"
        "from okta_hooks.inbox import Inbox; inbox = Inbox(sys.argv[1])\n"
        "inbox.keep_alive('there', 30); inbox.free(); inbox.close()"
    )
    subprocess.run([sys.executable, "-c", script, postgresql_url], check=True)

    assert here.claim("other", "okta", "r", 20) == []
    here.close()


def test_a_host_that_looks_at_the_runtime_early(
    okta: EventHook, body: Callable[..., bytes], tmp_path: Path
) -> None:
    """Who asks for the runtime before the first request gets a worker with that request all the same."""
    ran = threading.Event()
    okta.on("*")(lambda sender, **extra: ran.set())
    app = Flask("host", instance_path=str(tmp_path))
    app.config["OKTA_HOOKS_SECRET"] = "s"
    app.register_blueprint(okta)
    runtime = app.extensions["okta_hooks"].runtime()

    headers = {"Authorization": "s"}
    assert (
        app.test_client().post("/okta/events", data=body("a"), headers=headers).status_code == 204
    )

    assert ran.wait(30)
    assert runtime.worker.stop(30)
    runtime.inbox.close()


def test_a_stopping_worker_keeps_its_lease(
    postgresql_url: str, okta: EventHook, delivery: DeliveryFactory, clock: Clock
) -> None:
    """What is in hand at a stop may take longer than a lease: nobody else runs it meanwhile."""
    begun, may_end = threading.Event(), threading.Event()

    @okta.on("*")
    def receiver(sender: object, **extra: Any) -> None:
        begun.set()
        assert may_end.wait(60)

    inbox = Inbox(postgresql_url, clock=clock)
    inbox.store([delivery("a")])
    worker = make_worker(okta, inbox)
    worker.start()
    assert begun.wait(60)
    assert not worker.stop(0)
    clock.now += 3600
    beaten = threading.Event()
    renew = worker.lease.renew

    def renew_and_tell() -> Any:
        died = renew()
        beaten.set()
        return died

    worker.lease.renew = renew_and_tell  # type: ignore[method-assign]
    assert beaten.wait(60)

    assert inbox.free() == []
    assert inbox.counts()["claimed"] == 1
    assert inbox.claim("other", "okta", "r", 20) == []
    may_end.set()
    assert worker.stop(60)
    assert inbox.counts()["done"] == 1
    inbox.close()
