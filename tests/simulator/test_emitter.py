from __future__ import annotations

import random
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from okta_hooks.simulator.deliveries import PlannedDeliveries
from okta_hooks.simulator.emitter import Emitter
from okta_hooks.simulator.event_hooks import HookSettings, SimulatedHook
from okta_hooks.simulator.filters import HookFilter, TypeFilter
from okta_hooks.simulator.quota import Quota
from okta_hooks.simulator.system_log import SystemLog, read_query
from okta_hooks.testing import sample_event

from .support import URL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .support import Clock

START = "user.session.start"


def test_nothing_is_emitted_if_a_filter_fails(clock: Clock) -> None:
    """A filter that fails at the second event leaves no event in the log, in a delivery or in the quota."""
    events = [sample_event(START, seed=number) for number in range(3)]

    def condition(event: Mapping[str, Any]) -> bool:
        if event["uuid"] == events[1]["uuid"]:
            raise RecursionError
        return True

    entry = TypeFilter(event_type=START, version=None, expression="true", condition=condition)
    settings = HookSettings(
        name="Offboarding",
        description=None,
        event_types=(START,),
        event_filter=HookFilter((entry,)),
        uri=URL,
        headers=(),
        auth_header=None,
        secret=None,
    )
    hook = SimulatedHook(id="who1", settings=settings, created=clock(), last_updated=clock())
    rng = random.Random(1)
    log, quota = SystemLog(), Quota(10)
    deliveries = PlannedDeliveries(rng, batch=timedelta(0), batch_size=100)
    emitter = Emitter(log, deliveries, quota, rng)
    with pytest.raises(RecursionError):
        emitter.emit(events, [hook], faults=[], delay=0, now=clock())
    assert log.page(read_query({}, clock()), clock()).events == []
    assert deliveries.as_json() == []
    assert quota.spend(10, clock()).allowed == 10
