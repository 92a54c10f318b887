"""The recipes for queues that carry tickets, taken from the page and run with real workers."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.support import until

from .support import files

if TYPE_CHECKING:
    from collections.abc import Callable

    from .support import Site

RELAY = ("python", "-m", "myapp.relay")


class Recipe(NamedTuple):
    """A queue's section of the page.

    ``key`` is that of the list in Redis in which jobs wait, ``command`` what the page says to run, and ``stop`` the
    signal at which that ends when its jobs have.
    ``forks`` says whether each job has a process of its own.
    """

    heading: str
    key: str
    command: tuple[str, ...]
    stop: int = signal.SIGTERM
    forks: bool = False
    simple: bool = False


RECIPES = {
    "rq": Recipe("RQ", "rq:queue:okta", ("python", "-m", "myapp.worker"), forks=True),
    "rq-simple": Recipe("RQ", "rq:queue:okta", ("python", "-m", "myapp.worker"), simple=True),
    "huey-processes": Recipe(
        "Huey",
        "huey.redis.okta",
        ("huey_consumer", "myapp.jobs.huey", "--workers", "4", "--worker-type", "process"),
        stop=signal.SIGINT,
    ),
    "huey-threads": Recipe(
        "Huey",
        "huey.redis.okta",
        ("huey_consumer", "myapp.jobs.huey", "--worker-type", "thread", "--graceful-signal", "TERM"),
    ),
    "dramatiq": Recipe(
        "Dramatiq", "dramatiq:okta", ("dramatiq", "myapp.jobs", "--processes", "2", "--threads", "4")
    ),
}


@pytest.mark.parametrize("name", RECIPES)
def test_recipe(
    name: str,
    redis: Any,
    site: Site,
    deliver: Callable[..., None],
    receipts: Callable[[], list[tuple[str, int, int]]],
    listed: Callable[[], list[str]],
) -> None:
    """A failed attempt is made again, and so is what was in a queue that is emptied; workers end without a trace."""
    recipe = RECIPES[name]
    pytest.importorskip(name.partition("-")[0], reason="the group queues is not installed")
    redis.flushall()
    site.environment["REDIS_URL"] = f"unix://{redis.socket_file}"
    texts = files("The loop") | files(recipe.heading)
    if recipe.simple:
        texts["myapp/worker.py"] = texts["myapp/worker.py"].replace("Worker", "SimpleWorker")
        texts["myapp/jobs.py"] = texts["myapp/jobs.py"].replace("state_of(app).close()", "pass")
    site.add(texts)

    with site.running(*RELAY):
        with site.running(*recipe.command, stop=recipe.stop):
            deliver("first", "second")
            until(lambda: receipts() == [("done", 2, 2)] * 2)
            if recipe.forks:
                until(lambda: "task" not in listed())
            else:
                assert "task" in listed()
        assert "task" not in listed()

        deliver("lost")
        until(lambda: redis.llen(recipe.key))
        redis.flushall()
        until(lambda: redis.llen(recipe.key))
        with site.running(*recipe.command, stop=recipe.stop):
            until(lambda: receipts() == [("done", 2, 2)] * 3)
    assert listed() == []
    assert sorted((site.folder / "runs").read_text().split()) == sorted(
        ["first", "second", "lost"] * 2
    )
