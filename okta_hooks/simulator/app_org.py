"""An org for the tests of one app: wired to it in process, and registered already."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from okta_hooks import catalog
from okta_hooks.calling import app_sender
from okta_hooks.state import state_of

from .org import Org

if TYPE_CHECKING:
    from flask import Flask

    from okta_hooks.state import AppState, Reconfigured

    from .event_hooks import SimulatedHook

#: How far the inbox's clock advances each time it is read, in seconds, so that no two receipts are due at once.
_TICK: Final = 0.001


class AppOrg(Org):
    """A simulated org that delivers to the app under test, in the test's own thread.

    Every hook of the app is registered and verified, for every type that Okta delivers,
    and for any other that happens and is not in the catalogue.

    :param inbox: The URL of an empty inbox for the app; it has none if it is configured to have none.
    """

    def __init__(self, app: Flask, inbox: str, *, seed: int) -> None:
        super().__init__(seed=seed, send=app_sender(app))
        self._state: AppState = state_of(app)
        # Two threads that drain with one worker would take over each other's claims.
        self._draining = threading.Lock()
        self._moment = time.time()
        self._configured: Reconfigured | None = None
        if self._state.settings.inbox is not None:
            # Receivers run in the test's thread only, when it settles.
            self._configured = self._state.configure(
                inbox=inbox,
                worker="external",
                clock=self._now,
                elapsed=self._now,
                jitter=lambda: 1.0,
            )
        # For each hook of the app, the last of its hooks at the org: the others are full.
        self._last_hooks: list[str] = []
        try:
            self._register_hooks()
        except BaseException:
            # Nobody gets this org, so nobody else closes it.
            self.close()
            raise

    def _register_hooks(self) -> None:
        eligible = [name for name, entry in catalog.entries().items() if entry.event_hook_eligible]
        for name in self._state.hooks:
            *_, last = self.register(
                self._state.url_of(name),
                eligible,
                secret=next((each.reveal() for each in self._state.secrets[name]), None),
                auth_header=self._state.settings.auth_header,
                name=name,
            )
            self._last_hooks.append(last)

    def close(self) -> None:
        """Let the app use the inbox, the worker and the clock that it used before."""
        if self._configured is not None:
            self._configured.restore()

    def _hooks_for(self, event_type: str) -> list[SimulatedHook]:
        entry = catalog.get(event_type)
        if entry is not None and not entry.event_hook_eligible:
            raise ValueError(
                f"Okta does not deliver {event_type!r} to event hooks. "
                'faults=["log_only"] puts it into the System Log.'
            )
        if entry is None:
            # Okta adds types in most releases: a type that the catalogue does not know is taken for one of them.
            for hook in self._hooks:
                known = hook.settings.event_types
                if hook.id in self._last_hooks and event_type not in known:
                    hook.settings = replace(hook.settings, event_types=(*known, event_type))
        return super()._hooks_for(event_type)

    def _now(self) -> float:
        """Return the inbox's time. None passes by itself: when a retry is due is the same on every machine."""
        self._moment += _TICK
        return self._moment

    def settle(self) -> None:
        """Deliver what is pending, and run the receivers until each has finished or given up.

        Nothing is waited for: the time until the next attempt of a receiver that failed is skipped.

        :raises RuntimeError: if a receiver calls it.
        """
        if self._state.settings.inbox is None:
            super().settle()
            return
        runtime = self._state.runtime()
        while True:
            super().settle()
            with self._draining, self._sending.calling_out():
                now = self._now()
                if runtime.worker.drain():
                    # A receiver may have emitted more events.
                    continue
                due = runtime.worker.next_due()
                if due is None or due <= now:
                    # Something is due, and the worker did not run it: it has been stopped.
                    return
                self._moment = max(self._moment, due)
