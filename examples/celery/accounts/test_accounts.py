"""How an app whose receivers run on Celery is tested: without Celery, a broker or PostgreSQL."""

from __future__ import annotations

import re
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from okta_hooks.testing import make_delivery, make_event

from . import create_app
from .receivers import okta

if TYPE_CHECKING:
    from flask import Flask

    from okta_hooks.pytest_plugin import ReceiverRuns
    from okta_hooks.simulator.app_org import AppOrg

SECRET = "correct horse"  # noqa: S105 - of a test


@pytest.fixture
def app() -> Flask:
    """Return the app, with a broker that nobody reaches."""
    config = {"broker_url": "redis://127.0.0.1:1/0", "task_ignore_result": True}
    return create_app({"TESTING": True, "OKTA_HOOKS_SECRET": SECRET, "CELERY": config})


def test_a_deactivation_closes_and_exports(okta_org: AppOrg, okta_receivers: ReceiverRuns) -> None:
    """Both receivers have what they are to do, whatever queue they are in."""
    okta_org.emit("user.lifecycle.deactivate", target="user:ada@example.com")

    okta_org.settle()

    assert {run.receiver for run in okta_receivers.done} == {"close-account", "export-data"}
    assert okta_receivers.failed == []


def test_a_suspension_exports_nothing(okta_org: AppOrg, okta_receivers: ReceiverRuns) -> None:
    """Who is suspended may come back to the same data."""
    okta_org.emit("user.lifecycle.suspend", target="user:ada@example.com")

    okta_org.settle()

    assert [run.receiver for run in okta_receivers.done] == ["close-account"]


def test_each_receiver_is_a_task_of_its_own(app: Flask) -> None:
    """Celery knows the receivers by name: routes, limits and monitors are for these."""
    celery_app = app.extensions["celery"]
    celery_app.finalize()

    tasks = {name for name in celery_app.tasks if name.startswith("okta_hooks.")}

    assert tasks == {"okta_hooks.okta.close-account", "okta_hooks.okta.export-data"}


def test_the_time_limit_is_that_of_a_receiver() -> None:
    """The name under which the app limits the export is the name of its task."""
    app = create_app({"TESTING": True, "OKTA_HOOKS_SECRET": SECRET})
    celery_app = app.extensions["celery"]
    celery_app.finalize()

    assert set(celery_app.conf.task_annotations) <= set(celery_app.tasks)


def test_okta_is_answered_without_a_broker(app: Flask) -> None:
    """A delivery is stored and acknowledged; whether the broker is there does not matter to it."""
    answer = app.test_client().post(
        "/okta/events",
        json=make_delivery([make_event("user.lifecycle.deactivate")]),
        headers={"Authorization": SECRET},
    )

    assert answer.status_code == HTTPStatus.NO_CONTENT
    app.extensions["okta_hooks"].close()


def test_every_queue_has_a_worker(app: Flask) -> None:
    """What waits in a queue that nobody serves waits for ever: the compose file has a worker for each."""
    compose = (Path(__file__).parents[1] / "compose.yaml").read_text(encoding="utf-8")
    served = set(re.findall(r"--queues=(\w+)", compose))

    celery_app = app.extensions["celery"]
    queues = {
        each.queue or celery_app.conf.task_default_queue for each in okta.receivers.connected(app)
    }

    assert queues == served
