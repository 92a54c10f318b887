"""What a backfill has read and stored, in numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from okta_hooks.inbox.intake import Stored


@dataclass(slots=True, kw_only=True)
class Tally:
    """What has been read and stored so far.

    ``new``, ``duplicate`` and ``dead`` are numbers by hook, of events in the inbox.
    ``contradicting`` of the new ones are the log's versions of events that a hook delivered otherwise.
    ``gap`` is what Okta has forgotten of what was to be read.
    """

    pages: int = 0
    events: int = 0
    new: dict[str, int] = field(default_factory=dict)
    duplicate: dict[str, int] = field(default_factory=dict)
    dead: dict[str, int] = field(default_factory=dict)
    contradicting: int = 0
    began_at: float | None = None
    reached_at: float | None = None
    gap: tuple[float, float] | None = None
    is_at_end: bool = False

    def add(self, hook: str, stored: Stored) -> None:
        """Count what became of a delivery."""
        for numbers, number in (
            (self.new, stored.new),
            (self.duplicate, stored.duplicate),
            (self.dead, len(stored.dead)),
        ):
            numbers[hook] = numbers.get(hook, 0) + number

    def replace_duplicates(self, hook: str, stored: Stored) -> None:
        """Count what became of events that were counted as duplicates before."""
        self.add(hook, stored)
        self.duplicate[hook] -= stored.new + stored.duplicate
