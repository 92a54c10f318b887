"""What a type checker sees of an event. Nothing here runs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, assert_type

from okta_hooks import (
    Actor,
    AuthenticationContext,
    ChangeDetails,
    Client,
    DebugContext,
    Delivery,
    Device,
    GeographicalContext,
    Geolocation,
    IpAddress,
    Issuer,
    LogEvent,
    Outcome,
    Request,
    SecurityContext,
    Target,
    Transaction,
    UserAgent,
    UserBehavior,
)


def event_(event: LogEvent) -> None:
    assert_type(event.event_type, str)
    assert_type(event.uuid, str | None)
    assert_type(event.published, datetime | None)
    assert_type(event.version, str | None)
    assert_type(event.severity, str | None)
    assert_type(event.display_message, str | None)
    assert_type(event.legacy_event_type, str | None)
    assert_type(event.actor, Actor | None)
    assert_type(event.client, Client | None)
    assert_type(event.request, Request | None)
    assert_type(event.device, Device | None)
    assert_type(event.outcome, Outcome | None)
    assert_type(event.target, tuple[Target, ...])
    assert_type(event.transaction, Transaction | None)
    assert_type(event.debug_context, DebugContext | None)
    assert_type(event.authentication_context, AuthenticationContext | None)
    assert_type(event.security_context, SecurityContext | None)
    assert_type(event.insertion_timestamp, datetime | None)
    assert_type(event.raw, dict[str, Any])
    assert_type(event.problems, Mapping[str, Any])
    assert_type(event.targets_of("User"), tuple[Target, ...])
    assert_type(event.target_of("User"), Target | None)
    assert_type(event.changed_attributes, tuple[str, ...])


def actor_and_target(actor: Actor, target: Target, changes: ChangeDetails) -> None:
    assert_type(actor.alternate_id, str | None)
    assert_type(actor.detail_entry, dict[str, Any] | None)
    assert_type(target.id, str | None)
    assert_type(target.change_details, ChangeDetails | None)
    assert_type(changes.from_, dict[str, Any] | None)
    assert_type(changes.to, dict[str, Any] | None)


def client_(client: Client, hop: IpAddress, place: GeographicalContext, at: Geolocation) -> None:
    assert_type(client.user_agent, UserAgent | None)
    assert_type(client.ip_chain, tuple[IpAddress, ...])
    assert_type(hop.geographical_context, GeographicalContext | None)
    assert_type(place.geolocation, Geolocation | None)
    assert_type(place.postal_code, str | None)
    assert_type(at.lat, float | None)


def contexts(
    authentication: AuthenticationContext, security: SecurityContext, device: Device
) -> None:
    assert_type(authentication.issuer, Issuer | None)
    assert_type(authentication.authentication_step, int | None)
    assert_type(security.as_number, int | None)
    assert_type(security.is_proxy, bool | None)
    assert_type(security.user_behaviors, tuple[UserBehavior, ...])
    # These are declared with metadata, which must not make them Any.
    assert_type(device.platform, str | None)
    assert_type(device.managed, bool | None)
    assert_type(device.device_integrator, dict[str, Any] | None)


def delivery_(delivery: Delivery) -> None:
    assert_type(delivery.event_id, str | None)
    assert_type(delivery.received_at, datetime)


def frozen(event: LogEvent) -> None:
    event.uuid = "other"  # type: ignore[misc]
    LogEvent("user.session.start")  # type: ignore[call-arg]
    LogEvent()  # type: ignore[call-arg]
