from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.support import ONLY_LONG, once_each

if TYPE_CHECKING:
    from tests.acceptance.conftest import Host

KILLED = "tests.acceptance.killed"
EVENTS = ["one", "two", "three"]
EACH_ONCE = sorted((uuid, receiver) for uuid in EVENTS for receiver in ("audit", "crm"))


@pytest.mark.parametrize(
    ("point", "stored", "inbox_url"),
    [
        ("before the commit", 0, "SQLite"),
        ("before the commit", 0, "PostgreSQL"),
        ("after the commit, before the 204", len(EVENTS), "SQLite"),
        pytest.param(
            "after the commit, before the 204", len(EVENTS), "PostgreSQL", marks=ONLY_LONG
        ),
    ],
    indirect=["inbox_url"],
)
def test_killed_while_it_stores(host: Host, point: str, stored: int) -> None:
    """Okta has no answer, sends again, and each event is handled once: stored wholly or not at all."""
    host.kill_at(point)
    server = host.flask_run(app=KILLED, WORKER="external")

    unanswered = host.post(server, *EVENTS)

    assert unanswered.status is None
    assert server.await_end() == -signal.SIGKILL
    assert host.inbox.overview.counts().pending == stored
    server = host.flask_run(app=KILLED)
    host.send_until_stored(server, *EVENTS)
    host.await_state(pending=0, claimed=0, done=len(EVENTS))
    assert host.ran("begin") == EACH_ONCE


@once_each("point", {"in the fan-out": "PostgreSQL", "in the claim": "SQLite"})
def test_killed_before_a_receiver_has_begun(host: Host, point: str) -> None:
    """What the killed worker had begun to write is undone, and each event is handled once."""
    host.store(*EVENTS)
    host.kill_at(point)
    assert host.flask("okta-hooks", "worker", app=KILLED).await_end() == -signal.SIGKILL
    begun = host.ran("begin")

    host.let_leases_run_out()
    host.worker()
    host.await_state(done=len(EVENTS))

    assert begun == []
    assert host.ran("begin") == EACH_ONCE


@once_each(
    "point", {"after the receiver, before the settle": "SQLite", "in the settle": "PostgreSQL"}
)
def test_killed_after_a_receiver_has_run(host: Host, point: str) -> None:
    """What was not written down runs again, and its first attempt has not counted."""
    host.store(*EVENTS)
    host.kill_at(point)
    killed = host.flask("okta-hooks", "worker", app=KILLED)
    assert killed.await_end() == -signal.SIGKILL
    in_hand = host.ran("begin")

    host.let_leases_run_out()
    worker = host.worker()
    host.await_state(done=len(EVENTS))

    runs = host.runs("begin")
    assert in_hand
    assert sorted((run.uuid, run.receiver) for run in runs if run.pid == worker.pid) == EACH_ONCE
    assert {run.attempt for run in runs} == {1}


@pytest.mark.parametrize("inbox_url", ["PostgreSQL"], indirect=True)
def test_a_lease_that_has_not_run_out_is_respected(host: Host) -> None:
    """Another worker leaves alone what a killed one had in hand, and does the rest meanwhile."""
    host.store("held")
    host.kill_at("after the receiver, before the settle")
    assert host.flask("okta-hooks", "worker", app=KILLED).await_end() == -signal.SIGKILL
    in_hand = host.ran("begin")

    worker = host.worker()
    host.store("other")
    host.await_state(done=1)

    mine = [(run.uuid, run.receiver) for run in host.runs("begin") if run.pid == worker.pid]
    assert not set(mine) & set(in_hand)
    assert {("other", "audit"), ("other", "crm")} <= set(mine)
