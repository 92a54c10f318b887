"""Clocks that are set, and time that passes while nobody looks."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from okta_hooks.inbox import Inbox
from okta_hooks.inbox.selection import Selection
from okta_hooks.work.housekeeping import Housekeeping
from okta_hooks.work.worker import Worker
from tests.support import DAY, SQLITE, SQLITE_FIRST, Clock, claim, fan_out, receipts, settle, states

from .support import Heard

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flask import Flask

    from okta_hooks import EventHook

    from .support import System

JUMPS = [400 * DAY, -400 * DAY]


class Times:
    """An inbox with a time of day and a time that passes, which a test sets apart."""

    def __init__(self, url: str) -> None:
        self.day, self.passing = Clock(), Clock()
        self.inbox = Inbox(url, clock=self.day, elapsed=self.passing)

    def pass_by(self, seconds: float) -> None:
        """Let time pass, by both."""
        self.day.now += seconds
        self.passing.now += seconds


@pytest.fixture
def times(inbox_url: str) -> Iterator[Times]:
    """Return an inbox whose clocks can be set."""
    made = Times(inbox_url)
    yield made
    made.inbox.close()


@pytest.mark.parametrize("jump", JUMPS)
@pytest.mark.parametrize("when", ["store", "fan out", "claim", "retry"])
def test_a_clock_that_jumps_for_a_moment(
    system: System, times: Times, jump: float, when: str
) -> None:
    """Wherever that falls on the way of an event, it is handled at once, or tried again when it was meant to be."""
    heard = system.on("*", name="a")(Heard(LookupError()))
    inbox = times.inbox
    worker = system.make_worker(inbox, jitter=lambda: 1.0)
    inbox.workers.see_receivers([("okta", "a")])

    def during(step: str, do: Any) -> None:
        times.day.now += jump if step == when else 0.0
        do()
        times.day.now -= jump if step == when else 0.0

    during("store", lambda: inbox.intake.store([system.delivery("x")]))
    during("fan out", lambda: fan_out(inbox, "a"))
    if when == "claim":
        during("claim", lambda: inbox.claims.release("me", claim(inbox, "a")))
    during("retry", worker.drain)
    assert heard.attempts == [1]

    # The longest that anything may wait is a look of the sweeper's and the wait itself.
    for _ in range(3):
        times.pass_by(61.0)
        worker.drain()

    assert heard.attempts == [1, 2]
    assert states(inbox) == {"x": "done"}


def test_nothing_is_pruned_by_a_clock_that_was_just_set(times: Times, system: System) -> None:
    """Not for the first ten minutes: until then somebody may have set it back."""
    inbox = times.inbox
    inbox.intake.store([system.delivery("a")])
    fan_out(inbox, "r")
    settle(inbox, claim(inbox, "r"))
    house = Housekeeping(inbox, timedelta(days=30))
    times.pass_by(700.0)
    house.clean()
    # The next time to prune comes while the clock is wrong.
    times.pass_by(550.0)
    house.clean()

    times.day.now += 400 * DAY
    for _ in range(9):
        house.clean()
        times.pass_by(60.0)
    times.day.now -= 400 * DAY
    for _ in range(60):
        house.clean()
        times.pass_by(60.0)

    assert inbox.overview.find(Selection())[0].has_body


def test_a_pause_buries_nothing(times: Times, system: System) -> None:
    """Two workers that were suspended for two days have not watched a receiver being away for a day."""
    inbox = times.inbox
    inbox.intake.store([system.delivery("a")])
    fan_out(inbox, "elsewhere")
    inbox.workers.see_receivers([("okta", "elsewhere")])
    houses = [Housekeeping(inbox, timedelta(days=30)) for _ in range(2)]
    inbox.workers.beat("one", 30)
    inbox.workers.beat("another", 30)

    def work(minutes: int) -> None:
        for _ in range(minutes):
            for house in houses:
                house.see([("okta", "here")])
                assert house.clean() == []
            times.pass_by(60.0)

    work(20)
    times.pass_by(2 * DAY)
    work(20)

    assert receipts(inbox, "a") == {"elsewhere": ("pending", 0)}


@SQLITE_FIRST
def test_a_day_that_was_watched_does(times: Times, system: System) -> None:
    """What nobody has for a day of watching is given up, at last."""
    inbox = times.inbox
    inbox.intake.store([system.delivery("a")])
    fan_out(inbox, "gone")
    inbox.workers.see_receivers([("okta", "gone")])
    house = Housekeeping(inbox, timedelta(days=30))
    inbox.workers.beat("one", 30)
    died: list[Any] = []
    minutes = 0
    while not died and minutes < 3 * 24 * 60:
        house.see([("okta", "here")])
        died += house.clean()
        times.pass_by(60.0)
        minutes += 1

    assert 24 * 60 <= minutes < 25 * 60


@pytest.mark.parametrize("jump", JUMPS)
def test_leases_do_not_go_by_the_clock(
    times: Times, okta: EventHook, app: Flask, jump: float
) -> None:
    """A worker whose clock was set goes on, and nothing that it has in hand is taken from it."""
    heard = okta.on("*", name="a")(Heard())
    worker = Worker(app, {"okta": okta}, times.inbox, max_attempts=3, retention=timedelta(days=30))
    assert worker.lease.renew() == []
    times.day.now += jump

    assert worker.lease.holds()
    assert heard.uuids == []
    worker.lease.give_up()


SCRIPT = """
import sys, time
real, shift = time.time, [0.0]
time.time = lambda: real() + shift[0]
import json
from flask import Flask
from okta_hooks import EventHook
from okta_hooks.inbox.intake import incoming
from okta_hooks.wire.events import Delivery
from okta_hooks.wire.reading import load_delivery
from datetime import datetime, UTC

