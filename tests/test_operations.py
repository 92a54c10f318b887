from __future__ import annotations

import sqlite3
import sys
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import flask
import pytest
import sqlalchemy as sa

from okta_hooks import EventHook, RetryLater, state_of
from okta_hooks.inbox.workers import RELAY
from okta_hooks.operations import Operations
from tests.support import (
    CREATED,
    PATIENCE,
    POSTGRESQL,
    SECRET,
    SOON,
    SQLITE,
    receipts,
    until,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask import Flask
    from flask.testing import FlaskClient

    AppFactory = Callable[..., Flask]

pytest.importorskip("prometheus_client", reason="the extra prometheus is not installed")

TOKEN = "a token of the tests"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
NEEDING = [("GET", "/okta/metrics"), ("POST", "/okta/tick")]


@pytest.fixture
def operations() -> Operations:
    """Return the blueprint as it is by default."""
    return Operations()


@pytest.fixture
def make(make_app: AppFactory, okta: EventHook, operations: Operations) -> Iterator[AppFactory]:
    """Return a function that makes an app with a hook and operations; its keywords follow ``OKTA_HOOKS_``."""
    made = []

    def make(**config: Any) -> Flask:
        app = make_app(okta, **{"OPERATIONS_TOKEN": TOKEN} | config)
        app.register_blueprint(operations)
        app.testing = True
        made.append(app)
        return app

    yield make
    for app in made:
        state_of(app).close()


@pytest.fixture
def app(make: AppFactory, inbox_url: str) -> Flask:
    """Return an app over the database of this test."""
    return make(INBOX=inbox_url)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Return a client of that app."""
    return app.test_client()


def deliver(client: FlaskClient, *uuids: str) -> None:
    """Deliver events as Okta does."""
    events = [{"uuid": uuid, "eventType": CREATED} for uuid in uuids]
    body = {"data": {"events": events}}
    answer = client.post("/okta/events", json=body, headers={"Authorization": SECRET})
    assert answer.status_code == 204


def tick(client: FlaskClient, path: str = "/okta/tick") -> dict[str, Any]:
    """Let receivers run, and return what is said of that."""
    answer = client.post(path, headers=BEARER)
    assert answer.status_code == 200
    said: dict[str, Any] = answer.get_json()
    return said


def test_liveness_touches_nothing(make: AppFactory, tmp_path: Any) -> None:
    """A process that answers is alive, with whatever database: it is not even asked."""
    file = tmp_path / "inbox.sqlite3"
    client = make(INBOX=f"sqlite:///{file}").test_client()

    answer = client.get("/okta/livez")

    assert (answer.status_code, answer.json) == (200, {"status": "alive"})
    assert not file.exists()


def test_readiness(client: FlaskClient) -> None:
    """An app that could store a delivery is ready, and says so to everybody."""
    answer = client.get("/okta/readyz")

    assert (answer.status_code, answer.json) == (200, {"status": "ready"})
    assert answer.headers["Cache-Control"] == "no-store"


def test_without_an_inbox(make: AppFactory) -> None:
    """What stores nothing is ready, has nothing to tick, and no metrics."""
    client = make(INBOX=None).test_client()

    assert client.get("/okta/readyz").status_code == 200
    assert client.post("/okta/tick", headers=BEARER).json == {
        "attempts": 0,
        "due": 0,
        "next_due": None,
    }
    assert not client.get("/okta/metrics", headers=BEARER).data.strip()


@pytest.mark.usefixtures("in_a_second")
def test_a_database_that_cannot_be_used(
    make: AppFactory, tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """It is 503 for each who asks, with the reason in the log alone, which has it once."""
    file = tmp_path / "inbox.sqlite3"
    file.write_text("no database, and longer than the header of one would be" * 100)
    client = make(INBOX=f"sqlite:///{file}").test_client()

    answers = [client.get("/okta/readyz") for _ in range(3)]

    assert {answer.status_code for answer in answers} == {503}
    assert answers[0].json == {"status": "unavailable"}
    assert sum("/readyz" in record.getMessage() for record in caplog.records) == 1
    assert client.get("/okta/metrics", headers=BEARER).status_code == 503
    assert client.post("/okta/tick", headers=BEARER).status_code == 503


@pytest.mark.usefixtures("in_a_second")
@SQLITE
def test_a_database_that_hangs(app: Flask, client: FlaskClient, tmp_path: Any) -> None:
    """While somebody else holds the lock, it is not ready; probes and scrapes are answered within a second."""
    deliver(client, "a")
    before = threading.active_count()
    with closing(sqlite3.connect(tmp_path / "inbox.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        # It is WAL: what can be read is read.
        for path, status in (("readyz", 503), ("livez", 200), ("metrics", 200)):
            asked = [seconds_to_say(client, path, status) for _ in range(3)]
            assert min(asked) < 1.0
            assert max(asked) < SOON
        assert threading.active_count() <= before + 2

    # That it failed counts for a second.
    until(lambda: client.get("/okta/readyz").status_code == 200)


def seconds_to_say(client: FlaskClient, path: str, status: int) -> float:
    began = time.monotonic()
    assert client.get(f"/okta/{path}", headers=BEARER).status_code == status
    return time.monotonic() - began


def test_a_database_that_has_become_read_only(
    make: AppFactory, postgresql: sa.Engine, postgresql_url: str
) -> None:
    """It can be opened and read, and begins every transaction; but what could store nothing is not ready."""
    assert make(INBOX=postgresql_url).test_client().get("/okta/readyz").status_code == 200
    name = sa.make_url(postgresql_url).database
    with postgresql.connect() as connection:
        connection.exec_driver_sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")

    assert make(INBOX=postgresql_url).test_client().get("/okta/readyz").status_code == 503


@POSTGRESQL
def test_readiness_with_a_broker(make: AppFactory, inbox_url: str) -> None:
    """Whatever the broker does, deliveries are stored, so it is ready; but it says how the broker is."""
    pytest.importorskip("celery", reason="the extra celery is not installed")
    app = make(INBOX=inbox_url, WORKER="celery")
    client = app.test_client()
    workers = state_of(app).runtime().inbox.workers

    answers = [client.get("/okta/readyz")]
    workers.beat("a", 30, RELAY)
    answers.append(client.get("/okta/readyz"))
    workers.beat("b", 30, RELAY)
    workers.note_broker("b", 1_777_852_800.0)
    answers.append(client.get("/okta/readyz"))
    workers.beat("b", -1, RELAY)
    answers.append(client.get("/okta/readyz"))

    assert [answer.json for answer in answers] == [
        {"status": "ready", "broker": "unknown: no relay is alive"},
        {"status": "ready", "broker": "reachable"},
        {"status": "ready", "broker": "away since 2026-05-04T00:00:00+00:00"},
        {"status": "ready", "broker": "reachable"},
    ]
    assert {answer.status_code for answer in answers} == {200}


@pytest.mark.usefixtures("in_a_second")
@POSTGRESQL
def test_a_list_of_workers_that_hangs(make: AppFactory, inbox_url: str, engine: sa.Engine) -> None:
    """Somebody else has locked it: what is known without it is answered within the second."""
    pytest.importorskip("celery", reason="the extra celery is not installed")
    client = make(INBOX=inbox_url, WORKER="celery").test_client()
    until(lambda: client.get("/okta/readyz").status_code == 200)

    with engine.begin() as connection:
        connection.exec_driver_sql("LOCK TABLE okta_hooks_worker IN ACCESS EXCLUSIVE MODE")
        asked = [seconds_to_say(client, "readyz", 200) for _ in range(3)]
        answer = client.get("/okta/readyz")

    assert answer.json == {"status": "ready"}
    assert min(asked) < 1.0


@pytest.mark.parametrize(("method", "path"), NEEDING)
def test_without_a_token_there_is_nothing(
    make: AppFactory, inbox_url: str, method: str, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    """As long as none is configured nobody gets an answer, whatever is presented; the log says why, once."""
    client = make(INBOX=inbox_url, OPERATIONS_TOKEN=None).test_client()

    for headers in ({}, BEARER, {"Authorization": "Bearer "}):
        assert client.open(path, method=method, headers=headers).status_code == 404

    (record,) = [one for one in caplog.records if "OPERATIONS_TOKEN" in one.getMessage()]
    assert path in record.getMessage()


@pytest.mark.parametrize(("method", "path"), NEEDING)
@pytest.mark.parametrize(
    "presented", [None, TOKEN, f"Basic {TOKEN}", "Bearer", "Bearer wrong", f"Bearer {TOKEN}x"]
)
def test_another_token(client: FlaskClient, method: str, path: str, presented: str | None) -> None:
    """Whoever presents none, or another, is told what is needed, and nothing else."""
    headers = {} if presented is None else {"Authorization": presented}

    answer = client.open(path, method=method, headers=headers)

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert TOKEN not in answer.text


@SQLITE
def test_a_rotation(make: AppFactory, inbox_url: str) -> None:
    """Of several tokens each is accepted."""
    client = make(INBOX=inbox_url, OPERATIONS_TOKEN=["new", "old"]).test_client()

    for token in ("new", "old"):
        answer = client.post("/okta/tick", headers={"Authorization": f"bearer {token}"})
        assert answer.status_code == 200


def test_without_the_extra(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who may ask is told what to install."""
    monkeypatch.setitem(sys.modules, "prometheus_client", None)

    answer = client.get("/okta/metrics", headers=BEARER)

    assert answer.status_code == 501
    assert "okta-hooks[prometheus]" in answer.text


def test_a_tick(app: Flask, okta: EventHook, client: FlaskClient) -> None:
    """It runs what is due, and says how much it did, what is left, and when that is due."""
    ran = []

    @okta.on("*", name="a")
    def receiver(sender: Flask, event: Any, **extra: Any) -> None:
        ran.append(event.uuid)
        if event.uuid == "later":
            raise RetryLater(3600)

    deliver(client, "now", "later")
    first = tick(client)
    second = tick(client)

    assert ran == ["now", "later"]
    assert (first["attempts"], first["due"]) == (2, 0)
    assert first["next_due"].endswith("+00:00")
    assert second == first | {"attempts": 0}


def test_a_tick_is_no_request_of_an_event(app: Flask, okta: EventHook, client: FlaskClient) -> None:
    """A receiver that it runs sees no request, as in a thread of the worker's."""
    ran = []

    @okta.on("*", name="a")
    def receiver(sender: Flask, **extra: Any) -> None:
        ran.append(flask.has_request_context())

    deliver(client, "now")
    tick(client)

    assert ran == [False]


def test_a_tick_ends(make: AppFactory, okta: EventHook, inbox_url: str) -> None:
    """After its time no receiver is called; what is left is due, and the next tick goes on."""
    made = make_with(make, inbox_url)

    @okta.on("*", name="a")
    def receiver(sender: Flask, **extra: Any) -> None:
        time.sleep(0.3)

    client = made.test_client()
    deliver(client, *"abcdef")

    began = time.monotonic()
    # A busy machine may not come to a receiver before the time is over.
    while not (answer := tick(client, "/okta/short/tick"))["attempts"]:
        assert time.monotonic() - began < PATIENCE

    assert 0 < answer["attempts"] < 6
    assert answer["attempts"] + answer["due"] == 6
    assert answer["next_due"] is not None


def make_with(make: AppFactory, inbox_url: str) -> Flask:
    """Return an app with a second blueprint, whose ticks take half a second."""
    app = make(INBOX=inbox_url)
    short = Operations(url_prefix="/okta/short", tick_seconds=0.5)
    app.register_blueprint(short, name="short")
    return app


def test_a_paused_receiver_keeps_nothing_due(
    app: Flask, okta: EventHook, client: FlaskClient
) -> None:
    """Whoever ticks until nothing is due comes to an end; and the app is ready, however much waits for it."""
    okta.on("*", name="a")(lambda *_, **__: None)
    pauses = state_of(app).runtime().inbox.pauses
    pauses.pause("okta", "a", who="ada")
    deliver(client, "u", "v")

    assert tick(client) == {"attempts": 0, "due": 0, "next_due": None}
    assert client.get("/okta/readyz").status_code == 200
    pauses.resume("okta", "a")
    assert tick(client)["attempts"] == 2


def test_ticks_that_overlap(app: Flask, okta: EventHook, client: FlaskClient) -> None:
    """Each event is handled once, whoever does it."""
    ran: list[str] = []

    @okta.on("*", name="a", concurrency=1)
    def receiver(sender: Flask, event: Any, **extra: Any) -> None:
        ran.append(event.uuid)
        time.sleep(0.02)

    uuids = [f"uuid-{number:02}" for number in range(20)]
    deliver(client, *uuids)
    answers = []

    def one() -> None:
        answers.append(tick(app.test_client()))

    threads = [threading.Thread(target=one) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)

    assert sorted(ran) == uuids
    assert sum(answer["attempts"] for answer in answers) == 20
    assert receipts(state_of(app).runtime().inbox, "uuid-00") == {"a": ("done", 1)}


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan")])
def test_a_tick_without_an_end(seconds: float) -> None:
    """A platform would cut it off: it is refused."""
    with pytest.raises(ValueError, match="tick_seconds"):
        Operations(tick_seconds=seconds)


def test_without_a_hook(make_app: AppFactory) -> None:
    """An app that has none is told so: it would look healthy, and receive nothing."""
    app = make_app()
    app.register_blueprint(Operations())
    app.testing = True

    with pytest.raises(RuntimeError, match="EventHook"):
        app.test_client().get("/okta/readyz")
