"""What the events of a family have in common: whom they are about, who did it, how it ended."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Family(NamedTuple):
    """What the events below a prefix have in common.

    ``targets`` are types, None stands for one type named after the event type.
    ``actor`` is ``"admin"``, ``"self"`` (the person it is about) or ``"system"``.
    """

    targets: tuple[str, ...] | None = None
    actor: str = "admin"
    signs_in: bool = False
    debug: Mapping[str, str] = {}


_OTHER = Family()
_FAMILIES: Mapping[str, Family] = {
    "app": Family(("AppInstance",)),
    "app.oauth2": Family(("AppInstance",), "self", debug={"grantedScopes": "openid, profile"}),
    "application": Family(("AppInstance",)),
    "application.policy": Family(("AppInstance",), "self"),
    "application.provision.user": Family(("AppUser", "AppInstance"), "system"),
    "application.user_membership": Family(("AppUser", "AppInstance", "User")),
    "device": Family(("Device",)),
    "device.enrollment": Family(("Device", "User"), "self"),
    "device.user": Family(("Device", "User")),
    "group": Family(("UserGroup",)),
    "group.application_assignment": Family(("UserGroup", "AppInstance")),
    "group.privilege": Family(("UserGroup", "ROLE")),
    "group.user_membership": Family(
        ("User", "UserGroup"), debug={"threatSuspected": "false", "triggeredByGroupRuleId": "null"}
    ),
    "policy": Family(("PolicyEntity",)),
    "policy.auth_reevaluate": Family(("PolicyEntity", "User"), "system"),
    "policy.branch.rule": Family(("PolicyRule", "PolicyEntity")),
    "policy.rule": Family(("PolicyRule", "PolicyEntity")),
    "security.breached_credential": Family(("User",), "system"),
    "security.threat": Family((), "system"),
    "system": Family(actor="system"),
    "system.api_token": Family(),
    "system.email": Family(("User",), "system"),
    "system.idp": Family(),
    "system.log_stream": Family(),
    "system.org": Family((), "system", debug={"bucketName": "", "operationRateLimitType": "web"}),
    "system.sms": Family(("User",), "system", debug={"phoneNumber": "XXX-XXX-0100"}),
    "system.voice": Family(("User",), "system", debug={"phoneNumber": "XXX-XXX-0100"}),
    "user": Family(("User",)),
    "user.account.lock": Family(("User",), "self"),
    "user.account.privilege": Family(
        ("User", "ROLE"), debug={"privilegeGranted": "Help desk administrator"}
    ),
    "user.account.report_suspicious_activity_by_enduser": Family(("User",), "self"),
    "user.account.update_password": Family(("User",), "self"),
    "user.authentication": Family(("User",), "self", signs_in=True),
    "user.authentication.sso": Family(("AppInstance", "AppUser"), "self", signs_in=True),
    "user.credential": Family(("User",), "self"),
    "user.mfa": Family(("User",), "self", debug={"factor": "OKTA_VERIFY_PUSH"}),
    "user.risk": Family(("User",), "system", debug={"risk": "{level=HIGH}"}),
    "user.session": Family((), "self", signs_in=True),
    "user.session.clear": Family(("User",)),
}
#: Words of event types that failed, with the result and the reason of the outcome.
FAILURES: Mapping[str, tuple[str, str]] = {
    "deny": ("DENY", "Sign-on policy evaluation resulted in DENY"),
    "error": ("FAILURE", "The other side answered with an error"),
    "exceeded": ("FAILURE", "A limit was exceeded"),
    "fail": ("FAILURE", "Policy requirements are not met"),
    "failed": ("FAILURE", "The other side answered with an error"),
    "lock": ("FAILURE", "LOCKED_OUT"),
    "outside": ("FAILURE", "The address is outside the allowed range"),
    "roadblock": ("FAILURE", "Too many assignments would be removed"),
    "violation": ("RATE_LIMIT", "Too many requests"),
}


def family_of(event_type: str) -> Family:
    """Return the family of an event type: the one with the longest prefix of whole segments."""
    segments = event_type.split(".")
    for length in range(len(segments), 0, -1):
        family = _FAMILIES.get(".".join(segments[:length]))
        if family is not None:
            return family
    return _OTHER


def named_after(event_type: str) -> str:
    """Return a type of target for events of which no more is known: ``zone.create`` has a ``Zone``."""
    nouns = event_type.split(".")[:-1] or [event_type]
    noun = nouns[1] if len(nouns) > 1 and nouns[1] != "lifecycle" else nouns[0]
    return "".join(word.capitalize() for word in re.split(r"[_-]", noun))
