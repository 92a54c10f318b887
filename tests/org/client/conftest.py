from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from okta_hooks.simulator import Org as SimulatedOrg
from okta_hooks.simulator import Simulator
from tests.support import answer_challenge

from .support import TOKEN, connect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from okta_hooks.org.client import OktaClient


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """Run an org whose hooks answer the challenge, and that answers few requests a minute."""
    org = SimulatedOrg(token=TOKEN, seed=1, send=answer_challenge)
    with Simulator(org, rate_limits={"/api/v1/logs": 5}) as simulator:
        yield simulator


@pytest.fixture
def org(simulator: Simulator) -> Iterator[OktaClient]:
    """Return the simulated org, as the app talks to it."""
    with connect(simulator.url) as org:
        yield org
