"""Which org is meant, and with what an app authenticates to it: checked before anything is sent."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from okta_hooks.exceptions import ConfigurationError

from .urls import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from okta_hooks.secret import Secret
    from okta_hooks.settings import Settings

_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_ADMIN_CONSOLE: Final = "-admin"
_SERVICE_APP: Final = "PrivateKey"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """With what the commands authenticate: where the token is configured, or None for a service app.

    ``url_from`` is where the org's URL is configured,
    ``overrides_service_app`` is whether a service app is configured beside the token, ``uses_dpop`` whether a service
    app proves possession of a key.
    """

    token_from: str | None
    url_from: str = "OKTA_HOOKS_ORG_URL"
    overrides_service_app: bool = False
    uses_dpop: bool = False

    @property
    def is_service_app(self) -> bool:
        """Whether it is a service app."""
        return self.token_from is None


def used(settings: Settings, client: Mapping[str, Any]) -> Credentials:
    """Return with what is authenticated.

    :param client: As for :func:`check`, which has been content with it.
    """
    url_from = _source(settings.org_url, "OKTA_HOOKS_ORG_URL", "OKTA_CLIENT_ORGURL")
    if client["authorizationMode"] == _SERVICE_APP:
        return Credentials(
            token_from=None, url_from=url_from, uses_dpop=bool(client.get("dpopEnabled"))
        )
    return Credentials(
        token_from=_token_from(settings),
        url_from=url_from,
        overrides_service_app=bool(client.get("privateKey")),
    )


def _token_from(settings: Settings) -> str:
    return _source(settings.api_token, "OKTA_HOOKS_API_TOKEN", "OKTA_CLIENT_TOKEN")


def _source(setting: str | Secret | None, key: str, variable: str) -> str:
    """Return where a value comes from: the app's setting wins over the SDK's variable, and that over its file."""
    if setting is not None:
        return key
    return variable if variable in os.environ else "okta.yaml"


class OrgNotConfigured(ConfigurationError):
    """No org is named, neither by the app's settings nor by the configuration of Okta's SDK."""


def sdk_is_missing(settings: Settings) -> ConfigurationError:
    """Return the error to raise where Okta's SDK, which may know the org from a file of its own, is not installed."""
    kind = ConfigurationError if _is_org_named(settings) else OrgNotConfigured
    return kind("To talk to Okta its SDK is needed: pip install 'okta-hooks[okta]'")


def check(settings: Settings, client: Mapping[str, Any]) -> None:
    """Check the org's URL and the credentials.

    :param client: The section ``client`` of the SDK's configuration, with the app's settings in it.
    :raises OrgNotConfigured: if nothing names an org.
    :raises ConfigurationError: if the URL or the token cannot be right.
    """
    url = client["orgUrl"]
    if not url:
        kind = ConfigurationError if _is_org_named(settings) else OrgNotConfigured
        raise kind(
            "OKTA_HOOKS_ORG_URL is not set: it is the URL of the Okta org, such as https://acme.okta.com."
        )
    url_from = _source(settings.org_url, "OKTA_HOOKS_ORG_URL", "OKTA_CLIENT_ORGURL")
    if not _is_of_an_org(url):
        # What stands before an @ may be a password, and what begins otherwise a token.
        found = "is no such URL"
        if "@" in url:
            found = "has an @ in it"
        elif url.startswith(("https://", "http://")):
            found = f"is {shown(url)!r}"
        raise ConfigurationError(
            f"{url_from} {found}: it must be https:// and a host, and nothing behind it."
        )
    if (meant := _org_of_console(url)) is not None:
        raise ConfigurationError(
            f"{url_from} is {url!r}, which is the Admin Console of the org: say {meant}"
        )
    if client["authorizationMode"] == _SERVICE_APP:
        return
    token = client.get("token", "")
    if not token and (client.get("clientId") or client.get("privateKey")):
        raise ConfigurationError(
            "A service app is configured, and not used: say OKTA_CLIENT_AUTHORIZATIONMODE=PrivateKey, too. "
            "For a token instead, OKTA_HOOKS_API_TOKEN is not set."
        )
    if not token:
        raise ConfigurationError(
            "OKTA_HOOKS_API_TOKEN is not set: create a token at Okta, under Security > API > Tokens, "
            "or configure a service app as Okta's SDK has it (OKTA_CLIENT_AUTHORIZATIONMODE=PrivateKey)."
        )
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise ConfigurationError(
            f"{_token_from(settings)} holds a blank, a line break or another character that no token has: "
            "give the token alone, without SSWS."
        )


def _is_org_named(settings: Settings) -> bool:
    # An empty value counts: it is a mistake to tell of, while no value at all may be meant.
    return settings.org_url is not None or "OKTA_CLIENT_ORGURL" in os.environ


def _org_of_console(url: str) -> str | None:
    """Return the address of the org if this is that of its Admin Console, such as ``acme-admin.okta.com``."""
    name, _, domain = (urlsplit(url).hostname or "").partition(".")
    if not name.endswith(_ADMIN_CONSOLE) or not domain.startswith("okta"):
        return None
    return f"https://{name.removesuffix(_ADMIN_CONSOLE)}.{domain}"


def _is_of_an_org(url: str) -> bool:
    try:
        parts = urlsplit(url)
        is_host = bool(parts.hostname) and parts.port != 0
    except ValueError:  # such as a port that is no number
        return False
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
    is_bare = not (parts.path or parts.query or parts.fragment or "@" in url)
    return is_host and is_safe and is_bare
