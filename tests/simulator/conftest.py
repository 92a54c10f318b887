from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from okta_hooks.simulator import (
    Org,
)
from okta_hooks.simulator.api import create_app

from .support import MANNERS, Clock, Endpoint, Receiver, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask.testing import FlaskClient


@pytest.fixture
def clock() -> Clock:
    """Return a clock that stands still."""
    return Clock()


@pytest.fixture
def receiver() -> Receiver:
    """Return a receiver in the same process."""
    return Receiver()


@pytest.fixture
def org(clock: Clock, receiver: Receiver) -> Org:
    """Return an org that delivers to the receiver, by the clock."""
    return Org(seed=1, clock=clock, send=receiver)


@pytest.fixture
def client(org: Org) -> FlaskClient:
    """Return a client of the org's API."""
    return create_app(org).test_client()


@pytest.fixture
def serve() -> Iterator[Callable[..., Endpoint]]:
    """Return a function that starts an endpoint with the behaviours given."""
    with serving() as start:
        yield start


@pytest.fixture(scope="module")
def delivered() -> Iterator[dict[tuple[str, ...], tuple[Endpoint, Org]]]:
    """Deliver one event to an endpoint of each behaviour, with Okta's own time-out, all at the same time."""

    def deliver(endpoint: Endpoint) -> Org:
        org = Org(http_hooks=True)
        org.register(endpoint.url, ["user.session.start"], secret="s3cret")
        org.emit("user.session.start")
        org.settle()
        return org

    with serving() as start, ThreadPoolExecutor(len(MANNERS)) as pool:
        endpoints = [start(*behaviours) for behaviours in MANNERS]
        orgs = pool.map(deliver, endpoints)
        yield dict(zip(MANNERS, zip(endpoints, orgs, strict=True), strict=True))
