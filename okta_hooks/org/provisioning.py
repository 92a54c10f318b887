"""A plan carried out: a hook at an org is created or replaced, activated and verified.

https://developer.okta.com/docs/api/openapi/okta-management/management/tag/EventHook/
"""

from __future__ import annotations

import shlex
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Literal

from okta_hooks.exceptions import (
    OktaRefused,
    OktaUnavailable,
    SubscriptionImpossible,
    VerificationFailed,
)

from . import preflight
from .hook_request import body
from .subscription import described, lost_filters
from .urls import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from okta_hooks.secret import Secret

    from .client import OktaClient
    from .hooks import RegisteredHook
    from .ownership import Ownership
    from .subscription import Plan

_MOST_LOOKS: Final = 10
_SECONDS_BETWEEN_LOOKS: Final = 2.0


@dataclass(slots=True)
class Replacement:
    """What is known of the replacement of a hook, also when what comes after it fails.

    ``state`` is ``"none"`` as long as Okta has nothing of it, ``"sent"`` if it may have, ``"taken"`` if it has.
    """

    state: Literal["none", "sent", "taken"] = "none"


def apply(
    client: OktaClient,
    plan: Plan,
    secret: Secret | None,
    *,
    verifies: bool = True,
    own: Ownership,
    is_named: bool,
    replacement: Replacement | None = None,
    tell: Callable[[str], Any],
    wait: Callable[[float], Any] = time.sleep,
) -> RegisteredHook:
    """Do what a plan says, and return the hook as the org has it then.

    :param secret: As for :func:`~okta_hooks.org.hook_request.body`.
    :param verifies: Whether to let Okta ask the endpoint. After any replacement it asks again:
        its request holds the secret that deliveries will hold.
    :param own: What proves that the live hook is this app's.
    :param is_named: Whether a person has said which hook is meant, by its name or its URL.
    :param replacement: Is kept up to date with what Okta may have of a replacement.
    :param tell: Is called with a line for a person after each step, and before the hook is replaced.
    :param wait: As for :func:`verify`.
    :raises VerificationFailed: if all is done but that.
    :raises SubscriptionImpossible: if the hook is gone, or would get no events any more, or may be another app's.
    :raises OktaRefused: if the org does not do it. So does whatever talks to it.
    """
    replacement = replacement or Replacement()
    hook = plan.live
    if hook is None:
        hook = client.create_hook(body(plan, secret))
        tell(f"Created: {hook.id}.")
    elif plan.replaces:
        document = body(plan, secret)
        _check_replacement(
            document, plan, hook, tell, verifies=verifies, own=own, is_named=is_named
        )
        tell(f"Until now: {described(hook)}.")
        for event_type, expression in lost_filters(hook, plan.types):
            tell(f"The filter of {event_type} goes: {expression}")
        _check_unchanged(client, hook)
        hook = _replace(client, hook, document, replacement)
        tell("Changed.")
    if not hook.is_active:
        if plan.live is not None:
            if plan.live.is_active:
                raise SubscriptionImpossible(
                    f"The hook {hook.name!r} ({hook.id}) has been deactivated at Okta in the meantime, "
                    "and is left so: plan again."
                )
            if not plan.replaces:
                _check_said(plan.live, own, "It is left inactive", is_named=is_named)
                _check_unchanged(client, plan.live)
        hook = _of_live(hook, lambda live: client.activate_hook(live.id))
        tell("Activated.")
    if verifies and (plan.replaces or not hook.is_verified):
        try:
            hook = verify(client, hook, wait=wait)
        except VerificationFailed as error:
            # Okta keeps what it was given: if the hook is VERIFIED still, its deliveries have this secret from now on.
            is_written = plan.live is None or plan.replaces
            error.has_new_secret = is_written and plan.auth_header is not None
            raise
        tell("Verified.")
    return hook


def _replace(
    client: OktaClient,
    hook: RegisteredHook,
    document: Mapping[str, Any],
    replacement: Replacement,
) -> RegisteredHook:
    replacement.state = "sent"
    try:
        replaced = client.replace_hook(hook.id, document)
    except OktaRefused as error:
        if error.status < HTTPStatus.INTERNAL_SERVER_ERROR:
            replacement.state = "none"
        if error.status == HTTPStatus.NOT_FOUND:
            raise _deleted(hook) from error
        raise
    replacement.state = "taken"
    return replaced


