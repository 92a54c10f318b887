"""An event hook of an org, as the management API shows it.

https://developer.okta.com/docs/api/openapi/okta-management/management/tag/EventHook/
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from okta_hooks.wire.protocol import okta_time

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from .filters import HookFilter


@dataclass(frozen=True, slots=True, kw_only=True)
class HookSettings:
    """What an admin says of a hook. Its representation shows no secret."""

    name: str
    description: str | None
    event_types: tuple[str, ...]
    event_filter: HookFilter | None
    uri: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    auth_header: str | None
    secret: str | None = field(repr=False)

    @property
    def channel(self) -> tuple[object, ...]:
        """How the endpoint is called: what a verification is of."""
        return self.uri, self.headers, self.auth_header, self.secret

    def lets_through(self, event: dict[str, Any]) -> bool:
        """Return whether the filter, if there is one, lets an event of the hook's types through."""
        return self.event_filter is None or self.event_filter.lets_through(event)


@dataclass(slots=True, kw_only=True)
class SimulatedHook:
    """A hook of the simulated org."""

    id: str
    settings: HookSettings
    created: datetime
    last_updated: datetime
    is_active: bool = True
    is_verified: bool = False

    @property
    def receives(self) -> bool:
        """Whether events are delivered to it."""
        return self.is_active and self.is_verified

    def added_to(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return a request's headers with those that an admin has asked for, and the secret's.

        Where names are equal in any case, an admin's header replaces the request's, and the secret's replaces both.
        """
        given = [*headers.items(), *self.settings.headers]
        if self.settings.auth_header is not None and self.settings.secret is not None:
            given.append((self.settings.auth_header, self.settings.secret))
        return dict({key.lower(): (key, value) for key, value in given}.values())

    def as_json(self, org_url: str) -> dict[str, Any]:
        """Return the hook as the API shows it: all but the secret."""
        settings = self.settings
        href = f"{org_url}/api/v1/eventHooks/{self.id}"
        auth_scheme = None
        if settings.auth_header is not None:
            auth_scheme = {"type": "HEADER", "key": settings.auth_header}
        return {
            "id": self.id,
            "status": "ACTIVE" if self.is_active else "INACTIVE",
            "verificationStatus": "VERIFIED" if self.is_verified else "UNVERIFIED",
            "name": settings.name,
            "description": settings.description,
            "created": okta_time(self.created.replace(microsecond=0)),
            "createdBy": "00uSimulatedAdmin000",
            "lastUpdated": okta_time(self.last_updated.replace(microsecond=0)),
            "events": {
                "type": "EVENT_TYPE",
                "items": sorted(settings.event_types, key=_place_in_set),
                "filter": settings.event_filter and settings.event_filter.as_json(),
            },
            "channel": {
                "type": "HTTP",
                "version": "1.0.0",
                "config": {
                    "uri": settings.uri,
                    "headers": [{"key": key, "value": value} for key, value in settings.headers],
                    "method": "POST",
                    "authScheme": auth_scheme,
                },
            },
            "_links": self._links(href),
        }

    def _links(self, href: str) -> dict[str, Any]:
        changes = ("verify", "deactivate") if self.is_active else ("activate",)
        links: dict[str, Any] = {"self": {"href": href}}
        for change in changes:
            links[change] = {"href": f"{href}/lifecycle/{change}", "hints": {"allow": ["POST"]}}
        if not self.is_active:
            links["delete"] = {"href": href, "hints": {"allow": ["DELETE"]}}
        return links


def _place_in_set(event_type: str) -> int:
    """Return a key for the order in which Okta, which keeps a set, tells the types: nobody's, and always the same."""
    return zlib.crc32(event_type.encode())
