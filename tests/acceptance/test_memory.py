from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.acceptance.conftest import Host

FEW, MANY, IN_A_DELIVERY = 1_000, 20_000, 100
#: What is kept of the deliveries read last takes a part of it.
MEGABYTES_MORE = 150


def _peak_of(host: Host, first: int, after: int) -> float:
    for number in range(first, after, IN_A_DELIVERY):
        uuids = [f"uuid-{number + place}" for place in range(IN_A_DELIVERY)]
        host.store(*uuids, type_="group.user_membership.add")
    worker = host.worker()
    host.await_state(done=after)
    peak = worker.peak()
    worker.kill()
    return peak


@pytest.mark.parametrize("inbox_url", ["SQLite"], indirect=True)
def test_a_backlog_is_handled_in_bounded_memory(host: Host) -> None:
    """A worker with 20,000 pending events needs little more memory than with 1,000."""
    few = _peak_of(host, 0, FEW)
    many = _peak_of(host, FEW, FEW + MANY)

    print(f"{FEW} events: {few:.0f} MB; {MANY} events: {many:.0f} MB")
    assert many < few + MEGABYTES_MORE
