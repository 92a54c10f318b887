"""Events in the form that the System Log shows, which differs from that of a delivery."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from okta_hooks.testing import sample_event
from okta_hooks.wire.protocol import okta_time

if TYPE_CHECKING:
    import random
    from datetime import datetime

    from .deliveries import PlannedDelivery
    from .event_hooks import SimulatedHook


def as_logged(event: dict[str, Any], now: datetime) -> dict[str, Any]:
    """Return a delivered event in the form of the System Log: the chain of addresses is the request's there.

    :param now: When it is persisted.
    """
    logged = {**event, "insertionTimestamp": okta_time(now)}
    client = event.get("client")
    if isinstance(client, dict) and "ipChain" in client:
        logged["client"] = {key: value for key, value in client.items() if key != "ipChain"}
        logged["request"] = {"ipChain": client["ipChain"]}
    return logged


def as_delivered(logged: dict[str, Any]) -> dict[str, Any]:
    """Return an event of the System Log in the form of a delivery: the opposite of :func:`as_logged`."""
    event = {**logged, "insertionTimestamp": None}
    request, client = object_at(logged, "request"), object_at(logged, "client")
    if request is not None and client is not None and "ipChain" in request:
        event["client"] = {**client, "ipChain": request["ipChain"]}
        event["request"] = None
    return event


def with_debug_data(event: dict[str, Any], **data: str) -> dict[str, Any]:
    """Return an event with more in its debug data."""
    context = object_at(event, "debugContext") or {}
    known = object_at(event, "debugContext", "debugData") or {}
    return {**event, "debugContext": {**context, "debugData": {**known, **data}}}


def object_at(event: dict[str, Any], *keys: str) -> dict[str, Any] | None:
    """Return the object at a path, if there is one."""
    found: Any = event
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else None


def failed_verification(complaint: str) -> dict[str, Any]:
    """Return what an event of a failed verification says. Okta is known to log one, but not what it holds."""
    return {"severity": "WARN", "outcome": {"result": "FAILURE", "reason": complaint[:255]}}


def failed_delivery(delivery: PlannedDelivery, reason: str) -> dict[str, Any]:
    """Return what an event of a failed delivery says. What Okta's holds is not known."""
    debug_data = {"eventId": delivery.event_id, "attempts": str(len(delivery.attempts))}
    if delivery.attempts[-1].status is not None:
        debug_data["httpStatus"] = str(delivery.attempts[-1].status)
    return {
        "actor": "SystemPrincipal:system@okta.com",
        "severity": "WARN",
        "outcome": {"result": "FAILURE", "reason": reason[:255]},
        "debug_context": {"debugData": debug_data},
    }


def event_of_hook(
    event_type: str, hook: SimulatedHook, now: datetime, rng: random.Random, **overrides: Any
) -> dict[str, Any]:
    """Return the event that the org records of one of its hooks.

    :param overrides: As for :func:`okta_hooks.testing.make_event`.
    """
    target = {
        "id": hook.id,
        "type": "EventHook",
        "alternateId": hook.settings.name,
        "displayName": hook.settings.name,
        "detailEntry": None,
        "changeDetails": None,
    }
    return sample_event(event_type, seed=rng, **{"published": now, "target": target, **overrides})


def quota_warning(quota: int, now: datetime, rng: random.Random) -> dict[str, Any]:
    """Return the event by which the log warns that the quota of events is nearly used up.

    :param quota: How many events there may be in 24 hours.
    """
    # Okta documents the warning, but not of what type it is.
    return sample_event(
        "system.operation.rate_limit.warning",
        seed=rng,
        published=now,
        actor="SystemPrincipal:system@okta.com",
        target=None,
        severity="WARN",
        display_message="Event hooks approach their limit of events in 24 hours",
        debug_context={"debugData": {"operationRateLimitThreshold": str(quota)}},
    )
