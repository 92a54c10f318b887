"""The value objects: a delivery, its events, and everything inside an event.

The attributes of every class are Okta's keys in snake case, in the order of Okta's System Log reference:
https://developer.okta.com/docs/api/openapi/okta-management/management/tag/SystemLog/
Okta leaves keys out or sends them as null, so every attribute may be None, and every tuple may be empty.
Strings that other people would make an enumeration (severity, outcome, types) are plain strings:
Okta adds values without notice.
No representation shows more than types and ids: the rest is personal data, and representations end in logs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

#: The key of a field's metadata under which other spellings of its JSON key stand.
ALIASES: Final = "aliases"


def _aliased(*keys: str) -> Any:
    """Declare a field that Okta also sends, or has sent, under keys that do not follow from its name."""
    return field(default=None, metadata={ALIASES: keys})


def _json_object(*keys: str) -> Any:
    """Declare a field that holds any JSON object as Okta sent it: a dict, which cannot be hashed."""
    return field(default=None, hash=False, metadata={ALIASES: keys})


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Actor:
    """Who did it: a user, an application, or Okta itself."""

    id: str | None = None
    type: str | None = None
    alternate_id: str | None = None
    display_name: str | None = None
    detail_entry: dict[str, Any] | None = _json_object()

    def __repr__(self) -> str:
        return f"<Actor {self.type!r} {self.id!r}>"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ChangeDetails:
    """What changed on a target: attribute names to values, before and after."""

    from_: dict[str, Any] | None = _json_object()
    to: dict[str, Any] | None = _json_object()


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Target:
    """What it was done to. An event may have many targets, also several of one type."""

    id: str | None = None
    type: str | None = None
    alternate_id: str | None = None
    display_name: str | None = None
    detail_entry: dict[str, Any] | None = _json_object()
    change_details: ChangeDetails | None = None

    def __repr__(self) -> str:
        return f"<Target {self.type!r} {self.id!r}>"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class UserAgent:
    """The program that made the request, as it named itself and as Okta read it."""

    raw_user_agent: str | None = None
    os: str | None = None
    browser: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Geolocation:
    """A point on the map, in degrees."""

    lat: float | None = None
    lon: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class GeographicalContext:
    """Where an IP address is, as far as Okta knows."""

    city: str | None = None
    state: str | None = None
    country: str | None = None
    postal_code: str | None = None
    geolocation: Geolocation | None = None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class IpAddress:
    """One hop of an ``ipChain``."""

    ip: str | None = None
    version: str | None = None
    source: str | None = None
    geographical_context: GeographicalContext | None = None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Client:
    """From where it was done. ``zone`` is often the string ``"null"``: Okta sends it so."""

    user_agent: UserAgent | None = None
    zone: str | None = None
    device: str | None = None
    id: str | None = None
    ip_address: str | None = None
    geographical_context: GeographicalContext | None = None
    ip_chain: tuple[IpAddress, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Request:
    """The hops of the request. The System Log has them here, deliveries have them in ``client``."""

    ip_chain: tuple[IpAddress, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Device:
    """The registered device. Older events spell its keys in snake case; both are read."""

    id: str | None = None
    name: str | None = None
    platform: str | None = _aliased("os_platform", "osPlatform")
    os_version: str | None = _aliased("os_version")
    managed: bool | None = None
    registered: bool | None = None
    device_integrator: dict[str, Any] | None = _json_object("device_integrator")
    disk_encryption_type: str | None = _aliased("disk_encryption_type")
    screen_lock_type: str | None = _aliased("screen_lock_type")
    jailbreak: bool | None = None
    secure_hardware_present: bool | None = _aliased("secure_hardware_present")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Outcome:
    """How it ended: ``result`` is usually one of SUCCESS, FAILURE, ALLOW, DENY, CHALLENGE, UNKNOWN."""

    result: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Transaction:
    """The request or job within Okta that the event belongs to."""

    type: str | None = None
    id: str | None = None
    detail: dict[str, Any] | None = _json_object()


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class DebugContext:
    """Details for debugging: ``debug_data`` holds strings almost only, and its keys may change."""

    debug_data: dict[str, Any] | None = _json_object()


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Issuer:
    """Who issued the credential."""

    id: str | None = None
    type: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class AuthenticationContext:
    """How the actor was authenticated. One ``root_session_id`` ties a session's events together."""

    authentication_provider: str | None = None
    credential_provider: str | None = None
    credential_type: str | None = None
    issuer: Issuer | None = None
    interface: str | None = None
    authentication_step: int | None = None
    external_session_id: str | None = None
    root_session_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class UserBehavior:
    """One behaviour rule and what it found."""

    id: str | None = None
    name: str | None = None
    result: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SecurityContext:
    """What Okta knows of the network the request came from."""

    as_number: int | None = None
    as_org: str | None = None
    isp: str | None = None
    domain: str | None = None
    is_proxy: bool | None = None
    user_behaviors: tuple[UserBehavior, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class LogEvent:
    """One event, of whatever type.

    ``raw`` is the whole object as :func:`json.loads` read it.
    ``problems`` says in marshmallow's words which fields did not fit what is declared here;
    such a field is None here and untouched in ``raw``.
    ``published`` and ``insertion_timestamp`` are aware datetimes.
    """

    event_type: str
    uuid: str | None = None
    published: datetime | None = None
    version: str | None = None
    severity: str | None = None
    display_message: str | None = None
    legacy_event_type: str | None = None
    actor: Actor | None = None
    client: Client | None = None
    request: Request | None = None
    device: Device | None = None
    outcome: Outcome | None = None
    target: tuple[Target, ...] = ()
    transaction: Transaction | None = None
    debug_context: DebugContext | None = None
    authentication_context: AuthenticationContext | None = None
    security_context: SecurityContext | None = None
    insertion_timestamp: datetime | None = None
    raw: dict[str, Any] = field(default_factory=dict, hash=False)
    problems: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __repr__(self) -> str:
        return f"<LogEvent {self.event_type!r} {self.uuid!r}>"

    def targets_of(self, type: str) -> tuple[Target, ...]:  # noqa: A002 - Okta's word
        """Return the targets of a type, in Okta's order.

        :param type: For instance ``"User"``. Case does not matter: Okta's own drifts.
        """
        wanted = type.casefold()
        return tuple(
            target
            for target in self.target
            if target.type is not None and target.type.casefold() == wanted
        )

    def target_of(self, type: str) -> Target | None:  # noqa: A002 - Okta's word
        """Return the first target of a type, or None.

        :param type: As for :meth:`targets_of`.
        """
        return next(iter(self.targets_of(type)), None)

    @property
    def changed_attributes(self) -> tuple[str, ...]:
        """The names of the attributes that changed, each once, in Okta's order.

        They stand in ``changedAttributes`` of the debug data (comma-separated),
        in the ``changeDetails`` of the targets, or in both.
        """
        data = self.debug_context.debug_data if self.debug_context else None
        listed = (data or {}).get("changedAttributes")
        names = [name.strip() for name in listed.split(",")] if isinstance(listed, str) else []
        for target in self.target:
            if target.change_details is not None:
                names += target.change_details.from_ or {}
                names += target.change_details.to or {}
        return tuple(dict.fromkeys(filter(None, names)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One POST of Okta's, or one page of its System Log: what an event came with.

    ``event_id`` is the envelope's ``eventId``: other hooks get the same event under another one.
    ``source`` is the URL of the hook at Okta. ``via`` is ``"hook"`` or ``"backfill"``.
    ``received_at`` is an aware datetime in UTC. ``traceparent`` is that of the span in which it was received, as W3C's
    Trace Context has it, if :class:`~okta_hooks.opentelemetry.OktaHooksInstrumentor` has recorded one.
    """

    event_id: str | None
    source: str | None
    via: str
    received_at: datetime
    traceparent: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Envelope:
    """What a request body holds: what Okta says of the delivery, and the events, which are not read yet.

    ``text`` is the body itself. It can be encoded as UTF-8: a lone surrogate is written as its JSON escape.
    """

    event_id: str | None = _aliased("eventID")
    source: str | None = None
    events: tuple[Any, ...] = ()
    text: str = field(default="", compare=False)