def _check_unchanged(client: OktaClient, planned: RegisteredHook) -> None:
    """Look at a hook right before it is written: what somebody has changed meanwhile would be lost.

    :raises SubscriptionImpossible: if it is not as it was planned for.
    """
    if not _of_live(planned, lambda live: client.hook(live.id)).is_as(planned):
        raise SubscriptionImpossible(
            f"The hook {planned.name!r} ({planned.id}) has been changed at Okta in the meantime, "
            "and nothing was written: plan again."
        )


def _check_replacement(
    document: Mapping[str, Any],
    plan: Plan,
    live: RegisteredHook,
    tell: Callable[[str], Any],
    *,
    verifies: bool,
    own: Ownership,
    is_named: bool,
) -> None:
    """Ask an endpoint, or what else proves that a hook is this app's, before what the hook has is lost.

    :raises SubscriptionImpossible: if the verification would fail, or the hook may be another app's.
    """
    # The question holds the secret, and the endpoint may be another app's.
    _check_said(
        live, own, "Its endpoint was not asked, as that would send it the secret", is_named=is_named
    )
    gets_events = live.is_active and live.is_verified
    if not verifies or not gets_events:
        return
    where = shown(plan.url)
    try:
        wrong = preflight.complaint(document)
    except preflight.NotAsked as error:
        asked = f"{where} could not be asked from here: {error.reason}"
        if not own.owns(live):
            cure = (
                "Run apply where that URL can be asked; --no-verify replaces the hook all the same."
            )
            if own.url is None:
                cure = f"If it is, set OKTA_HOOKS_URL to its URL. {cure}"
            raise _unproved(live, own, asked, cure) from error
        tell(f"{asked}. Okta will ask it.")
        return
    if wrong is not None:
        raise SubscriptionImpossible(
            f"The hook gets events now, and would not any more. {where} was asked: {wrong}. "
            "Nothing was changed at Okta. Correct the app at that URL or the secret of here; "
            "--no-verify replaces the hook all the same."
        )


def _check_said(live: RegisteredHook, own: Ownership, reason: str, *, is_named: bool) -> None:
    """Check that a person has said that a hook is this app's, here or in the configuration.

    :raises SubscriptionImpossible: if only its deliveries tell.
    """
    if not is_named and not own.is_configured(live):
        name = shlex.quote(live.name or "")
        cure = f"If it is, say so with --name {name}, or set OKTA_HOOKS_URL to its URL."
        raise _unproved(live, own, reason, cure)


def _unproved(
    live: RegisteredHook, own: Ownership, reason: str, cure: str
) -> SubscriptionImpossible:
    """Return that a hook may be another app's, with what to say if it is not."""
    said = f"Nothing proves that the hook {live.name!r} ({live.id}) at {shown(live.url or '')} is this app's. "
    if own.owns(live):
        said += "It has delivered to this inbox, which may be a copy of another app's. "
    return SubscriptionImpossible(f"{said}{reason}. Nothing was changed at Okta. {cure}")


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
        raise VerificationFailed(
            url, str(error), name=hook.name, status=_status_now(client, hook)
        ) from error
    for _ in range(_MOST_LOOKS):
        if asked.is_verified:
            return asked
        wait(_SECONDS_BETWEEN_LOOKS)
        asked = next((each for each in client.hooks() if each.id == hook.id), asked)
    seconds = _MOST_LOOKS * _SECONDS_BETWEEN_LOOKS
    raise VerificationFailed(
        url,
        f"Okta has no complaint, and after {seconds:.0f} s the hook is {asked.verification_status}",
        name=hook.name,
        status=asked.verification_status,
    )


def _status_now(client: OktaClient, hook: RegisteredHook) -> str | None:
    # A failed verification takes nothing away, and what was replaced before it does: only Okta knows.
    try:
        return client.hook(hook.id).verification_status
    except (OktaRefused, OktaUnavailable):
        return None


def _of_live(
    hook: RegisteredHook, call: Callable[[RegisteredHook], RegisteredHook]
) -> RegisteredHook:
    try:
        return call(hook)
    except OktaRefused as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        raise _deleted(hook) from error


def _deleted(hook: RegisteredHook) -> SubscriptionImpossible:
    return SubscriptionImpossible(
        f"The hook {hook.name!r} ({hook.id}) has been deleted at Okta in the meantime: plan again."
    )
