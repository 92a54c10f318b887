from __future__ import annotations

import re
import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from okta_hooks import EventHook, Reject, RetryLater, drain, state_of
from okta_hooks.inbox.cursor import Cursor
from okta_hooks.inbox.workers import RELAY, TASK, THREAD
from tests.support import CREATED, POSTGRESQL, SECRET, SOON, SQLITE, fan_out, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from flask import Flask
    from prometheus_client import CollectorRegistry

    from okta_hooks.inbox.intake import NewDelivery

    AppFactory = Callable[..., Flask]
    DeliveryFactory = Callable[..., NewDelivery]

prometheus_client = pytest.importorskip(
    "prometheus_client", reason="the extra prometheus is not installed"
)

LABELS = {
    "okta_hooks_receipts": {"hook", "receiver", "queue", "state"},
    "okta_hooks_oldest_pending_age_seconds": {"hook", "receiver"},
    "okta_hooks_paused": {"hook", "receiver"},
    "okta_hooks_last_delivery_timestamp_seconds": {"hook"},
    "okta_hooks_received_24h": {"hook"},
    "okta_hooks_workers": set(),
    "okta_hooks_relays": {"broker"},
    "okta_hooks_inbox_bytes": set(),
    "okta_hooks_deliveries": {"hook", "via"},
    "okta_hooks_events": {"hook", "via", "result"},
    "okta_hooks_recovered": {"hook"},
    "okta_hooks_refused": {"hook", "status"},
    "okta_hooks_attempts": {"hook", "receiver", "outcome"},
    "okta_hooks_receiver_seconds": {"hook", "receiver"},
}
BOUNDED = {
    "state": {"pending", "claimed", "dead"},
    "broker": {"reachable", "away"},
    "via": {"hook", "backfill"},
    "result": {"new", "duplicate", "dead"},
    "outcome": {"done", "retry", "dead"},
}


@pytest.fixture
def app(make_app: AppFactory, okta: EventHook, inbox_url: str) -> Iterator[Flask]:
    """Return an app over the database of this test."""
    app = make_app(okta, INBOX=inbox_url)
    app.testing = True
    yield app
    state_of(app).close()


def registry_of(app: Flask) -> CollectorRegistry:
    """Return a registry of the host's with the collector."""
    from okta_hooks.prometheus import InboxCollector

    # A busy machine may take longer to make the tables than a scrape waits.
    state_of(app).runtime().inbox.open()
    registry: CollectorRegistry = prometheus_client.CollectorRegistry()
    registry.register(InboxCollector(app))
    return registry


def scraped(registry: CollectorRegistry) -> dict[str, dict[tuple[str, ...], float]]:
    """Return what a scraper reads: for each sample its values, by those of its labels in order of their names."""
    from prometheus_client.parser import text_string_to_metric_families

    text = prometheus_client.generate_latest(registry).decode()
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = tuple(sample.labels[label] for label in sorted(sample.labels))
            found.setdefault(sample.name, {})[key] = sample.value
    return found


def deliver(app: Flask, *events: Any, secret: str = SECRET, hook: str = "okta") -> int:
    """Deliver events, or new ones of these uuids, as Okta does."""
    made = [{"uuid": one, "eventType": CREATED} if isinstance(one, str) else one for one in events]
    url = state_of(app).url_of(hook)
    headers = {"Authorization": secret}
    return app.test_client().post(url, json={"data": {"events": made}}, headers=headers).status_code


def test_every_family_is_there_from_the_start(app: Flask) -> None:
    """Each has the name, the labels and the zeros that rules are written for, before anything has happened."""
    from okta_hooks.prometheus import InboxCollector

    described = {family.name: family for family in InboxCollector(app).describe()}
    found = scraped(registry_of(app))

    assert described.keys() == LABELS.keys()
    assert found["okta_hooks_receipts"] == {
        ("okta", "", "", state): 0 for state in ("pending", "claimed", "dead")
    }
    assert found["okta_hooks_recovered_total"] == {("okta",): 0}
    assert found["okta_hooks_received_24h"] == {("okta",): 0}
    assert found["okta_hooks_workers"] == {(): 0}
    assert found["okta_hooks_inbox_bytes"][()] > 0
    assert "okta_hooks_last_delivery_timestamp_seconds" not in found


