"""With what the API of an org may be used, and for what.

https://developer.okta.com/docs/api/oauth2/
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from okta_hooks.testing import make_id

from . import errors
from .service_apps import ServiceApps

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Mapping
    from datetime import datetime

#: What the parts of the API ask for; a permission to manage is one to read, too.
PERMISSIONS: Final = (
    "okta.eventHooks.manage",
    "okta.eventHooks.read",
    "okta.logs.read",
    "okta.orgs.manage",
    "okta.orgs.read",
)
_TOKEN_LIFETIME: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Token:
    """What a token permits, and until when. ``scheme`` is how it is sent."""

    permissions: frozenset[str]
    scheme: str
    expires: datetime | None = None

    def has_expired(self, now: datetime) -> bool:
        """Whether its time is over."""
        return self.expires is not None and self.expires <= now

    def permits(self, permission: str) -> bool:
        """Whether it may be used for that."""
        managing = permission.removesuffix(".read") + ".manage"
        return not self.permissions.isdisjoint({permission, managing})


class Grant(NamedTuple):
    """An access token that a service app got."""

    token: str
    scopes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return it as Okta answers with it."""
        return {
            "token_type": "Bearer",
            "expires_in": int(_TOKEN_LIFETIME.total_seconds()),
            "access_token": self.token,
            "scope": " ".join(self.scopes),
        }


class Access:
    """The API tokens of an org beside its own, its service apps, and the access tokens that these got.

    :param rng: Draws the access tokens.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._lock = threading.Lock()
        self._tokens: dict[str, _Token] = {}
        self._apps = ServiceApps()

    def add_token(self, token: str, permissions: Iterable[str]) -> None:
        """Add an API token of an administrator who may not do everything.

        :param permissions: What it may be used for, such as ``["okta.eventHooks.read"]``: Okta's names of scopes.
        :raises ValueError: if there is no such permission.
        """
        known = _permissions(permissions)
        if not isinstance(token, str) or not token:
            raise ValueError(f"token is a string that is not empty, not {token!r}.")
        with self._lock:
            self._tokens[token] = _Token(permissions=known, scheme="SSWS")

    def add_service_app(
        self, client_id: str, public_key: str | Mapping[str, Any], scopes: Iterable[str]
    ) -> None:
        """Add an app that gets access tokens from ``/oauth2/v1/token`` for assertions that it has signed.

        :param public_key: Its public key, as PEM or as a JWK.
        :param scopes: What it may ask for, such as ``["okta.eventHooks.manage", "okta.logs.read"]``.
        :raises ValueError: if there is no such scope, or the key is none.
        :raises ConfigurationError: if the extra ``okta`` is not installed, which has what checks signatures.
        """
        known = _permissions(scopes)
        with self._lock:
            self._apps.add(client_id, public_key, known)

    def grant(self, form: Mapping[str, str], audience: str, now: datetime) -> Grant:
        """Give an access token to a service app.

        :param form: What it has sent.
        :param audience: The URL that it has sent that to.
        :raises TokenRefused: if it gets none.
        """
        with self._lock:
            scopes = self._apps.scopes_for(form, audience, now)
            token = make_id("eyJ", self._rng) + make_id("", self._rng)
            self._tokens[token] = _Token(
                permissions=frozenset(scopes), scheme="Bearer", expires=now + _TOKEN_LIFETIME
            )
        return Grant(token, scopes)

    def check(self, authorization: str, permission: str | None, now: datetime) -> None:
        """Check what a request is authorized with.

        :param authorization: The header of that name.
        :param permission: What the request needs; None if nothing that has a name.
        :raises RequestRefused: if it is not enough.
        """
        scheme, text = _split(authorization)
        with self._lock:
            token = self._tokens.get(text)
        if token is None or token.scheme != scheme or token.has_expired(now):
            raise errors.wrong_token(scheme)
        if permission is not None and not token.permits(permission):
            raise errors.forbidden(scheme, permission)


def _split(authorization: str) -> tuple[str, str]:
    """Return scheme and token. The official SDK's typed calls leave the space of ``SSWS`` out."""
    for scheme in ("SSWS", "Bearer"):
        if authorization.startswith(f"{scheme} "):
            return scheme, authorization.removeprefix(f"{scheme} ")
    if authorization.startswith("SSWS"):
        return "SSWS", authorization.removeprefix("SSWS")
    return "", ""


def _permissions(names: Iterable[str]) -> frozenset[str]:
    if isinstance(names, str):
        raise ValueError(f"permissions are a list: write [{names!r}], not {names!r}.")
    known = frozenset(names)
    if unknown := known - set(PERMISSIONS):
        raise ValueError(
            f"No such permission: {', '.join(sorted(map(str, unknown)))}. There are: {', '.join(PERMISSIONS)}."
        )
    return known
