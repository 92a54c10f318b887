"""The network between this host and the org: a proxy, and a company's own certificates.

They are configured by the variables that other programs go by, of which Okta's SDK knows a part.
"""

from __future__ import annotations

import ipaddress
import os
import re
import ssl
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]

from okta_hooks.exceptions import ConfigurationError

from .urls import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Beside SSL_CERT_FILE and SSL_CERT_DIR, which OpenSSL reads itself. The first that is set counts, as for requests.
_BUNDLES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
#: What OpenSSL looks for in a folder: https://docs.openssl.org/3.0/man1/openssl-rehash/
_HASHED_NAME: Final = re.compile(r"[0-9a-f]{8}\.[0-9]+")
# https://docs.openssl.org/3.0/man3/X509_STORE_CTX_get_error/
_NOT_YET_VALID: Final = 9
_EXPIRED: Final = 10
_OF_ANOTHER_HOST: Final = (62, 64)

CONNECTION_CURE: Final = (
    "May this host call it? Is there a firewall between, or a proxy to name in https_proxy?"
)
_NO_PROXY_CURE: Final = "no_proxy names the hosts that need no proxy."


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """The proxy for an org, if there is one, and where it is configured."""

    url: str | None = None
    configured_in: str | None = None

    @property
    def has_login(self) -> bool:
        """Whether its URL has a user or a password in it."""
        return self.url is not None and "@" in urlsplit(self.url).netloc

    @property
    def is_of_sdk(self) -> bool:
        """Whether it is configured for Okta's SDK alone."""
        return self.configured_in == _SDK

    @property
    def cure(self) -> str:
        """What to look at if it cannot be connected to."""
        others = "" if self.is_of_sdk else f" {_NO_PROXY_CURE}"
        return f"The proxy is the one in {self.configured_in}: is it spelt right, and up?{others}"

    @property
    def connection_cure(self) -> str:
        """What to look at if the org does not answer, with a proxy before it or without."""
        if self.url is None:
            return CONNECTION_CURE
        others = "" if self.is_of_sdk else f" {_NO_PROXY_CURE}"
        return (
            f"Requests to the org go through the proxy in {self.configured_in}: "
            f"does it let this host call the org?{others}"
        )


_SDK: Final = "OKTA_CLIENT_PROXY_HOST, or in okta.yaml"


def proxy_of_sdk(configured: Mapping[str, Any] | None) -> Proxy | None:
    """Return the proxy that is configured for Okta's SDK alone, or None.

    :param configured: The section ``proxy`` of its configuration.
    """
    if not configured:
        return None
    login = "user@" if configured.get("username") else ""
    return Proxy(url=f"http://{login}{configured.get('host')}", configured_in=_SDK)


def proxy_for(url: str) -> str | None:
    """Return the URL of the proxy for an org, or None: see :func:`find_proxy`."""
    return find_proxy(url).url


def find_proxy(url: str) -> Proxy:
    """Return the proxy for an org: ``https_proxy``, ``all_proxy``, ``http_proxy``, but for ``no_proxy``.

    A host on the loopback needs none: a proxy elsewhere cannot reach it.

    :raises ConfigurationError: if it is no URL, or of a kind that cannot be used.
    """
    known = getproxies_environment()
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    if _is_loopback(parts.hostname or "") or proxy_bypass_environment(
        f"{parts.hostname}{port}", known
    ):
        return Proxy()
    kind = next((each for each in (parts.scheme, "all", "http") if known.get(each)), None)
    if kind is None:
        return Proxy()
    proxy = known[kind]
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    name = _variable(kind)
    _check_proxy(name, proxy)
    return Proxy(url=proxy, configured_in=name)