def test_what_has_happened(app: Flask, okta: EventHook) -> None:
    """The counters say what became of deliveries, events and attempts; the gauges what is left."""

    @okta.on("*", name="a")
    def receiver(sender: Flask, event: Any, **extra: Any) -> None:
        if event.uuid == "later":
            raise RetryLater(60)
        if event.uuid == "never":
            raise Reject("not this")

    began = time.time()
    assert deliver(app, "now", "later", "never") == 204
    assert deliver(app, "now", {"uuid": "odd", "eventType": []}) == 204
    assert deliver(app, "now", secret="wrong") == 401
    drain(app)

    found = scraped(registry_of(app))

    assert found["okta_hooks_deliveries_total"] == {("okta", "hook"): 2, ("okta", "backfill"): 0}
    events = found["okta_hooks_events_total"]
    assert {key[1]: number for key, number in events.items() if key[2] == "hook"} == {
        "new": 3,
        "duplicate": 1,
        "dead": 1,
    }
    assert found["okta_hooks_refused_total"] == {("okta", "401"): 1}
    assert found["okta_hooks_attempts_total"] == {
        ("okta", "done", "a"): 1,
        ("okta", "retry", "a"): 1,
        ("okta", "dead", "a"): 1,
    }
    receipts = found["okta_hooks_receipts"]
    assert receipts["okta", "", "a", "pending"] == 1
    assert receipts["okta", "", "a", "dead"] == 1
    assert receipts["okta", "", "", "dead"] == 1
    assert found["okta_hooks_oldest_pending_age_seconds"]["okta", "a"] > 0
    assert found["okta_hooks_last_delivery_timestamp_seconds"]["okta",] >= began
    assert found["okta_hooks_received_24h"] == {("okta",): 4}
    assert found["okta_hooks_receiver_seconds_count"] == {("okta", "a"): 3}
    assert found["okta_hooks_receiver_seconds_bucket"]["okta", "+Inf", "a"] == 3
    assert found["okta_hooks_receiver_seconds_bucket"]["okta", "10.0", "a"] == 3
    assert found["okta_hooks_receiver_seconds_sum"]["okta", "a"] > 0


def test_the_queue_of_a_receiver(app: Flask, okta: EventHook, delivery: DeliveryFactory) -> None:
    """Each receiver's receipts are in its queue; that is empty without one, and for who is not connected here."""
    for name, queue in (("a", "slow"), ("b", None)):
        okta.on("*", name=name, queue=queue)(lambda sender, **extra: None)
    inbox = state_of(app).runtime().inbox
    inbox.intake.store([delivery("x")])
    fan_out(inbox, "a", "b", "gone")

    receipts = scraped(registry_of(app))["okta_hooks_receipts"]

    pending = {key[1:3]: number for key, number in receipts.items() if key[3] == "pending"}
    assert pending == {("slow", "a"): 1, ("", "b"): 1, ("", "gone"): 1, ("", ""): 0}


def test_what_a_backfill_recovers(app: Flask, delivery: DeliveryFactory) -> None:
    """What no hook had brought is counted when the page is stored, for whichever process is scraped."""
    assert deliver(app, "brought") == 204
    page = delivery("brought", "missed", via="backfill")
    state_of(app).runtime().inbox.cursors.advance(
        "https://acme.okta.com", [page], before=None, after=Cursor(next_url="1", reached_at=None)
    )

    found = scraped(registry_of(app))

    assert found["okta_hooks_recovered_total"] == {("okta",): 1}
    assert found["okta_hooks_deliveries_total"]["okta", "backfill"] == 1


