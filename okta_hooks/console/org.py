"""Asking the org at Okta, in time, and remembering what it has said."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from okta_hooks.exceptions import OktaUnavailable
from okta_hooks.in_time import InTime

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from okta_hooks.org.hooks import RegisteredHook
    from okta_hooks.settings import Settings


class Org:
    """The hooks at Okta, as one thread asks for them however many look; ``conditions`` is what was found last.

    ``asked_at`` is when that was, in seconds since the epoch, or None.
    """

    def __init__(self) -> None:
        self.asked_at: float | None = None
        self.conditions: Mapping[str, str] = {}
        self._lock = threading.Lock()
        self._question: InTime[Sequence[RegisteredHook]] | None = None

    def hooks(self, settings: Settings, seconds: float) -> Sequence[RegisteredHook]:
        """Return the event hooks of the org that the settings name.

        :raises ConfigurationError: if they name none, or it cannot be asked.
        :raises OktaRefused: if it says no.
        :raises OktaUnavailable: if it does not answer within that time.
        """
        with self._lock:
            if self._question is None:
                self._question = InTime(lambda: _hooks(settings))
        try:
            return self._question.ask(seconds)
        except TimeoutError as error:
            raise OktaUnavailable(f"the org did not answer within {seconds:g} s") from error

    def note(self, conditions: Mapping[str, str]) -> None:
        """Remember what has been found of hooks of the app, each in a word or two."""
        self.asked_at = time.time()
        self.conditions = {**self.conditions, **conditions}


def _hooks(settings: Settings) -> Sequence[RegisteredHook]:
    from okta_hooks.org.client import OktaClient  # only whoever asks needs it

    with OktaClient(settings, wait=_do_not_wait) as client:
        return client.hooks()


def _do_not_wait(seconds: float) -> None:
    raise OktaUnavailable(f"its rate limit is used up for {seconds:.0f} s more")
