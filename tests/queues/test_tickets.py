"""The recipes for queues that carry tickets, taken from the page and run with real workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from okta_hooks.state import state_of
from okta_hooks.work import take
from tests.support import ONLY_LONG, until

from .support import recipe

if TYPE_CHECKING:
    from collections.abc import Callable

    import sqlalchemy as sa
    from flask import Flask

    from okta_hooks import EventHook

    from .support import Site

#: What the receiver has done is in a file, since it runs in other processes.
RECEIVERS = """
from myapp import okta


@okta.on("user.lifecycle.create", name="welcome")
def welcome(sender, event, **extra):
    with open("runs", "a+") as runs:
        runs.seek(0)
        is_first = event.uuid not in runs.read().split()
        runs.write(event.uuid + "\\n")
    if is_first:
        raise LookupError("The directory does not answer.")
"""


class Queue(NamedTuple):
    """A queue of the page.

    ``key`` is that of the list in Redis in which jobs wait.
    ``forks`` says whether each job has a process of its own, ``changes`` what the page says to do otherwise.
    """

    module: str
    heading: str
    key: str
    forks: bool = False
    changes: tuple[tuple[str, str], ...] = ()


RQ = Queue("rq", "RQ", "rq:queue:okta", forks=True)
RQ_SIMPLE = RQ._replace(
    forks=False, changes=(("Worker", "SimpleWorker"), ("state_of(app).close()", "pass"))
)
HUEY = Queue("huey", "Huey", "huey.redis.okta")
DRAMATIQ = Queue("dramatiq", "Dramatiq", "dramatiq:okta")


@pytest.mark.parametrize(
    "queue",
    [
        pytest.param(RQ, id="rq"),
        pytest.param(RQ_SIMPLE, id="rq-simple", marks=ONLY_LONG),
        pytest.param(HUEY, id="huey"),
        pytest.param(DRAMATIQ, id="dramatiq"),
    ],
)
def test_recipe(
    queue: Queue,
    redis: Any,
    site: Site,
    deliver: Callable[..., None],
    receipts: Callable[[], list[tuple[str, int, int]]],
    listed: Callable[[], list[str]],
) -> None:
    """A failed attempt is made again, and so is what was in a queue that is emptied; workers end without a trace.

    Nothing counts as a death: each claim of a receipt was an attempt.
    """
    pytest.importorskip(queue.module, reason="the group queues is not installed")
    redis.flushall()
    site.environment["REDIS_URL"] = f"unix://{redis.socket_file}"
    relay, jobs = recipe("The loop"), recipe(queue.heading)
    site.add({"myapp/receivers.py": RECEIVERS})
    for path, text in (relay.files | jobs.files).items():
        changed = text
        for change in queue.changes:
            changed = changed.replace(*change)
        site.add({path: changed})

    with site.running(relay.command):
        with site.running(jobs.command):
            deliver("first", "second")
            until(lambda: receipts() == [("done", 2, 2)] * 2)
            if queue.forks:
                until(lambda: "task" not in listed())
            else:
                assert "task" in listed()
        assert listed() == ["relay"]

        deliver("lost")
        until(lambda: redis.llen(queue.key))
        redis.flushall()
        until(lambda: redis.llen(queue.key))
        with site.running(jobs.command):
            until(lambda: receipts() == [("done", 2, 2)] * 3)
    assert listed() == []
    runs = (site.folder / "runs").read_text().split()
    assert sorted(runs) == sorted(["first", "second", "lost"] * 2)


def test_what_the_queue_refuses_is_taken_again(
    redis: Any, site: Site, deliver: Callable[..., None], engine: sa.Engine
) -> None:
    """The loop of the page lives on when its queue is full, or away, and enqueues later what it could not."""
    pytest.importorskip("rq", reason="the group queues is not installed")
    redis.flushall()
    site.environment["REDIS_URL"] = f"unix://{redis.socket_file}"
    relay, jobs = recipe("The loop"), recipe("RQ")
    site.add({"myapp/receivers.py": RECEIVERS} | relay.files | jobs.files)

    def times_sent() -> int:
        with engine.connect() as connection:
            query = "SELECT coalesce(max(times_sent), 0) FROM okta_hooks_ticket"
            sent: int = connection.exec_driver_sql(query).scalar_one()
        return sent

    deliver("refused")
    redis.config_set("maxmemory", 1)
    try:
        with site.running(relay.command):
            until(lambda: times_sent() > 1)
            assert not redis.exists("rq:queue:okta")
            redis.config_set("maxmemory", 0)
            until(lambda: redis.llen("rq:queue:okta"))
    finally:
        redis.config_set("maxmemory", 0)


def test_queues_of_receivers_have_windows_of_their_own(
    make_app: Callable[..., Flask], inbox_url: str, okta: EventHook, deliver: Callable[..., None]
) -> None:
    """Of each queue as many tickets are on their way as the window allows; those of one queue can be asked for."""
    okta.on("*", name="quick")(lambda *_, **__: None)
    okta.on("*", name="slow", queue="slow")(lambda *_, **__: None)
    okta.on("*", name="slower", queue="slow")(lambda *_, **__: None)
    app = make_app(okta, INBOX=inbox_url, WORKER="external", RELAY_WINDOW=2)
    deliver("a", "b", "c")

    of_slow = []
    while tickets := take(app, queue="slow"):
        of_slow += tickets
    assert sorted(ticket.receiver for ticket in of_slow) == ["slow", "slower"]
    assert {ticket.receiver for ticket in take(app)} == {"quick"}
    state_of(app).close()
