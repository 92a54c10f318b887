"""A plan carried out: a hook at an org is created or replaced, activated and verified.

https://developer.okta.com/docs/api/openapi/okta-management/management/tag/EventHook/
"""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from okta_hooks.exceptions import OktaRefused, SubscriptionImpossible, VerificationFailed

from .subscription import body

if TYPE_CHECKING:
    from collections.abc import Callable

    from .client import OktaClient
    from .hooks import RegisteredHook
    from .subscription import Plan

_MOST_LOOKS: Final = 10
_SECONDS_BETWEEN_LOOKS: Final = 2.0


def apply(
    client: OktaClient,
    plan: Plan,
    secret: str | None,
    *,
    verifies: bool = True,
    tell: Callable[[str], Any],
    wait: Callable[[float], Any] = time.sleep,
) -> RegisteredHook:
    """Do what a plan says, and return the hook as the org has it then.

    :param secret: As for :func:`~okta_hooks.org.subscription.body`.
    :param verifies: Whether to let Okta ask the endpoint. After any replacement it asks again:
        its request holds the secret that deliveries will hold.
    :param tell: Is called with a line for a person after each step.
    :param wait: As for :func:`verify`.
    :raises VerificationFailed: if all is done but that.
    :raises SubscriptionImpossible: if the hook is gone.
    :raises OktaRefused: if the org does not do it. So does whatever talks to it.
    """
    hook = plan.live
    if hook is None:
        hook = client.create_hook(body(plan, secret))
        tell(f"Created: {hook.id}.")
    elif plan.replaces:
        hook = _of_live(hook, lambda live: client.replace_hook(live.id, body(plan, secret)))
        tell("Changed.")
    if not hook.is_active:
        hook = _of_live(hook, lambda live: client.activate_hook(live.id))
        tell("Activated.")
    if verifies and (plan.replaces or not hook.is_verified):
        try:
            hook = verify(client, hook, wait=wait)
        except VerificationFailed as error:
            # Okta keeps the replacement: if the hook is VERIFIED still, its deliveries have this secret from now on.
            raise VerificationFailed(
                error.url,
                error.reason,
                has_new_secret=plan.replaces and plan.auth_header is not None,
            ) from error
        tell("Verified.")
    return hook


def verify(
    client: OktaClient, hook: RegisteredHook, *, wait: Callable[[float], Any] = time.sleep
) -> RegisteredHook:
    """Let Okta ask the endpoint of a hook, and return the hook once it is verified.

    :param wait: Sleeps for so many seconds, if Okta takes its time to say so.
    :raises VerificationFailed: if the endpoint did not answer as it should, or Okta takes too long.
    :raises SubscriptionImpossible: if the hook is gone.
    """
    url = hook.url or ""
    try:
        asked = _of_live(hook, lambda live: client.verify_hook(live.id))
    except OktaRefused as error:
        if error.status != HTTPStatus.BAD_REQUEST:
            raise
        raise VerificationFailed(url, str(error)) from error
    for _ in range(_MOST_LOOKS):
        if asked.is_verified:
            return asked
        wait(_SECONDS_BETWEEN_LOOKS)
        asked = next((each for each in client.hooks() if each.id == hook.id), asked)
    seconds = _MOST_LOOKS * _SECONDS_BETWEEN_LOOKS
    raise VerificationFailed(
        url,
        f"Okta has no complaint, and after {seconds:.0f} s the hook is {asked.verification_status}",
    )


def _of_live(
    hook: RegisteredHook, call: Callable[[RegisteredHook], RegisteredHook]
) -> RegisteredHook:
    try:
        return call(hook)
    except OktaRefused as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        raise SubscriptionImpossible(
            f"The hook {hook.name!r} ({hook.id}) has been deleted at Okta in the meantime: plan again."
        ) from error
