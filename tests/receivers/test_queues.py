"""The queue that a receiver belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .support import APP, HERE, names, other, receiver

if TYPE_CHECKING:
    from okta_hooks import EventHook


def queues(hook: EventHook) -> list[str | None]:
    return [found.queue for found in hook.receivers.connected(APP)]


def test_queue(okta: EventHook) -> None:
    """A receiver is in the queue that it is connected with, for each of its events, or in none."""
    okta.on("user.session.start", "group.*", queue="slow jobs")(receiver)
    okta.on("user.session.start")(other)

    assert queues(okta) == ["slow jobs", None]
    assert [found.queue for found in okta.receivers.matching("user.session.start", APP)] == [
        "slow jobs",
        None,
    ]


def test_connected_again(okta: EventHook) -> None:
    """A receiver may get its queue with any of its connections, and keeps it."""
    okta.on("user.session.start")(receiver)
    okta.on("user.session.end", queue="slow")(receiver)
    okta.on("group.*", queue="slow")(receiver)
    okta.on("user.account.*")(receiver)
    okta.signal("policy.*").connect(receiver)

    assert queues(okta) == ["slow"]


def test_another_queue(okta: EventHook) -> None:
    """A receiver is in one queue: a second one is refused, and nothing of that connection stays."""
    okta.on("user.session.start", queue="slow")(receiver)

    with pytest.raises(
        ValueError, match=f"{HERE}:receiver' is in the queue 'slow' already"
    ) as caught:
        okta.on("user.session.end", name="mine", queue="fast")(receiver)

    assert "'fast'" in str(caught.value)
    assert queues(okta) == ["slow"]
    assert names(okta, "user.session.start") == [f"{HERE}:receiver"]
    assert names(okta, "user.session.end") == []


def test_a_second_name_leaves_the_queue(okta: EventHook) -> None:
    """A connection that is refused for its name gives the receiver no queue either."""
    okta.on("user.session.start", name="first")(receiver)

    with pytest.raises(ValueError, match="named 'first' already"):
        okta.on("user.session.start", name="second", queue="slow")(receiver)

    assert queues(okta) == [None]


@pytest.mark.parametrize(
    "queue", ["", " ", " slow", "slow\n", "\tslow", "slow\xa0", "slow\x00", "sl\now", "\udc80"]
)
def test_names_that_are_refused(okta: EventHook, queue: str) -> None:
    """What nobody could tell from another name, or type at a prompt, is no queue."""
    with pytest.raises(ValueError, match="queue must be a name such as") as caught:
        okta.on("*", queue=queue)

    assert str(caught.value).endswith(f"not {queue!r}.")


@pytest.mark.parametrize("queue", [7, b"slow", ["slow"]])
def test_what_is_no_string(okta: EventHook, queue: object) -> None:
    """A queue is named by a string."""
    with pytest.raises(TypeError, match="queue must be a name such as"):
        okta.on("*", queue=queue)  # type: ignore[arg-type]
