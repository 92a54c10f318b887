"""What to do when an org refuses: Okta does not say it.

https://developer.okta.com/docs/reference/error-codes/
https://developer.okta.com/docs/api/openapi/okta-management/guides/permissions
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from okta_hooks.exceptions import OktaRefused

    from .credentials import Credentials

#: What the token endpoint says of a service app that may not have a scope.
_NOT_GRANTED: Final = ("access_denied", "consent_required", "invalid_scope")
#: What it says of one that has to prove possession of a key: https://www.rfc-editor.org/rfc/rfc9449#section-5
_DPOP: Final = ("invalid_dpop_proof", "use_dpop_nonce")
#: A time to come back that is further away is told as none.
_MOST_SECONDS_TOLD: Final = 86400.0
_EVENT_HOOKS: Final = "okta.eventHooks."


def cure(error: OktaRefused, permissions: Sequence[str], credentials: Credentials) -> str:
    """Return what to do about a refusal, as sentences with a blank in front, or nothing if that is not known.

    :param permissions: What was asked needs, such as ``okta.logs.read``: names of scopes.
    """
    advice = _of_code(error.code, permissions, credentials)
    if advice is None:
        advice = _of_status(error, permissions, credentials)
    return advice and f" {advice}"


def _of_code(code: str | None, permissions: Sequence[str], credentials: Credentials) -> str | None:
    if code in _DPOP:
        return _without_proof(credentials)
    if code in _NOT_GRANTED and permissions:
        return (
            f"This command needs {' and '.join(permissions)}: grant the service app these scopes at Okta, "
            "and name them in OKTA_CLIENT_SCOPES."
        )
    if code == "invalid_client":
        return (
            "The client id or the private key is not that of a service app of this org: see OKTA_CLIENT_CLIENTID and "
            "OKTA_CLIENT_PRIVATEKEY. A clock of this host that is wrong by minutes has the same effect."
        )
    return None


def _of_status(error: OktaRefused, permissions: Sequence[str], credentials: Credentials) -> str:
    if error.status == HTTPStatus.FORBIDDEN and permissions:
        return (
            f"This command needs {' and '.join(permissions)}. {_who_may(permissions, credentials)}"
        )
    if error.status == HTTPStatus.UNAUTHORIZED:
        return _not_let_in(credentials)
    if error.status == HTTPStatus.NOT_FOUND and error.code is None:
        return f"Is {credentials.url_from} the URL of an Okta org?"
    if error.status == HTTPStatus.TOO_MANY_REQUESTS:
        return (
            "Something else uses up the rate limit of the org or of this token: "
            "Reports > Rate Limits in the Admin Console shows what."
        )
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _trouble_of_okta(error.retry_after)
    return ""


def _trouble_of_okta(retry_after: float | None) -> str:
    when = "in some minutes"
    if retry_after is not None and retry_after <= _MOST_SECONDS_TOLD:
        when = f"in {retry_after:.0f} s, as it asks for"
    return f"The trouble is Okta's: try again {when}; https://status.okta.com says whether it is known."


def _without_proof(credentials: Credentials) -> str:
    if credentials.uses_dpop:
        return "OKTA_CLIENT_DPOPENABLED is set, and Okta does not accept the proof: is the clock of this host right?"
    return (
        "The service app requires DPoP: say OKTA_CLIENT_DPOPENABLED=true, or switch the requirement off at Okta, "
        "in the app's general settings (Proof of possession)."
    )


def _who_may(permissions: Sequence[str], credentials: Credentials) -> str:
    # Custom roles have had permissions for event hooks since December 2025.
    custom = [each.lower() for each in permissions if each.startswith(_EVENT_HOOKS)]
    roles = [f"a custom role with {' and '.join(custom)}"] if custom else []
    if "okta.logs.read" in permissions:
        roles.append("a role that may view the System Log, such as Read-only Administrator")
    who = "the administrator whose token it is"
    if credentials.is_service_app:
        who = "the service app, beside the scopes,"
    return f"At Okta {who} must have the role Super Administrator, or {' and '.join(roles)}."


def _not_let_in(credentials: Credentials) -> str:
    if credentials.is_service_app:
        return (
            "The service app (OKTA_CLIENT_CLIENTID) got a token, which the org does not accept: "
            f"is the app active, and {credentials.url_from} the org that it belongs to?"
        )
    said = (
        f"The token is wrong, expired or revoked, or another org's: see {credentials.token_from}."
    )
    if credentials.overrides_service_app:
        said += " It wins over the service app that is configured: unset it to use that."
    return said