def test_a_worker_counts(app: Flask, okta: EventHook) -> None:
    """While receivers run there is a worker; afterwards there is none."""
    seen = []

    @okta.on("*", name="a")
    def receiver(sender: Flask, **extra: Any) -> None:
        seen.append(scraped(registry_of(app))["okta_hooks_workers"][()])

    deliver(app, "a")
    drain(app)

    assert seen == [1]
    assert scraped(registry_of(app))["okta_hooks_workers"][()] == 0


@POSTGRESQL
def test_relays_are_no_workers(make_app: AppFactory, okta: EventHook, inbox_url: str) -> None:
    """They are counted by what their broker does; who is gone is counted nowhere."""
    app = make_app(okta, INBOX=inbox_url)
    workers = state_of(app).runtime().inbox.workers
    assert "okta_hooks_relays" not in scraped(registry_of(app))
    for worker_id, kind in (("a", RELAY), ("b", RELAY), ("c", RELAY), ("d", TASK), ("e", THREAD)):
        workers.beat(worker_id, 30, kind)
    workers.note_broker("b", 1.0)
    for worker_id, kind in (("f", RELAY), ("g", TASK)):
        workers.beat(worker_id, -1, kind)

    found = scraped(registry_of(app))
    state_of(app).close()

    assert found["okta_hooks_workers"] == {(): 2}
    assert found["okta_hooks_relays"] == {("reachable",): 2, ("away",): 1}


@POSTGRESQL
def test_no_relay_where_one_is_needed(
    make_app: AppFactory, okta: EventHook, inbox_url: str
) -> None:
    """With Celery as the engine there are zeros, which an alarm can be set on."""
    pytest.importorskip("celery", reason="the extra celery is not installed")
    app = make_app(okta, INBOX=inbox_url, WORKER="celery")
    found = scraped(registry_of(app))
    state_of(app).close()

    assert found["okta_hooks_relays"] == {("reachable",): 0, ("away",): 0}


