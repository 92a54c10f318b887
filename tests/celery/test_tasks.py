from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

import pytest
from celery import Celery, Task
from flask import Flask

import okta_hooks
from okta_hooks import EventHook, state_of
from okta_hooks.celery import CeleryBroker, celery_of, connect
from okta_hooks.celery.tasks import _owners
from okta_hooks.cli import group
from okta_hooks.simulator.app_org import AppOrg
from okta_hooks.work import take
from tests.support import CREATED, NEEDS_PSYCOPG, SECRET

from .support import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    AppFactory = Callable[..., Flask]


def nothing(sender: Flask, **extra: Any) -> None:
    """Be a receiver."""


def tasks(celery_app: Celery) -> set[str]:
    """Return the names of our tasks."""
    celery_app.finalize()
    return {name for name in celery_app.tasks if name.startswith("okta_hooks.")}


@pytest.fixture
def celery_app() -> Iterator[Celery]:
    """Return a Celery app that runs tasks where they are sent."""
    made = Celery("host", broker="memory://", set_as_current=False)
    made.conf.update(task_always_eager=True, task_eager_propagates=True)
    yield made
    made.close()


def test_whatever_comes_first_there_is_a_task_for_each_receiver(
    make_app: AppFactory, okta: EventHook, celery_app: Celery
) -> None:
    """A receiver may be connected before the hook is registered, after that, and after the Celery app is final."""
    okta.on("user.*", name="a")(nothing)
    app = make_app(okta, WORKER="celery", INBOX="postgresql://localhost/none")
    okta.on("user.*", name="b")(lambda *a, **k: None)
    connect(app, celery_app)
    okta.on("user.*", name="c")(lambda *a, **k: None)
    celery_app.finalize()
    okta.on("user.*", name="d", queue="slow")(lambda *a, **k: None)
    app.register_blueprint(later := EventHook("later"), url_prefix="/later")
    later.on("group.*", name="e")(lambda *a, **k: None)

    expected = {*(f"okta_hooks.okta.{name}" for name in "abcd"), "okta_hooks.later.e"}
    assert tasks(celery_app) == expected
    assert tasks(Celery("other", set_as_current=False)) == set()
    assert celery_app.tasks["okta_hooks.okta.a"].ignore_result


def test_connect_may_come_before_the_hook(
    make_app: AppFactory, okta: EventHook, celery_app: Celery
) -> None:
    """So it is where the Celery app is set up first, and where it is found in ``app.extensions``."""
    app = Flask("host")
    app.config.update(
        OKTA_HOOKS_SECRET=SECRET,
        OKTA_HOOKS_WORKER="celery",
        OKTA_HOOKS_INBOX="postgresql://localhost/none",
    )
    connect(app, celery_app)
    connect(app, celery_app)
    okta.on("user.*", name="a")(nothing)
    app.register_blueprint(okta)

    assert tasks(celery_app) == {"okta_hooks.okta.a"}
    with pytest.raises(RuntimeError, match="another Celery app"):
        connect(app, Celery("other", set_as_current=False))


def test_annotations_hold_for_receivers(
    make_app: AppFactory, okta: EventHook, celery_app: Celery
) -> None:
    """Rate limits and time limits are set by the names of tasks."""
    celery_app.conf.task_annotations = {
        "okta_hooks.okta.a": {"rate_limit": "10/s", "time_limit": 5}
    }
    okta.on("user.*", name="a")(nothing)
    app = make_app(okta, WORKER="celery", INBOX="postgresql://localhost/none")
    app.extensions["celery"] = celery_app
    connect(app, celery_app)
    celery_app.finalize()

    task = celery_app.tasks["okta_hooks.okta.a"]
    assert (task.rate_limit, task.time_limit) == ("10/s", 5)


def test_two_apps_share_a_celery_app(make_app: AppFactory, celery_app: Celery) -> None:
    """Their hooks need different names, unless they have one inbox: a task runs the receivers of one app."""
    first, second, third = EventHook("first"), EventHook("second"), EventHook("first")
    for hook in (first, second, third):
        hook.on("user.*", name="a")(lambda *a, **k: None)
    apps = [
        make_app(hook, WORKER="celery", INBOX=f"postgresql://localhost/{number}")
        for number, hook in enumerate([first, second, third])
    ]
    connect(apps[0], celery_app)
    connect(apps[1], celery_app)
    assert tasks(celery_app) == {"okta_hooks.first.a", "okta_hooks.second.a"}

    with pytest.raises(RuntimeError, match=r"two apps.*EventHook\(name\)"):
        connect(apps[2], celery_app)


