from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support import NEEDS_PSYCOPG

from .support import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from .support import Host

pytestmark = NEEDS_PSYCOPG


@pytest.fixture(scope="module")
def host(make_host: Callable[..., Host]) -> Host:
    """Return a host with a relay and a worker, which the tests of this module share."""
    host = make_host()
    host.worker()
    host.relay()
    return host


def test_events_reach_their_receivers(host: Host) -> None:
    """Each receiver gets each event once, whatever its queue; asynchronous ones and those that the host routes, too."""
    host.store("a", "b")
    host.store("c", hook="other", type="group.lifecycle.create")
    host.settle()

    for kind, expected in (
        ("ran", {"a": 1, "b": 1}),
        ("slow", {"a": 1, "b": 1}),
        ("waited", {"c": 1}),
        ("routed", {"c": 1}),
    ):
        runs = host.runs(kind)
        assert {uuid: runs[uuid] for uuid in expected} == expected


def test_each_call_has_a_context_of_its_own(host: Host) -> None:
    """The host's class of tasks pushes none beside it: ``g`` is empty, and torn down once."""
    before = len(host.lines("torn"))
    host.store("context")
    host.settle()
    host.store("context-later")
    until(lambda: host.runs("torn")["receiver"] >= 2)
    host.settle()

    (began,) = (line for line in host.lines("began") if line[0] == "context")
    assert began[2] == "False"
    assert {line[0] for line in host.lines("torn")[before:]} == {"receiver"}
