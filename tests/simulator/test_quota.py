from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from okta_hooks.simulator import Org

from .support import URL, Clock, Receiver, types_in_log, uuids

if TYPE_CHECKING:
    from collections.abc import Callable

WARNING = "system.operation.rate_limit.warning"


@pytest.fixture
def org_of(clock: Clock, receiver: Receiver) -> Callable[[int], Org]:
    """Return a function that makes an org with a quota, and two hooks."""

    def make(quota: int) -> Org:
        org = Org(seed=1, clock=clock, send=receiver, quota=quota)
        org.register(URL, ["user.session.start"])
        org.register(f"{URL}/2", ["user.session.start"])
        return org

    return make


def sent(receiver: Receiver) -> list[list[str]]:
    """Return the uuids of all that was sent since the last time, delivery by delivery."""
    found = receiver.uuids
    receiver.requests.clear()
    return found


def test_what_is_over_the_quota_is_logged_and_never_sent(
    org_of: Callable[[int], Org], receiver: Receiver, clock: Clock
) -> None:
    """An event counts once, however many hooks get it; the log has them all, and for whom they were."""
    org = org_of(10)
    events = uuids(org.emit("user.session.start", count=12))
    org.settle()
    assert sent(receiver) == [events[:10]] * 2
    logged = org.log(filter='eventType eq "user.session.start"').events
    assert uuids(logged) == events
    assert logged[-1]["debugContext"]["debugData"]["targetEventHookIds"].count("who") == 2
    clock.go_on(hours=23, minutes=59)
    org.emit("user.session.start")
    org.settle()
    assert sent(receiver) == []
    clock.go_on(minutes=1)
    (later,) = uuids(org.emit("user.session.start"))
    org.settle()
    assert sent(receiver) == [[later]] * 2


def test_the_log_is_warned_once_before_the_quota_is_used_up(
    org_of: Callable[[int], Org], clock: Clock
) -> None:
    """At seven tenths of it, as Okta does at 280,000, and again on the next day."""
    org = org_of(10)
    org.emit("user.session.start", count=6)
    assert WARNING not in types_in_log(org)
    org.emit("user.session.start", count=5)
    assert types_in_log(org).count(WARNING) == 1
    clock.go_on(hours=24)
    org.emit("user.session.start", count=7)
    assert types_in_log(org).count(WARNING) == 2


def test_only_what_hooks_ask_for_is_counted(
    org_of: Callable[[int], Org], receiver: Receiver, clock: Clock
) -> None:
    """Other events neither count nor begin the day, and a second attempt does not count."""
    org = org_of(2)
    org.emit("user.session.end", count=5)
    org.emit("user.session.start", count=5, faults=["log_only"])
    clock.go_on(hours=23)
    receiver.statuses.extend([503, 204, 204])
    org.emit("user.session.start", count=2)
    org.settle()
    assert [len(delivery) for delivery in sent(receiver)] == [2, 2, 2]
    clock.go_on(hours=1)
    org.emit("user.session.start")
    org.settle()
    assert sent(receiver) == []


def test_what_a_filter_keeps_back_is_not_counted(
    org_of: Callable[[int], Org], receiver: Receiver
) -> None:
    """An event that no filter lets through triggers no hook."""
    org = org_of(1)
    condition = {"expression": "event.outcome.result eq 'FAILURE'", "version": None}
    for hook in org.hooks():
        hook["events"]["filter"] = {
            "type": "EXPRESSION_LANGUAGE",
            "eventFilterMap": [{"event": "user.session.start", "condition": condition}],
        }
        org.replace_hook(hook["id"], hook)
    org.emit("user.session.start", count=3)
    (failed,) = uuids(org.emit("user.session.start", outcome={"result": "FAILURE"}))
    org.settle()
    assert sent(receiver) == [[failed]] * 2
