from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from okta_hooks.doctor import engine
from okta_hooks.inbox.overview import ReceiverCounts
from okta_hooks.inbox.workers import RELAY, TASK, THREAD, Listed
from okta_hooks.state.engine import Consumer, Report

from .support import examine, level, levels, only

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask import Flask

    from okta_hooks import EventHook
    from okta_hooks.inbox import Inbox
    from tests.support import Clock

    InboxFactory = Callable[..., Inbox]

NOW = 1_777_852_800.0
LANES = [ReceiverCounts(hook="okta", receiver="crm", seen_at=NOW)]
CRM = "okta_hooks.okta.crm"
WORKER = Consumer(name="celery@a", queues=frozenset({"celery"}), tasks=frozenset({CRM}))
FINE = Report(
    tasks={"crm": CRM}, queues={"crm": "celery"}, unusable={}, broker="redis", consumers=[WORKER]
)


@pytest.fixture
def app(okta: EventHook, postgresql_url: str) -> Iterator[Flask]:
    """Return an app over PostgreSQL, with Celery as its engine and a broker that is away."""
    pytest.importorskip("celery", reason="the extra celery is not installed")
    from .celery_app import make_app

    app = make_app("redis://:s3cret@127.0.0.1:1/0", okta, postgresql_url)
    with ExitStack() as stack:
        stack.callback(app.extensions["okta_hooks"].close)
        yield app


@pytest.fixture
def inbox_url(postgresql_url: str) -> str:
    """Return the URL of that app's inbox."""
    return postgresql_url


def listed(worker: str, kind: str | None = RELAY, **values: Any) -> Listed:
    """Return a worker in the list, with a good clock and a good broker."""
    whole = {"broker_away_since": None, "clock_ahead": 0.1} | values
    return Listed(worker, kind, **whole)


def test_relays_of_an_app(app: Flask, inbox: Inbox, clock: Clock) -> None:
    """None is a failure, with how to start one; one that is alive is none; one whose broker is away is named."""
    before = examine(app, "--offline")
    inbox.workers.beat("web1:1:aa", 30, RELAY)
    inbox.workers.see_receivers([("okta", "users")])
    fine = examine(app, "--offline")
    inbox.workers.note_broker("web1:1:aa", clock.now)
    away = examine(app, "--offline")

    assert level(before, "relay") == "failure"
    assert "flask okta-hooks relay" in before["relay"][0]["cure"]
    assert fine["relay"][0]["text"] == "One is alive, with every receiver of this app."
    assert level(away, "relay") == "warning"
    assert "takes nothing from web1 since 20" in away["relay"][0]["text"]
    assert level(away, "broker") == "failure"
    assert "s3cret" not in str(away)
    # Whoever looks for a worker that runs receivers here would look for the wrong thing.
    assert "worker" not in away


def test_workers_that_are_gone(app: Flask, inbox: Inbox) -> None:
    """A row that a relay left behind which was killed is no relay, and its clock and its broker are nobody's."""
    inbox.workers.beat("old:1:aa", -1, RELAY)
    inbox.workers.note_broker("old:1:aa", 1.0)

    found = examine(app, "--offline")

    assert "None is alive" in found["relay"][0]["text"]
    assert "clock" not in found
    assert inbox.workers.listed()
    assert inbox.workers.living() == []


@pytest.mark.parametrize("kind", [THREAD, RELAY, TASK])
@pytest.mark.parametrize("ahead", [-7.2, 7.2])
def test_a_clock_that_is_wrong(
    app: Flask, inbox: Inbox, open_inbox: InboxFactory, clock: Clock, kind: str, ahead: float
) -> None:
    """Of whatever kind the worker is: its host and the seconds are named, against the database's clock."""
    import time

    other = open_inbox(clock=lambda: time.time() + ahead)
    other.workers.beat("web2:1:aa", 30, kind)

    (found,) = examine(app, "--offline")["clock"]

    assert found["level"] == "warning"
    said = "7 s ahead of" if ahead > 0 else "7 s behind"
    assert f"The clock of web2 is {said} the database's" in found["text"]


def test_clocks_that_agree() -> None:
    """Two seconds are nothing; a worker of version 0.1 does not say; of a host the worst counts."""
    assert only(engine.clocks([listed("a:1:x", clock_ahead=-1.9)])).level == "ok"
    assert list(engine.clocks([listed("a:1:x", None, clock_ahead=None)])) == []
    two = [listed("a:1:x", clock_ahead=-9.0), listed("a:2:x", clock_ahead=1.0)]
    assert "a is 9 s behind" in only(engine.clocks(two)).text


def test_relays_of_other_code() -> None:
    """One that does not have all receivers gives nothing of theirs to Celery."""
    found = only(engine.relays([listed("a:1:x")], LANES, ["crm", "new"], NOW))

    assert (found.level, "without new" in found.text) == ("warning", True)
    assert list(engine.relays([], LANES, [], NOW)) == []


def test_a_task_queue_that_is_fine() -> None:
    """It is told what was found."""
    found = {check.name: check for check in engine.checks(FINE, is_sqlite=False)}

    assert {check.level for check in found.values()} == {"ok"}
    assert found["celery"].text == f"There is a task for the receiver: {CRM}."
    assert found["broker"].text == "The broker (redis) answers."
    assert found["queues"].text == "Workers of Celery's take from celery."


def test_no_celery_app() -> None:
    """It is said how to set one up, and an inbox that it cannot use is told, too."""
    file, none = engine.checks(None, is_sqlite=True)

    assert "PostgreSQL" in str(file.cure)
    assert "okta_hooks.celery.connect" in str(none.cure)
    assert (file.level, none.level) == ("failure", "failure")


def test_nothing_to_look_for() -> None:
    """Without receivers there is no task, and so no queue to be taken from."""
    nothing = Report(tasks={}, queues={}, unusable={})
    assert list(engine.checks(nothing, is_sqlite=False)) == []
    assert list(engine.workers(nothing)) == []


def test_workers_that_cannot_be_asked() -> None:
    """That is no failure: nobody knows."""
    found = list(engine.checks(replace(FINE, consumers=None), is_sqlite=False))

    assert levels(found) == ["ok", "ok", "skipped"]


def test_tasks_in_the_process() -> None:
    """Eager tasks are for tests: nobody else runs them, so no worker is looked for."""
    found = list(engine.checks(replace(FINE, is_eager=True, consumers=()), is_sqlite=False))

    assert levels(found) == ["ok", "warning"]
    assert "task_always_eager" in found[1].text