def test_a_task_of_the_host_has_the_name(
    make_app: AppFactory, okta: EventHook, celery_app: Celery
) -> None:
    """It gets no tickets: connecting refuses that, and so does the relay. The other receivers have their tasks."""
    celery_app.task(nothing, name="okta_hooks.okta.a", shared=False)
    celery_app.finalize()
    for name in "ab":
        okta.on("user.*", name=name)(lambda *a, **k: None)
    app = make_app(okta, WORKER="celery", INBOX="postgresql://localhost/none")
    taken = r"task of its own named okta_hooks\.okta\.a.*another name"

    with pytest.raises(RuntimeError, match=taken):
        connect(app, celery_app)
    with pytest.raises(RuntimeError, match=taken):
        CeleryBroker(app, celery_app).queue_of("okta", okta.receivers.connected(app)[0])

    assert celery_app.tasks["okta_hooks.okta.b"].runs_receiver


@pytest.mark.parametrize("inbox", ["sqlite:///here.sqlite3", None])
def test_celery_needs_an_inbox_on_postgresql(
    make_app: AppFactory, okta: EventHook, inbox: str | None
) -> None:
    """Anything else is refused when the hook is registered, with the cure."""
    with pytest.raises(RuntimeError, match="OKTA_HOOKS_INBOX") as raised:
        make_app(okta, WORKER="celery", INBOX=inbox)

    assert inbox is None or "PostgreSQL" in str(raised.value)


