"""What an org tells of itself.

https://developer.okta.com/docs/api/openapi/okta-management/management/tag/OrgSettingGeneral/
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from .org import Org

_CREATED: Final = "2019-01-01T00:00:00.000Z"
_UNSET: Final = (
    "website",
    "address1",
    "address2",
    "city",
    "state",
    "postalCode",
    "country",
    "phoneNumber",
    "supportPhoneNumber",
    "endUserSupportHelpURL",
    "expiresAt",
)
#: What stands behind these links, the simulator does not have.
_LINKS: Final = {
    "preferences": ("preferences", "GET"),
    "uploadLogo": ("logo", "POST"),
    "oktaCommunication": ("privacy/oktaCommunication", "GET"),
    "oktaSupport": ("privacy/oktaSupport", "GET"),
    "contacts": ("contacts", "GET"),
}


def metadata(org: Org) -> dict[str, Any]:
    """Return what anybody may know of an org, without a token.

    https://developer.okta.com/docs/api/openapi/okta-management/management/tag/OrgSettingMetadata/
    """
    links = {"organization": {"href": org.url}}
    if org.custom_url is not None:
        links["alternate"] = {"href": org.custom_url}
    return {"id": org.id, "pipeline": "idx", "_links": links}


def settings(org: Org) -> dict[str, Any]:
    """Return the general settings of an org. Nobody has filled in an address."""
    links = {
        name: {"href": f"{org.url}/api/v1/org/{path}", "hints": {"allow": [method]}}
        for name, (path, method) in _LINKS.items()
    }
    return {
        "id": org.id,
        "subdomain": str(urlsplit(org.url).hostname).partition(".")[0],
        "companyName": "Simulated",
        "status": "ACTIVE",
        "created": _CREATED,
        "lastUpdated": _CREATED,
        **dict.fromkeys(_UNSET),
        "_links": links,
    }
