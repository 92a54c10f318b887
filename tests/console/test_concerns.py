from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from okta_hooks.console.overview import Figures, of_arrivals, of_receiver, of_work
from okta_hooks.console.receivers import Known, Row
from okta_hooks.inbox.attempt_hours import Attempted
from okta_hooks.inbox.gauges import Arrived, Held
from okta_hooks.inbox.pauses import Pause
from okta_hooks.receivers import Receiver
from okta_hooks.wire.limits import MOST_EVENTS_A_DAY, WARNED_AT
from okta_hooks.work.lease import AtWork

NOW = 1_800_000_000.0
#: From so many on Okta warns, and so does the log.
WARNED = round(WARNED_AT * MOST_EVENTS_A_DAY)
ATTEMPTED = Attempted(
    hook="okta",
    receiver="a",
    begin=NOW - 3600,
    end=NOW,
    done=100,
    retried=0,
    dead=0,
    seconds=1.0,
    calls=100,
    within=(100,) * 9,
)
PAUSED = Pause(hook="okta", receiver="a", paused_at=NOW, who="Grace", reason=None)
CONNECTED = Receiver("a", lambda app, **_: None, 1)
WAITS = Held(hook="okta", receiver="a", pending=1, oldest_seconds=10.0)

NOBODY = AtWork(0)


def figures(
    *, held: Held = WAITS, arrived: Arrived | None = None, at_work: AtWork = NOBODY
) -> Figures:
    """Return what an overview shows."""
    none: Any = {}
    return Figures(
        now=NOW,
        known=Known(held={("okta", "a"): held}, seen=none, paused=none, of_day=none, lately=none),
        arrived=[] if arrived is None else [arrived],
        at_work=at_work,
        recovered=0,
        bytes=0,
        spans=[],
        reveals=0,
    )


@pytest.mark.parametrize(
    ("changes", "kind", "told"),
    [
        ({}, None, None),
        ({"lately": ATTEMPTED}, None, None),
        ({"lately": replace(ATTEMPTED, retried=11)}, None, None),
        ({"lately": replace(ATTEMPTED, retried=12)}, "bad", "12 of its last 112 attempts failed"),
        ({"lately": replace(ATTEMPTED, done=0, dead=1)}, "bad", "1 of its last 1 attempts failed"),
        ({"pause": PAUSED}, "warn", "is paused"),
        ({"connected": None}, "warn", "is not connected here"),
        ({"connected": None, "held": Held(hook="okta", receiver="a")}, None, None),
        ({"held": replace(WAITS, oldest_seconds=900.0)}, "warn", "has waited for 15 min"),
        ({"held": replace(WAITS, claimed=1, pending=0, oldest_seconds=900.0)}, None, None),
    ],
)
def test_of_a_receiver(changes: dict[str, Any], kind: str | None, told: str | None) -> None:
    """A receiver that fails often, is paused, connected nowhere, or behind is told of; the worst alone."""
    row = replace(Row(held=WAITS, connected=CONNECTED), **changes)

    concern = of_receiver(row)

    assert (concern and concern.kind) == kind
    if concern is not None and told is not None:
        assert told in concern.text
        assert (concern.endpoint, concern.hook, concern.name) == ("receiver", "okta", "a")


@pytest.mark.parametrize(
    ("engine", "at_work", "told"),
    [
        ("thread", AtWork(0), []),
        ("external", AtWork(1), []),
        ("external", AtWork(0), ["Events wait, and no worker is alive"]),
        ("celery", AtWork(0, 1), []),
        ("celery", AtWork(0), ["Events wait, and no relay is alive"]),
        ("celery", AtWork(3, 0, 1), ["The broker of the task queue does not answer the relay"]),
    ],
)
def test_of_who_works(engine: str, at_work: AtWork, told: list[str]) -> None:
    """What waits, with nobody to do it, is told of, according to who is to."""
    assert [one.text for one in of_work(engine, figures(at_work=at_work))] == told


def test_of_what_is_given_up() -> None:
    """Dead letters are told of, with their number."""
    given_up = figures(held=Held(hook="okta", receiver="a", dead=1200))

    (concern,) = of_work("external", given_up)

    assert (concern.text, concern.endpoint) == ("1,200 dead letters", "dead_letters")


@pytest.mark.parametrize(
    ("last_at", "events", "told"),
    [
        (NOW - 60, 10, []),
        (None, 0, []),
        (NOW - 3 * 86400, 0, ["No delivery of the hook okta for 3 d"]),
        (NOW, WARNED - 1, []),
        (NOW, WARNED, ["280,000 events in 24 h, and Okta delivers 400,000 of an org"]),
    ],
)
def test_of_what_arrives(last_at: float | None, events: int, told: list[str]) -> None:
    """A hook that was heard of and is silent is told of, and a quota that is nearly used up."""
    arrived = Arrived(hook="okta", last_at=last_at, events_24h=events)

    assert [one.text for one in of_arrivals(figures(arrived=arrived))] == told
