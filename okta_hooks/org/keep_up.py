"""A backfill that goes on beside other work, and what it finds out: that a hook at Okta does not deliver."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from okta_hooks import signals
from okta_hooks.exceptions import InboxUnavailable, OktaRefused, OktaUnavailable, as_sentence
from okta_hooks.logs import plain_logger

from .backfill import Backfill
from .ownership import ownership_of
from .refusals import cure

if TYPE_CHECKING:
    import threading

    from okta_hooks.state import AppState

    from .client import OktaClient
    from .hooks import RegisteredHook

logger = plain_logger(__name__)

_SECONDS_BETWEEN_LOOKS: Final = 600.0
_GOOD: Final = ("ACTIVE", "VERIFIED")


def keep_up(state: AppState, client: OktaClient, stopping: threading.Event, seconds: float) -> None:
    """Read the log again and again beside other work: whatever fails is logged, and tried again.

    It begins where the last backfill stopped, or some minutes ago if there was none.

    :param seconds: How long to wait between.
    """
    reading = Backfill(state, client, stopping)
    hooks = RegisteredHooks(state, client)
    has_begun = False
    while not stopping.is_set():
        try:
            if not has_begun:
                reading.begin()
                has_begun = True
            if state.runtime().worker.has_receivers():
                before = sum(reading.tally.new.values())
                reading.catch_up()
                brought = sum(reading.tally.new.values()) - before
                if brought:
                    logger.info("The backfill has brought %(count)d events.", {"count": brought})
            reading.tell_of_recovered()
            hooks.look()
        except (OktaUnavailable, OktaRefused, InboxUnavailable) as error:
            said = as_sentence(error)
            if isinstance(error, OktaRefused):
                said += cure(error, ("okta.logs.read",), client.credentials)
            logger.error(  # noqa: TRY400 - no bug
                "The backfill failed, and is tried again: %(error)s", {"error": said}
            )
            has_begun = False
        except Exception:
            # The worker beside it must not stop with it.
            logger.exception("The backfill failed, and is tried again.")
        stopping.wait(seconds)


class RegisteredHooks:
    """Looks every ten minutes whether the app's hooks at Okta are active and verified, and tells of a change."""

    def __init__(self, state: AppState, client: OktaClient) -> None:
        self._state = state
        self._client = client
        self._inbox = state.runtime().inbox
        self._looked_at: float | None = None
        self._known: dict[str, tuple[str | None, str | None]] = {}
        self._is_refused = False

    def look(self) -> None:
        """Look, if it is time to.

        :raises OktaUnavailable: if there is no answer that can be read.
        """
        now = self._inbox.elapsed()
        if self._looked_at is not None and now - self._looked_at < _SECONDS_BETWEEN_LOOKS:
            return
        self._looked_at = now
        try:
            registered = self._client.hooks()
        except OktaRefused as refused:
            if not self._is_refused:
                self._is_refused = True
                needed = cure(refused, ("okta.eventHooks.read",), self._client.credentials)
                logger.warning(
                    "Whether the hooks at Okta are active and verified cannot be asked: %(error)s",
                    {"error": as_sentence(refused) + needed},
                )
            return
        self._is_refused = False
        for name in self._state.hooks:
            for hook in ownership_of(self._state, name, self._inbox).of(registered):
                self._note(name, hook)

    def _note(self, name: str, hook: RegisteredHook) -> None:
        now = hook.status, hook.verification_status
        before = self._known.get(hook.id, _GOOD)
        self._known[hook.id] = now
        if now == before:
            return
        if now == _GOOD:
            logger.warning(
                "The hook %(registered)r (%(registered_id)s) at Okta is active and verified again.",
                {"hook": name, "registered": hook.name, "registered_id": hook.id},
            )
            return
        logger.error(
            "The hook %(registered)r (%(registered_id)s) at Okta is %(registered_status)s and "
            "%(registered_verification_status)s, "
            "so nothing is delivered to %(hook)r: flask okta-hooks plan says what to do.",
            {
                "hook": name,
                "registered": hook.name,
                "registered_id": hook.id,
                "registered_status": hook.status,
                "registered_verification_status": hook.verification_status,
            },
        )
        signals.notify(
            signals.registration_inactive,
            self._state.runtime().worker.app,
            hook=self._state.hooks[name],
            name=hook.name,
            status=hook.status,
            verification_status=hook.verification_status,
        )