@pytest.mark.usefixtures("in_a_second")
@SQLITE
def test_a_database_that_hangs(
    app: Flask, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A scrape of the host's own registry goes on without it, within a second, and the log tells."""
    deliver(app, "a")
    registry = registry_of(app)
    mine = prometheus_client.Counter("mine", "The host's.", registry=registry)
    mine.inc()
    state_of(app).close()
    (tmp_path / "inbox.sqlite3").rename(tmp_path / "elsewhere")
    (tmp_path / "inbox.sqlite3").mkdir()

    began = time.monotonic()
    found = scraped(registry)

    assert time.monotonic() - began < SOON
    assert found["mine_total"] == {(): 1}
    assert not [name for name in found if name.startswith("okta_hooks")]
    assert any("scrape" in record.getMessage() for record in caplog.records)
    (tmp_path / "inbox.sqlite3").rmdir()
    (tmp_path / "elsewhere").rename(tmp_path / "inbox.sqlite3")
    until(lambda: "okta_hooks_receipts" in scraped(registry))


@pytest.mark.usefixtures("in_a_second")
@SQLITE
def test_a_writer_that_holds_the_lock(app: Flask, tmp_path: Path) -> None:
    """What can be read is read: only what this process has counted meanwhile waits."""
    deliver(app, "a")
    before = scraped(registry_of(app))
    deliver(app, "b", secret="wrong")
    with closing(sqlite3.connect(tmp_path / "inbox.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        meanwhile = scraped(registry_of(app))
        other.execute("ROLLBACK")

    assert meanwhile["okta_hooks_deliveries_total"] == before["okta_hooks_deliveries_total"]
    assert "okta_hooks_refused_total" not in meanwhile
    assert scraped(registry_of(app))["okta_hooks_refused_total"] == {("okta", "401"): 1}


def test_open_metrics(app: Flask) -> None:
    """A scraper that asks for OpenMetrics gets that."""
    from prometheus_client.openmetrics.parser import text_string_to_metric_families

    from okta_hooks.metrics import Metrics, exposition

    assert deliver(app, "a") == 204
    drain(app)
    accept = "application/openmetrics-text; version=1.0.0"

    text, content_type = exposition(Metrics(app).figures(), accept)

    assert content_type.startswith("application/openmetrics-text")
    families = text_string_to_metric_families(text.decode())  # type: ignore[no-untyped-call]
    found = {family.name for family in families}
    assert found == LABELS.keys()


def test_a_name_that_is_taken(app: Flask) -> None:
    """A registry refuses the collector twice: each sample would come twice."""
    from okta_hooks.prometheus import InboxCollector

    registry = registry_of(app)
    with pytest.raises(ValueError, match="okta_hooks"):
        registry.register(InboxCollector(app))


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40)
HOSTILE = st.sampled_from(
    ['a"} 1\nokta_hooks_workers{x="', "\\", "\\n", "a\nb", "\r\n", "\u2028", "# TYPE a b"]
)


@settings(
    max_examples=25,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    hook=(NAMES | HOSTILE).filter(lambda name: "." not in name),
    receiver=NAMES | HOSTILE,
    queue=NAMES.filter(lambda name: name == name.strip() and name.isprintable()),
    uuid=st.uuids().map(str),
    login=st.uuids().map(lambda one: f"{one}@example.com"),
    type_=st.uuids().map(lambda one: f"user.{one}"),
    status=st.sampled_from([SECRET, "wrong"]),
)
def test_labels_are_bounded(
    make_app: AppFactory,
    tmp_path: Path,
    hook: str,
    receiver: str,
    queue: str,
    uuid: str,
    login: str,
    type_: str,
    status: str,
) -> None:
    """Whatever receivers, queues and hooks are called, a scrape can be read, and has no type, uuid or user in it."""
    from prometheus_client.parser import text_string_to_metric_families

    made = EventHook(hook)
    app = make_app(made, INBOX=f"sqlite:///{tmp_path / f'{uuid4()}.sqlite3'}")
    app.testing = True

    @made.on("*", name=receiver, queue=queue)
    def fail(sender: Flask, **extra: Any) -> None:
        raise ValueError(login)

    event = {"uuid": uuid, "eventType": type_, "actor": {"id": login, "alternateId": login}}
    deliver(app, event, secret=status, hook=hook)
    drain(app)
    text = prometheus_client.generate_latest(registry_of(app)).decode()
    state_of(app).close()

    assert "okta_hooks_receipts" in text

    for hidden in (uuid, login, type_):
        assert hidden not in text
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = dict(sample.labels)
            labels.pop("le", None)
            assert labels.keys() == LABELS[family.name]
            assert labels.get("hook", hook) == hook
            assert labels.get("receiver", "") in {"", receiver}
            if "queue" in labels:
                assert labels["queue"] == (queue if labels["receiver"] else "")
            assert re.fullmatch(r"\d{3}|", labels.get("status", ""))
            for label, values in BOUNDED.items():
                assert label not in labels or labels[label] in values


def test_what_is_paused(app: Flask, okta: EventHook) -> None:
    """Of each receiver that is known it is told whether it is, and of one that nobody knows any more while it is."""
    okta.on("*", name="a")(lambda *_, **__: None)
    okta.on("*", name="b")(lambda *_, **__: None)
    registry = registry_of(app)
    deliver(app, "u")
    drain(app)
    pauses = state_of(app).runtime().inbox.pauses
    pauses.pause("okta", "a", who="ada")
    pauses.pause("old", "c", who="ada")

    assert scraped(registry)["okta_hooks_paused"] == {
        ("okta", "a"): 1,
        ("okta", "b"): 0,
        ("old", "c"): 1,
    }
    pauses.resume("okta", "a")
    pauses.resume("old", "c")
    assert scraped(registry)["okta_hooks_paused"] == {("okta", "a"): 0, ("okta", "b"): 0}
