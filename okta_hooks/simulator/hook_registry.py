"""The event hooks that an org has registered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from okta_hooks.testing import make_id
from okta_hooks.wire.limits import MOST_ACTIVE_HOOKS

from . import errors
from .event_hooks import SimulatedHook

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator
    from datetime import datetime

    from .event_hooks import HookSettings


class HookRegistry:
    """Hooks by id, in the order in which they were created.

    It is not locked: the org does that. Methods that take an id raise :exc:`RequestRefused` if no hook has it.

    :param rng: Draws the ids.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._hooks: dict[str, SimulatedHook] = {}

    def __iter__(self) -> Iterator[SimulatedHook]:
        return iter(self._hooks.values())

    def find(self, hook_id: str) -> SimulatedHook | None:
        """Return a hook, or None if there is none of that id."""
        return self._hooks.get(hook_id)

    def get(self, hook_id: str) -> SimulatedHook:
        """Return a hook."""
        hook = self.find(hook_id)
        if hook is None:
            raise errors.no_such_hook(hook_id)
        return hook

    def add(self, settings: HookSettings, now: datetime) -> SimulatedHook:
        """Add a hook, active and not verified.

        :raises RequestRefused: if the org has enough hooks that are active and verified.
        """
        self._check_number()
        hook = SimulatedHook(
            id=make_id("who", self._rng), settings=settings, created=now, last_updated=now
        )
        self._hooks[hook.id] = hook
        return hook

    def replace(
        self, hook_id: str, settings: HookSettings, *, is_active: bool | None
    ) -> SimulatedHook:
        """Replace all that an admin says of a hook. A changed channel has to be verified again.

        :param is_active: What the hook becomes; None leaves it.
        :raises RequestRefused: if it becomes active, and the org has enough hooks that are active and verified.
        """
        hook = self.get(hook_id)
        is_active = hook.is_active if is_active is None else is_active
        is_verified = hook.is_verified and settings.channel == hook.settings.channel
        self._change(hook, is_active=is_active, is_verified=is_verified)
        hook.settings = settings
        return hook

    def verify(self, hook: SimulatedHook) -> None:
        """Note that a hook is verified.

        :raises RequestRefused: if it is active, and the org has enough hooks that are active and verified.
        """
        self._change(hook, is_active=hook.is_active, is_verified=True)

    def remove(self, hook_id: str) -> SimulatedHook:
        """Remove a hook, and return it.

        :raises RequestRefused: if it is active.
        """
        hook = self.get(hook_id)
        if hook.is_active:
            raise errors.invalid("eventHook", "status: An active event hook cannot be deleted")
        del self._hooks[hook_id]
        return hook

    def activate(self, hook_id: str) -> SimulatedHook:
        """Make a hook active.

        :raises RequestRefused: if it is verified, and the org has enough hooks that are active and verified.
        """
        hook = self.get(hook_id)
        self._change(hook, is_active=True, is_verified=hook.is_verified)
        return hook

    def deactivate(self, hook_id: str) -> SimulatedHook:
        """Make a hook inactive."""
        hook = self.get(hook_id)
        hook.is_active = False
        return hook

    def receiving(self, event_type: str) -> list[SimulatedHook]:
        """Return the hooks to which events of a type are delivered."""
        return [hook for hook in self if hook.receives and event_type in hook.settings.event_types]

    def _change(self, hook: SimulatedHook, *, is_active: bool, is_verified: bool) -> None:
        if is_active and is_verified and not hook.receives:
            self._check_number()
        hook.is_active, hook.is_verified = is_active, is_verified

    def _check_number(self) -> None:
        if sum(hook.receives for hook in self) >= MOST_ACTIVE_HOOKS:
            raise errors.invalid(
                "eventHook",
                f"An org has at most {MOST_ACTIVE_HOOKS} active and verified event hooks",
            )
