from __future__ import annotations

from typing import TYPE_CHECKING

from okta_hooks.inbox.pauses import Pause

if TYPE_CHECKING:
    from collections.abc import Callable

    from okta_hooks.inbox import Inbox
    from okta_hooks.inbox.intake import NewDelivery
    from tests.support import Clock

    DeliveryFactory = Callable[..., NewDelivery]
    InboxFactory = Callable[..., Inbox]


def test_a_pause_says_who_and_why(inbox: Inbox, clock: Clock) -> None:
    """It says when, too; pausing again changes nothing, and a receiver need not be known."""
    assert inbox.pauses.pause("okta", "a", who="ada", reason="the API\nis down")
    assert not inbox.pauses.pause("okta", "a", who="bob")
    assert inbox.pauses.pause("other", "a", who="bob")

    first, second = inbox.pauses.paused()
    assert first == Pause(
        hook="okta", receiver="a", paused_at=clock.now, who="ada", reason="the API\\x0ais down"
    )
    assert (second.hook, second.who, second.reason) == ("other", "bob", None)
    assert inbox.pauses.is_paused("okta", "a")
    assert inbox.pauses.resume("okta", "a")
    assert not inbox.pauses.resume("okta", "a")
    assert not inbox.pauses.is_paused("okta", "a")
    assert [each.hook for each in inbox.pauses.paused()] == ["other"]