okta = EventHook("okta")
ran = []
failed = []

@okta.on("*", name="a")
def receiver(sender, event, attempt, **extra):
    if event.uuid == "fails" and not failed:
        failed.append(1)
        raise LookupError
    ran.append(event.uuid)

app = Flask("host")
app.config.update(OKTA_HOOKS_SECRET="s", OKTA_HOOKS_INBOX=sys.argv[1])
app.register_blueprint(okta)
runtime = app.extensions["okta_hooks"].runtime()

def store(*uuids):
    body = json.dumps({"data": {"events": [{"uuid": u, "eventType": "a.b"} for u in uuids]}})
    received = Delivery(event_id="d", source=None, via="hook", received_at=datetime.now(UTC))
    runtime.inbox.intake.store([incoming("okta", load_delivery(body.encode()), received)])

runtime.work()
store("before")
shift[0] = float(sys.argv[2])
store("during", "fails")
give_up_at = time.monotonic() + 20
while not failed and time.monotonic() < give_up_at:
    time.sleep(0.01)
shift[0] = 0.0
store("after")
while len(set(ran)) < 3 and time.monotonic() < give_up_at:
    time.sleep(0.01)
runtime.close()
# The sweeper's next look is that of the next worker; from then on the retry waits as long as it was to.
while len(set(ran)) < 4 and time.monotonic() < give_up_at:
    app.extensions["okta_hooks"].close()
    app.extensions["okta_hooks"].runtime().worker.drain()
    time.sleep(0.1)
print(sorted(ran))
"""


@SQLITE
@pytest.mark.parametrize("jump", JUMPS)
def test_a_process_whose_clock_jumps(inbox_url: str, tmp_path: Path, jump: float) -> None:
    """Over the system's own clocks: everything that was stored meanwhile is handled, also what was to be retried."""
    script = tmp_path / "host.py"
    script.write_text(SCRIPT, encoding="utf-8")

    done = subprocess.run(
        [sys.executable, str(script), inbox_url, str(jump)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        check=True,
        text=True,
        capture_output=True,
        timeout=60,
    )

    assert done.stdout.splitlines()[-1] == "['after', 'before', 'during', 'fails']"
