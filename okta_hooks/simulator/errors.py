"""Why the org refuses a request, in Okta's words.

https://developer.okta.com/docs/reference/error-codes/
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from okta_hooks.exceptions import OktaHooksError

if TYPE_CHECKING:
    from collections.abc import Mapping


class RequestRefused(OktaHooksError):
    """The org does not do what it was asked for.

    :param status: The status of the answer.
    :param code: Okta's error code, such as ``E0000007``.
    :param summary: What Okta says with that code.
    :param causes: What is wrong in particular.
    :param headers: Headers of the answer.
    """

    def __init__(
        self,
        status: int,
        code: str,
        summary: str,
        *causes: str,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(": ".join([f"{code} {summary}", *causes]))
        self.status = int(status)
        self.code = code
        self.summary = summary
        self.causes = causes
        self.headers = dict(headers or {})

    def as_json(self, error_id: str) -> dict[str, object]:
        """Return Okta's error object.

        :param error_id: What Okta's support would ask for.
        """
        return {
            "errorCode": self.code,
            "errorSummary": self.summary,
            "errorLink": self.code,
            "errorId": error_id,
            "errorCauses": [{"errorSummary": cause} for cause in self.causes],
        }


class TokenRefused(OktaHooksError):
    """The org gives no access token.

    https://developer.okta.com/docs/api/openapi/okta-oauth/oauth/tag/OrgAS/#tag/OrgAS/operation/token

    :param error: OAuth's name of the reason, such as ``invalid_client``.
    :param description: The reason in words.
    """

    def __init__(self, error: str, description: str) -> None:
        super().__init__(f"{error}: {description}")
        self.error = error
        self.description = description

    @property
    def status(self) -> int:
        """The status of the answer."""
        is_unknown = self.error == "invalid_client"
        return int(HTTPStatus.UNAUTHORIZED if is_unknown else HTTPStatus.BAD_REQUEST)

    def as_json(self) -> dict[str, object]:
        """Return OAuth's error object."""
        return {"error": self.error, "error_description": self.description}


def invalid(subject: str, *causes: str) -> RequestRefused:
    """Return the refusal of something that was read, but cannot be as it is."""
    return RequestRefused(
        HTTPStatus.BAD_REQUEST, "E0000001", f"Api validation failed: {subject}", *causes
    )


def not_verified(name: str, complaint: str) -> RequestRefused:
    """Return the refusal of a verification that the hook's endpoint has failed."""
    return invalid(
        "eventHook", f"Unable to verify event hook. Hook {name} execution failed", complaint
    )


def malformed(*causes: str) -> RequestRefused:
    """Return the refusal of a body that is not a JSON object."""
    return RequestRefused(
        HTTPStatus.BAD_REQUEST, "E0000003", "The request body was not well-formed.", *causes
    )


def no_date(name: str) -> RequestRefused:
    """Return the refusal of a parameter of the log that is no time."""
    causes = (
        "The date format in your query is not recognized. Please enter dates using ISO8601 string format.",
        "must be a valid date-time or empty.",
    )
    return invalid(
        " ".join(f"'{name}': {cause}" for cause in causes),
        *(f"{name}: {cause}" for cause in causes),
    )


def bad_filter(expression: str, cause: str) -> RequestRefused:
    """Return the refusal of a filter expression that cannot be read."""
    return RequestRefused(
        HTTPStatus.BAD_REQUEST, "E0000053", f"Invalid filter '{expression[:200]}': {cause}"
    )


def unknown_field(path: str) -> RequestRefused:
    """Return the refusal of a filter by what events do not have."""
    return RequestRefused(HTTPStatus.BAD_REQUEST, "E0000053", f"field is not valid: {path[:200]}")


def unsupported_comparison(operator: str, path: str) -> RequestRefused:
    """Return the refusal of a filter that compares a field to what it is not compared to."""
    return RequestRefused(
        HTTPStatus.BAD_REQUEST,
        "E0000031",
        "The supplied combination of operator and field is not currently supported. "
        f"Operator: {operator}, Field: {path}",
    )


def no_such_hook(hook_id: str) -> RequestRefused:
    """Return the refusal of a hook's id that the org does not know."""
    return not_found(f"Resource not found: {hook_id} (Webhook)")


def not_found(what: str) -> RequestRefused:
    """Return the refusal of what is not there."""
    return RequestRefused(HTTPStatus.NOT_FOUND, "E0000007", f"Not found: {what}")


def broken(status: int = HTTPStatus.INTERNAL_SERVER_ERROR) -> RequestRefused:
    """Return the refusal of a request that the org has failed at."""
    return RequestRefused(status, "E0000009", "Internal Server Error")


def wrong_token(scheme: str = "SSWS") -> RequestRefused:
    """Return the refusal of a token that is not the org's, that has expired, or that is absent.

    :param scheme: How it was sent: a ``Bearer`` is told in RFC 6750's words as well.
    """
    return RequestRefused(
        HTTPStatus.UNAUTHORIZED,
        "E0000011",
        "Invalid token provided",
        headers=_challenge(scheme, "invalid_token", "The access token is invalid"),
    )


def forbidden(scheme: str, permission: str) -> RequestRefused:
    """Return the refusal of a token that does not permit what was asked for.

    :param permission: What is missing.
    """
    return RequestRefused(
        HTTPStatus.FORBIDDEN,
        "E0000006",
        "You do not have permission to perform the requested action",
        headers=_challenge(
            scheme,
            "insufficient_scope",
            "The access token provided does not contain the required scopes.",
            scope=permission,
        ),
    )


def _challenge(scheme: str, error: str, description: str, **more: str) -> dict[str, str]:
    if scheme != "Bearer":
        return {}
    parts = {**more, "error": error, "error_description": description}
    told = ", ".join(f'{name}="{value}"' for name, value in parts.items())
    return {"WWW-Authenticate": f"Bearer {told}"}


def wrong_method() -> RequestRefused:
    """Return the refusal of a method that the path does not have."""
    return RequestRefused(
        HTTPStatus.METHOD_NOT_ALLOWED,
        "E0000022",
        "The endpoint does not support the provided HTTP method",
    )


def too_many_requests() -> RequestRefused:
    """Return the refusal of a request over the rate limit."""
    return RequestRefused(
        HTTPStatus.TOO_MANY_REQUESTS,
        "E0000047",
        "API call exceeded rate limit due to too many requests.",
    )


def for_status(status: int) -> RequestRefused:
    """Return the refusal that has a status: 401 as for a token that has expired, 429, or 500 to 599."""
    if status == HTTPStatus.UNAUTHORIZED:
        return wrong_token()
    return too_many_requests() if status == HTTPStatus.TOO_MANY_REQUESTS else broken(status)
