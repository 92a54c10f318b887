"""Apps that get access tokens for assertions which they sign with their private key.

https://developer.okta.com/docs/guides/implement-oauth-for-okta-serviceapp/main/
https://developer.okta.com/docs/api/openapi/okta-oauth/oauth/tag/OrgAS/#tag/OrgAS/operation/token
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from okta_hooks.exceptions import ConfigurationError

from .errors import TokenRefused

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

_ALGORITHMS: Final = ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512")
_ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
#: How far ahead an assertion may expire.
_LONGEST_LIFETIME: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _ServiceApp:
    """An app, its public key, what it may ask for, and the ids of the assertions that it has used."""

    client_id: str
    key: Any = field(repr=False)
    scopes: frozenset[str]
    used: set[str] = field(default_factory=set)


class ServiceApps:
    """The service apps of an org. It is not locked."""

    def __init__(self) -> None:
        self._apps: dict[str, _ServiceApp] = {}

    def add(
        self, client_id: str, public_key: str | Mapping[str, Any], scopes: frozenset[str]
    ) -> None:
        """Add an app.

        :raises ValueError: if the key is none.
        :raises ConfigurationError: if the extra ``okta`` is not installed.
        """
        if not isinstance(client_id, str) or not client_id:
            raise ValueError(f"The client id is a string that is not empty, not {client_id!r}.")
        key = _read_key(public_key)
        self._apps[client_id] = _ServiceApp(client_id=client_id, key=key, scopes=scopes)

    def scopes_for(self, form: Mapping[str, str], audience: str, now: datetime) -> tuple[str, ...]:
        """Return the scopes that a request for a token gets.

        :param form: What was sent.
        :param audience: The URL that it was sent to.
        :raises TokenRefused: if it gets none.
        """
        if form.get("grant_type") != "client_credentials":
            raise TokenRefused(
                "unsupported_grant_type", "A service app has the grant type client_credentials."
            )
        app = self._author(form, audience, now)
        scopes = tuple(dict.fromkeys(form.get("scope", "").split()))
        if not scopes or not app.scopes.issuperset(scopes):
            raise TokenRefused(
                "invalid_scope",
                "One or more scopes are not configured for the authorization server resource.",
            )
        return scopes

    def _author(self, form: Mapping[str, str], audience: str, now: datetime) -> _ServiceApp:
        """Return the app that has signed the assertion, which is used up by that."""
        if form.get("client_assertion_type") != _ASSERTION_TYPE:
            raise _unknown_client(f"client_assertion_type must be {_ASSERTION_TYPE}.")
        assertion = form.get("client_assertion", "")
        # Without an app, what checks signatures need not be installed.
        app = self._apps.get(_subject(assertion)) if self._apps else None
        if app is None:
            raise _unknown_client("The subject of the client_assertion is no service app.")
        claims = _verified(assertion, app, audience)
        expires = claims["exp"]
        if not isinstance(expires, int | float) or not (
            now.timestamp() < expires <= (now + _LONGEST_LIFETIME).timestamp()
        ):
            raise _unknown_client(
                "The client_assertion has expired, or expires in more than an hour."
            )
        used = claims.get("jti")
        if used is not None:
            if used in app.used:
                raise _unknown_client("The client_assertion has been used before.")
            app.used.add(used)
        return app


def _unknown_client(description: str) -> TokenRefused:
    return TokenRefused("invalid_client", description)


def _read_key(public_key: str | Mapping[str, Any]) -> Any:
    try:
        import jwt  # of an extra
        from cryptography.hazmat.primitives.serialization import (  # of an extra
            load_pem_public_key,
        )
    except ImportError:
        raise ConfigurationError(
            "To check what a service app has signed, PyJWT and cryptography are needed: "
            "pip install 'okta-hooks[okta]'"
        ) from None
    try:
        if isinstance(public_key, str):
            return load_pem_public_key(public_key.encode())
        if "d" not in public_key and public_key.get("kty") in ("RSA", "EC"):
            return jwt.PyJWK(dict(public_key)).key
    except Exception as error:  # what libraries raise for what is no key is their own affair
        raise ValueError("The public key is neither PEM nor a JWK that can be read.") from error
    raise ValueError("The public key is no public key of RSA or of an elliptic curve.")


def _subject(assertion: str) -> str:
    """Return whom an assertion says that it is of, which nothing has proved yet."""
    import jwt  # of an extra

    try:
        claims = jwt.decode(assertion, options={"verify_signature": False})
    except jwt.PyJWTError:
        return ""
    subject = claims.get("sub")
    return subject if isinstance(subject, str) else ""


def _verified(assertion: str, app: _ServiceApp, audience: str) -> dict[str, Any]:
    """Return the claims of an assertion that the app has signed for this org."""
    import jwt  # of an extra

    try:
        claims: dict[str, Any] = jwt.decode(
            assertion,
            app.key,
            algorithms=list(_ALGORITHMS),
            audience=audience,
            issuer=app.client_id,
            # What now is says the org's clock.
            options={
                "require": ["aud", "exp", "iss", "sub"],
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
            },
        )
    except (jwt.PyJWTError, TypeError, ValueError) as error:
        raise _unknown_client(f"The client_assertion cannot be trusted: {error}") from error
    return claims
