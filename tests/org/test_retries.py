from __future__ import annotations

import pytest

from okta_hooks.exceptions import OktaUnavailable
from okta_hooks.org.retries import patiently, pause_after


def test_the_pause_grows_to_a_minute_and_stays() -> None:
    """Also after days: who follows a log waits for the org however long it is away."""
    error = OktaUnavailable("away")

    assert [pause_after(error, failures) for failures in (1, 2, 5, 6, 2000)] == [2, 4, 32, 60, 60]


def test_what_passes_is_asked_again() -> None:
    """So many times, each with a line for a person; what will not pass is raised at once."""
    told: list[str] = []
    waited: list[float] = []
    errors = [OktaUnavailable("away"), OktaUnavailable("still away")]

    def call() -> str:
        if errors:
            raise errors.pop(0)
        return "there"

    assert patiently(call, told.append, waited.append, times=2) == "there"
    assert waited == [2, 4]
    assert told[0] == "away. Trying again in 2 s."

    errors += [OktaUnavailable("away") for _ in range(3)]
    with pytest.raises(OktaUnavailable):
        patiently(call, told.append, waited.append, times=1)
    assert len(errors) == 1

    errors[:] = [OktaUnavailable("elsewhere", is_transient=False)] * 2
    with pytest.raises(OktaUnavailable, match="elsewhere"):
        patiently(call, told.append, waited.append, times=5)
    assert len(errors) == 1
