from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from okta_hooks.inbox.assignments import Assignment
from tests.support import HOUR, claim, settle

if TYPE_CHECKING:
    from collections.abc import Callable

    from okta_hooks.inbox import Inbox
    from okta_hooks.inbox.intake import NewDelivery
    from tests.support import Clock

    DeliveryFactory = Callable[..., NewDelivery]


@pytest.fixture
def varied(inbox: Inbox, delivery: DeliveryFactory, clock: Clock) -> Inbox:
    """Return an inbox with an event in each state, an hour between them, and one of another hook."""
    for uuid, kind in {
        "dead": "user.lifecycle.create",
        "done": "user.lifecycle.delete",
        "unwanted": "user.lifecyclex.create",
        "claimed": "user.authentication.auth_via_IDP",
    }.items():
        inbox.intake.store([delivery(uuid, type=kind)])
        clock.now += HOUR
    inbox.assignments.assign(
        [
            Assignment(
                event=event,
                receivers=() if event.type == "user.lifecyclex.create" else ("a", "b"),
            )
            for event in inbox.assignments.unassigned(["okta"])
        ]
    )
    first, second, _ = claim(inbox, "b")
    settle(inbox, [first, second])
    settle(inbox, claim(inbox, limit=1), "dead", error="no")
    settle(inbox, claim(inbox, limit=1))
    inbox.intake.store([delivery("pending", type="group.lifecycle.create")])
    inbox.intake.store([delivery("elsewhere", hook="other")])
    return inbox
