"""A plan carried out: a hook at an org is created or replaced, activated and verified.

https://developer.okta.com/docs/api/openapi/okta-management/management/tag/EventHook/
"""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from okta_hooks.exceptions import OktaRefused, SubscriptionImpossible, VerificationFailed

from . import preflight
from .subscription import body, described
from .urls import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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
    is_own: bool = True,
    tell: Callable[[str], Any],
    wait: Callable[[float], Any] = time.sleep,
) -> RegisteredHook:
    """Do what a plan says, and return the hook as the org has it then.

    :param secret: As for :func:`~okta_hooks.org.subscription.body`.
    :param verifies: Whether to let Okta ask the endpoint. After any replacement it asks again:
        its request holds the secret that deliveries will hold.
    :param is_own: Whether it is proved that the live hook is this app's. What is not proved to be, and gets events
        now, is not replaced unless the endpoint answers to a verification from here.
    :param tell: Is called with a line for a person after each step, and before the hook is replaced.
    :param wait: As for :func:`verify`.
    :raises VerificationFailed: if all is done but that.
    :raises SubscriptionImpossible: if the hook is gone, or would get no events any more.
    :raises OktaRefused: if the org does not do it. So does whatever talks to it.
    """
    hook = plan.live
    if hook is None:
        hook = client.create_hook(body(plan, secret))
        tell(f"Created: {hook.id}.")
    elif plan.replaces:
        document = body(plan, secret)
        if verifies and hook.is_active and hook.is_verified:
            _check_endpoint(document, plan, tell, is_own=is_own)
        tell(f"Until now: {described(hook)}.")
        _check_unchanged(client, hook)
        hook = _of_live(hook, lambda live: client.replace_hook(live.id, document))
        tell("Changed.")
    if not hook.is_active:
        if plan.live is not None:
            if plan.live.is_active:
                raise SubscriptionImpossible(
                    f"The hook {hook.name!r} ({hook.id}) has been deactivated at Okta in the meantime, "
                    "and is left so: plan again."
                )
            if not plan.replaces:
                _check_unchanged(client, plan.live)
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


def _check_unchanged(client: OktaClient, planned: RegisteredHook) -> None:
    """Look at a hook right before it is written: what somebody has changed meanwhile would be lost.

    :raises SubscriptionImpossible: if it is not as it was planned for.
    """
    if not _of_live(planned, lambda live: client.hook(live.id)).is_as(planned):
        raise SubscriptionImpossible(
            f"The hook {planned.name!r} ({planned.id}) has been changed at Okta in the meantime, "
            "and nothing was written: plan again."
        )


def _check_endpoint(
    document: Mapping[str, Any], plan: Plan, tell: Callable[[str], Any], *, is_own: bool
) -> None:
    """Ask the endpoint of a hook that gets events, before what it has is lost.

    :raises SubscriptionImpossible: if the verification would fail.
    """
    reason = "The hook gets events now, and would not any more"
    cure = (
        "Nothing was changed at Okta. Correct the app at that URL or the secret of here; "
        "--no-verify replaces the hook all the same."
    )
    try:
        wrong = preflight.complaint(document)
    except preflight.NotAsked as error:
        where = f"{shown(plan.url)} could not be asked from here: {error.reason}"
        if not is_own:
            raise SubscriptionImpossible(
                f"The hook gets events now, and nothing proves that it is this app's. {where}. {cure}"
            ) from error
        tell(f"{where}. Okta will ask it.")
        return
    if wrong is not None:
        raise SubscriptionImpossible(f"{reason}. {shown(plan.url)} was asked: {wrong}. {cure}")


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