def _variable(kind: str) -> str:
    # In lower case it wins over any other spelling.
    name = f"{kind}_proxy"
    spelt = [each for each, value in os.environ.items() if value and each.lower() == name]
    return name if name in spelt or not spelt else spelt[0]


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_proxy(name: str, proxy: str) -> None:
    try:
        parts = urlsplit(proxy)
        # Behind a # or a / in a password everything is taken for something else.
        is_url = bool(parts.hostname) and parts.port != 0
        is_url = is_url and "@" not in f"{parts.path}{parts.query}{parts.fragment}"
    except ValueError:  # such as a port that is no number
        is_url = False
    if not is_url:
        raise ConfigurationError(
            f"{name} is no URL: it must be like http://user:password@host:port. Escape special characters in user and "
            "password, such as %23 for # and %2F for /."
        )
    if parts.scheme not in ("http", "https"):
        raise ConfigurationError(
            f"The proxy {shown(proxy)} in {name} cannot be used: it must be an http:// or https:// proxy. "
            f"{_NO_PROXY_CURE}"
        )


def certificates() -> ssl.SSLContext:
    """Return what certificates are trusted: the system's, and those that the environment names.

    :raises ConfigurationError: if these cannot be read.
    """
    context = ssl.create_default_context()
    name = next((each for each in _BUNDLES if os.environ.get(each)), None)
    # OpenSSL reads SSL_CERT_FILE, and says nothing if it cannot.
    for each in (name, "SSL_CERT_FILE"):
        if each is not None and os.environ.get(each):
            _trust(context, each, os.environ[each], takes_folder=each == name)
    return context


def _trust(context: ssl.SSLContext, name: str, place: str, *, takes_folder: bool) -> None:
    try:
        if takes_folder and os.path.isdir(place):  # noqa: PTH112 - it is a name as OpenSSL takes it
            if not any(map(_HASHED_NAME.fullmatch, os.listdir(place))):  # noqa: PTH208 - as above
                raise ConfigurationError(
                    f"{name} is {place!r}, a folder without certificates that OpenSSL would find: "
                    "openssl rehash gives them the names that it looks for."
                )
            context.load_verify_locations(capath=place)
        else:
            context.load_verify_locations(cafile=place)
    except ssl.SSLError as error:
        raise ConfigurationError(
            f"{name} is {place!r}, which holds no certificates that can be read: "
            "it must be a file of them in PEM, or a folder as OpenSSL has it."
        ) from error
    except OSError as error:
        raise ConfigurationError(f"{name} is {place!r}: {error.strerror}.") from error


def certificate_cure(error: BaseException) -> str:
    """Return what to do about a certificate that is not accepted."""
    code = getattr(error, "verify_code", None)
    if code in (_NOT_YET_VALID, _EXPIRED):
        return (
            "The time for which the certificate is valid is over, or has not begun: is the clock of this host right? "
            "If it is, whoever runs that server, or a proxy before it, has to renew the certificate."
        )
    if code in _OF_ANOTHER_HOST:
        return (
            "The certificate is that of another host: is the org's address spelt right, and does a proxy or "
            "a custom domain without a certificate of its own answer in its place?"
        )
    return (
        "Nobody who is trusted here has signed the certificate. A proxy of your company may show one that the company "
        "has signed: REQUESTS_CA_BUNDLE or SSL_CERT_FILE names a file with the certificate of who has signed it."
    )


def refused_by_proxy(url: str, status: int, proxy: Proxy | None = None) -> str:
    """Return in words that a proxy did not let a request to the org pass.

    :param proxy: The proxy, or None if it is not known.
    """
    proxy = proxy or Proxy(configured_in="https_proxy")
    said = f"{url} cannot be reached: the proxy answered {status}."
    if status != HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return f"{said} {proxy.cure if proxy.is_of_sdk else _NO_PROXY_CURE}"
    place, form = proxy.configured_in, f"{proxy.configured_in}=http://user:password@host:port"
    if proxy.is_of_sdk:
        place = form = "OKTA_CLIENT_PROXY_USERNAME and OKTA_CLIENT_PROXY_PASSWORD"
    if proxy.has_login:
        return f"{said} It does not accept the user or the password in {place}."
    return f"{said} It wants a user and a password: {form}."
