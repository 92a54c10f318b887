"""A backfill of an org that has a custom domain."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support import NEEDS_SDK

from .support import CREATED, read

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

    from okta_hooks import EventHook
    from okta_hooks.simulator import Simulator

pytestmark = NEEDS_SDK


@pytest.mark.parametrize("first_is_custom", [True, False])
def test_the_cursor_is_found_from_either_address(
    simulator: Simulator,
    connect: Callable[..., Flask],
    okta: EventHook,
    first_is_custom: bool,
) -> None:
    """Whoever read the log at the custom domain goes on at the domain at Okta, and the other way round."""
    simulator.org.custom_url = simulator.url.replace("127.0.0.1", "localhost")
    addresses = [simulator.url, simulator.org.custom_url]
    if first_is_custom:
        addresses.reverse()
    simulator.org.emit(CREATED, count=3, faults=["lost"])
    assert read(connect(addresses[0], okta), "--since=1h")["new"] == 3
    simulator.org.emit(CREATED, faults=["lost"])

    found = read(connect(addresses[1], okta))

    assert (found["org"], found["events"], found["new"]) == (addresses[1], 1, 1)