def test_celery_must_be_installed(
    make_app: AppFactory, okta: EventHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it the error says what to install."""
    monkeypatch.setitem(sys.modules, "okta_hooks.celery", None)

    with pytest.raises(RuntimeError, match=r"pip install 'okta-hooks\[celery\]'"):
        make_app(okta, WORKER="celery", INBOX="postgresql://localhost/none")


@NEEDS_PSYCOPG
def test_requests_go_on_without_a_celery_app(
    make_app: AppFactory, okta: EventHook, postgresql_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Deliveries are stored; what is missing is in the log, and the command for the relay says it."""
    okta.on("user.*", name="a")(nothing)
    app = make_app(okta, WORKER="celery", INBOX=postgresql_url)

    with caplog.at_level(logging.ERROR):
        answer = app.test_client().post(
            "/okta/events", headers={"Authorization": SECRET}, json={"data": {"events": []}}
        )
    result = app.test_cli_runner().invoke(group, ["relay"])
    state_of(app).close()

    assert answer.status_code == 204
    assert 'set app.extensions["celery"]' in caplog.text
    assert result.exit_code == 1
    assert 'set app.extensions["celery"]' in result.output


@NEEDS_PSYCOPG
def test_eager_tasks_run_in_the_relay(
    make_app: AppFactory, okta: EventHook, celery_app: Celery, postgresql_url: str
) -> None:
    """With ``task_always_eager`` the relay runs what it sends, without a broker."""
    ran = []
    okta.on("user.*", name="a")(lambda sender, event, **extra: ran.append(event.uuid))
    app = make_app(okta, WORKER="celery", INBOX=postgresql_url)
    connect(app, celery_app)
    answer = app.test_client().post(
        "/okta/events",
        headers={"Authorization": SECRET},
        json={"data": {"events": [{"uuid": "u", "eventType": CREATED}]}},
    )
    relay = state_of(app).runtime().relay
    relay.start()
    try:
        until(lambda: state_of(app).runtime().inbox.overview.counts().done)
    finally:
        assert relay.stop(10)
        state_of(app).close()

    assert answer.status_code == 204
    assert ran == ["u"]


@NEEDS_PSYCOPG
def test_a_receiver_has_one_context(
    okta: EventHook, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the class of tasks in Flask's documentation as well: the host's functions for its end are called once.

    They are told what the receiver has raised.
    """
    monkeypatch.setattr("celery._state.default_app", None)

    # https://flask.palletsprojects.com/en/stable/patterns/celery/
    def celery_init_app(app: Flask) -> Celery:
        class FlaskTask(Task):  # type: ignore[misc] # Celery has no types
            def __call__(self, *args: object, **kwargs: object) -> object:
                with app.app_context():
                    return self.run(*args, **kwargs)

        celery_app = Celery(app.name, task_cls=FlaskTask)
        celery_app.config_from_object(app.config["CELERY"])
        celery_app.set_default()
        app.extensions["celery"] = celery_app
        return celery_app

    failure = ValueError("no")

    @okta.on("user.*", name="a")
    def fail(sender: Flask, **extra: Any) -> None:
        raise failure

    app = Flask("host")
    app.testing = True
    app.config.update(
        CELERY={"task_always_eager": True, "broker_url": "memory://"},
        OKTA_HOOKS_SECRET=SECRET,
        OKTA_HOOKS_WORKER="celery",
        OKTA_HOOKS_INBOX=postgresql_url,
    )
    celery_app = celery_init_app(app)
    app.register_blueprint(okta)
    ended: list[BaseException | None] = []
    app.teardown_appcontext(ended.append)
    inbox = state_of(app).runtime().inbox
    app.test_client().post(
        "/okta/events",
        headers={"Authorization": SECRET},
        json={"data": {"events": [{"uuid": "u", "eventType": CREATED}]}},
    )
    (ticket,) = take(app)
    ended.clear()

    celery_app.tasks["okta_hooks.okta.a"].delay(ticket.event_id)
    (event,) = inbox.overview.show("u")
    state_of(app).close()
    celery_app.close()

    assert event.receipts[0].attempts == 1
    assert ended == [failure]


@NEEDS_PSYCOPG
def test_an_app_can_be_drained_without_a_broker(
    make_app: AppFactory, okta: EventHook, postgresql_url: str
) -> None:
    """``drain`` and the command ``worker`` run receivers here, whatever the engine is."""
    ran = []
    okta.on("user.*", name="a")(lambda sender, event, **extra: ran.append(event.uuid))
    app = make_app(okta, WORKER="celery", INBOX=postgresql_url)
    for uuid in ("u", "v"):
        app.testing = True
        app.test_client().post(
            "/okta/events",
            headers={"Authorization": SECRET},
            json={"data": {"events": [{"uuid": uuid, "eventType": CREATED}]}},
        )
        if uuid == "u":
            assert okta_hooks.drain(app) == 1
        else:
            result = app.test_cli_runner().invoke(group, ["worker", "--drain"])
            assert result.exit_code == 0, result.output
    state_of(app).close()

    assert ran == ["u", "v"]


def test_the_app_of_a_task_may_go(make_app: AppFactory, celery_app: Celery) -> None:
    """Tests make one app after another with one Celery app: the task runs the receivers of the one that is there."""

    def make() -> Flask:
        hook = EventHook("okta")
        hook.on("user.*", name="a")(nothing)
        app = make_app(hook, WORKER="celery", INBOX="postgresql://localhost/none")
        app.testing = True
        connect(app, celery_app)
        tasks(celery_app)
        return app

    first = make()
    assert celery_of(first) is celery_app
    second = make()
    assert _owners[celery_app]["okta_hooks.okta.a"]() is second
    del first


def test_a_simulated_org_needs_no_broker(
    make_app: AppFactory, okta: EventHook, celery_app: Celery, tmp_path: Path
) -> None:
    """``okta_org.settle()`` runs receivers in a test, without a broker and on a file, whatever the engine is."""
    ran = []
    okta.on("user.*", name="a")(lambda sender, event, **extra: ran.append(event.uuid))
    app = make_app(okta, WORKER="celery", INBOX="postgresql://localhost/none")
    connect(app, celery_app)
    celery_app.conf.task_always_eager = False
    org = AppOrg(app, f"sqlite:///{tmp_path / 'inbox.sqlite3'}", seed=1)
    try:
        org.emit(CREATED)
        org.settle()
    finally:
        org.close()

    assert len(ran) == 1
