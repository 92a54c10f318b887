"""An event hook as an org has it registered.

https://developer.okta.com/docs/api/openapi/okta-management/management/tag/EventHook/
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class HookEvents:
    """Which events a hook is for. ``filter`` is kept as it came."""

    type: str | None = None
    items: tuple[str, ...] = ()
    filter: dict[str, Any] | None = field(default=None, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class HookHeader:
    """A header that Okta sends besides the secret. Its value may be a secret, too."""

    key: str | None = None
    value: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class HookAuthScheme:
    """Where Okta puts the secret, which it never tells."""

    type: str | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HookConfig:
    """Where a hook's deliveries go, and with which headers."""

    uri: str | None = None
    headers: tuple[HookHeader, ...] = ()
    auth_scheme: HookAuthScheme | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HookChannel:
    """How a hook's deliveries travel: always over HTTP."""

    type: str | None = None
    version: str | None = None
    config: HookConfig | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredHook:
    """An event hook as an org has it.

    ``status`` is ``"ACTIVE"`` or ``"INACTIVE"``, ``verification_status`` ``"VERIFIED"`` or ``"UNVERIFIED"``:
    only a hook that is both gets events. ``document`` is all of it, as it was read.
    """

    id: str
    name: str | None = None
    description: str | None = None
    status: str | None = None
    verification_status: str | None = None
    events: HookEvents | None = None
    channel: HookChannel | None = None
    document: dict[str, Any] | None = field(default=None, hash=False, compare=False, repr=False)

    @property
    def url(self) -> str | None:
        """Where its deliveries go."""
        config = self.channel.config if self.channel else None
        return config.uri if config else None

    @property
    def event_types(self) -> tuple[str, ...]:
        """What it is subscribed to."""
        return self.events.items if self.events else ()

    @property
    def filter_entries(self) -> tuple[dict[str, Any], ...]:
        """The filters that an administrator has set, each for one event type.

        https://developer.okta.com/docs/guides/event-hook-filtering/main/
        """
        entries = ((self.events.filter if self.events else None) or {}).get("eventFilterMap")
        listed = entries if isinstance(entries, list) else []
        return tuple(entry for entry in listed if isinstance(entry, dict))

    @property
    def auth_header(self) -> str | None:
        """The header that Okta puts the secret into."""
        config = self.channel.config if self.channel else None
        return config.auth_scheme.key if config and config.auth_scheme else None

    @property
    def is_active(self) -> bool:
        """Whether it is switched on."""
        return self.status == "ACTIVE"

    @property
    def is_verified(self) -> bool:
        """Whether Okta has checked who owns the endpoint."""
        return self.verification_status == "VERIFIED"

    def is_as(self, other: RegisteredHook) -> bool:
        """Return whether nothing lies between two readings of a hook. Its event types are a set to Okta."""
        return _settled(self.document) == _settled(other.document)


def _settled(document: dict[str, Any] | None) -> dict[str, Any]:
    settled = {key: value for key, value in (document or {}).items() if key != "_links"}
    events = settled.get("events")
    if isinstance(events, dict) and isinstance(events.get("items"), list):
        settled["events"] = {**events, "items": sorted(map(str, events["items"]))}
    return settled
