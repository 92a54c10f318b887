from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

import pytest
from celery import Celery
from flask import Flask

from okta_hooks import EventHook
from okta_hooks.celery import CeleryBroker
from okta_hooks.celery.celery_broker import _TIMEOUTS
from okta_hooks.inbox.tickets import Ticket
from okta_hooks.work.relay import BrokerUnavailable
from tests.support import NEEDS_PSYCOPG, SECRET

from .support import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .support import Host


@pytest.fixture
def silent() -> Iterator[int]:
    """Return a port at which connections are accepted, and nothing is ever said."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_broker_that_says_nothing_is_not_waited_for_long(
    silent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither to send, nor to ask how long a queue is; and what is raised has no password in it."""
    assert _TIMEOUTS["redis"]["socket_timeout"] == 5
    monkeypatch.setitem(_TIMEOUTS["redis"], "socket_timeout", 0.3)
    okta = EventHook("okta")
    okta.on("user.*", name="a")(lambda *_, **__: None)
    app = Flask("app")
    app.testing = True
    app.config.update(OKTA_HOOKS_SECRET=SECRET, OKTA_HOOKS_WORKER="celery")
    app.extensions["celery"] = celery_app = Celery(
        "app", broker=f"redis://:hush@127.0.0.1:{silent}/0", set_as_current=False
    )
    app.register_blueprint(okta)
    broker = CeleryBroker(app, celery_app)
    (receiver,) = okta.receivers.connected(app)
    broker.queue_of("okta", receiver)

    for call in (
        lambda: broker.waiting("celery"),
        lambda: broker.publish([Ticket("okta", "a", 1)]),
    ):
        began = time.monotonic()
        with pytest.raises(BrokerUnavailable) as raised:
            call()
        # Without a time-out it would be the system's, or none.
        assert time.monotonic() - began < 60
        assert "hush" not in str(raised.value)
    broker.close()
    celery_app.close()


@NEEDS_PSYCOPG
def test_a_worker_that_does_not_know_a_receiver_yet_harms_nothing(
    make_host: Callable[..., Host],
) -> None:
    """During a rolling deploy its tickets are lost with those workers, and sent again to the new ones."""
    host = make_host(RESEND="1")
    old = host.worker(BEFORE_DEPLOY="1")
    host.relay()
    host.store("deployed")
    until(lambda: host.runs("slow")["deployed"])
    until(lambda: "unregistered task" in host.log())
    host.worker()
    host.end(old)
    host.settle()

    assert host.runs("ran") == {"deployed": 1}
    assert host.deaths("deployed") == 0
