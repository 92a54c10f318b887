"""What Okta takes to create or replace a hook.

https://developer.okta.com/docs/api/openapi/okta-management/management/tag/EventHook/
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Collection

    from okta_hooks.secret import Secret

    from .hooks import RegisteredHook
    from .subscription import Plan

#: What Okta says of a hook and takes from nobody.
OF_OKTA: Final = frozenset(
    ("id", "status", "verificationStatus", "created", "createdBy", "lastUpdated", "_links")
)


def body(plan: Plan, secret: Secret | None) -> dict[str, Any]:
    """Return what Okta takes to create or replace the hook of a plan. It holds the secret, which does not show in it.

    A replacement drops what it does not mention, so it begins with the document as it was read.

    :param secret: The first live one: Okta never tells the one that it has.
    """
    live = plan.live
    document = copy.deepcopy((live and live.document) or {})
    made: dict[str, Any] = {
        key: value
        for key, value in document.items()
        # Without a status: one that was read would undo a deactivation in this moment.
        if key not in OF_OKTA
    }
    made["name"] = plan.name
    events = _object_in(made, "events")
    events |= {"type": "EVENT_TYPE", "items": list(plan.types)}
    if live and (kept := _filter(live, plan.types)):
        events["filter"] = kept
    else:
        events.pop("filter", None)
    channel = _object_in(made, "channel")
    channel |= {"type": "HTTP", "version": channel.get("version") or "1.0.0"}
    config = _object_in(channel, "config")
    config["uri"] = plan.url
    config["headers"] = config.get("headers") or []
    if plan.auth_header is None:
        config.pop("authScheme", None)
    else:
        scheme = _object_in(config, "authScheme")
        scheme |= {"type": "HEADER", "key": plan.auth_header, "value": secret}
    return {key: value for key, value in made.items() if value is not None}


def _filter(live: RegisteredHook, types: Collection[str]) -> dict[str, Any] | None:
    """Return an administrator's filters as far as they are for these types."""
    given = (live.events.filter if live.events else None) or {}
    kept = [entry for entry in live.filter_entries if entry.get("event") in types]
    return {**given, "eventFilterMap": kept} if kept else None


def _object_in(parent: dict[str, Any], key: str) -> dict[str, Any]:
    if not isinstance(parent.get(key), dict):
        parent[key] = {}
    found: dict[str, Any] = parent[key]
    return found
