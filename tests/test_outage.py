from __future__ import annotations

import logging

import pytest

from okta_hooks import outage
from okta_hooks.outage import Lines, Outage

LINES = Lines(
    begins="%(hook)s: %(error)s",
    goes_on="for %(seconds).0f s, %(count)d times: %(error)s",
    ends="after %(seconds).0f s, %(count)d times",
)
logger = logging.getLogger(__name__)


class Clock:
    """Stands in for the module ``time``, so that a minute passes at once."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        """Return the time that the test has set, in seconds."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the clock that outages go by."""
    made = Clock()
    monkeypatch.setattr(outage, "time", made)
    return made


def test_an_outage_is_told_each_minute(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """The first failure has a line, then each minute has one with the count, and the end has one."""
    tested = Outage(logger, LINES)

    for second in range(150):
        clock.now = 1000.0 + second
        tested.failed(OSError(f"{second}"), hook="it")
    tested.worked()
    tested.worked()
    tested.failed(OSError("again"), hook="it")

    assert caplog.messages == [
        "it: 0",
        "for 60 s, 61 times: 60",
        "for 120 s, 121 times: 120",
        "after 149 s, 150 times",
        "it: again",
    ]


def test_what_fails_now_and_then_is_one_outage(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Where some works and some does not, there is no line for each; it ends when nothing has failed for a while."""
    tested = Outage(logger, LINES, calm=10)

    for second in range(50):
        clock.now = 1000.0 + second
        tested.failed(OSError("away"), hook="it")
        tested.worked()
    clock.now += 9.9
    tested.worked()
    assert caplog.messages == ["it: away"]

    clock.now += 0.1
    tested.worked()
    assert caplog.messages[1:] == ["after 59 s, 50 times"]
