"""The audit: whoever reveals, replays, prunes, pauses or resumes is written down before it is done, and told of."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from . import signals

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask import Flask

    from .inbox import Inbox

    Action: TypeAlias = Literal["reveal", "replay", "prune", "pause", "resume"]
    Via: TypeAlias = Literal["console", "command"]


@dataclass(slots=True)
class Doing:
    """Something that is being done; ``number`` is to how many events or receivers, once that is known."""

    number: int | None = None


@contextmanager
def doing(
    app: Flask,
    inbox: Inbox,
    action: Action,
    subject: str,
    *,
    who: str,
    via: Via,
    hook: str | None = None,
    reason: str | None = None,
) -> Iterator[Doing]:
    """Write down what the block is about to do, then to how many it did it, and send :data:`.signals.audited`.

    What cannot be written down is not done. What ends with an error, or with its process, has no number.

    :param subject: What it is done to: a receiver, an event's uuid, or what chooses events.
    :param who: Who does it.
    :param hook: The hook of that, or None if it is of no one hook.
    :param reason: Why, if that is said.
    :raises InboxUnavailable: if it cannot be written down.
    """
    entry = inbox.audit.write(
        action=action, subject=subject, who=who, via=via, hook=hook, reason=reason
    )
    done = Doing()
    try:
        yield done
        if done.number is not None:
            inbox.audit.complete(entry, done.number)
    finally:
        signals.notify(
            signals.audited,
            app,
            hook=hook,
            action=action,
            subject=subject,
            number=done.number,
            who=who,
            reason=reason,
            via=via,
        )
