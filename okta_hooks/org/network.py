"""What stands between this host and the org: a proxy, and a company's own certificates.

They are configured by the variables that other programs go by, of which Okta's SDK knows a part.
"""

from __future__ import annotations

import os
import ssl
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]

from okta_hooks.exceptions import ConfigurationError

from .urls import shown

#: Beside SSL_CERT_FILE and SSL_CERT_DIR, which OpenSSL reads itself. The first that is set counts, as for requests.
_BUNDLES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")

PROXY_CURE: Final = (
    "The proxy is the one in https_proxy or all_proxy; no_proxy names the hosts that need none."
)
CERTIFICATE_CURE: Final = (
    "Whose certificate is not trusted may be a proxy of your company: REQUESTS_CA_BUNDLE or SSL_CERT_FILE "
    "names a file with the certificate of who has signed it."
)


def proxy_for(url: str) -> str | None:
    """Return the proxy for an org, or None: ``https_proxy``, ``all_proxy``, ``http_proxy``, but for ``no_proxy``.

    :raises ConfigurationError: if it is of a kind that cannot be used.
    """
    known = getproxies_environment()
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    if proxy_bypass_environment(f"{parts.hostname}{port}", known):
        return None
    proxy = known.get(parts.scheme) or known.get("all") or known.get("http")
    if not proxy:
        return None
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    if urlsplit(proxy).scheme not in ("http", "https"):
        raise ConfigurationError(
            f"The proxy {shown(proxy)} cannot be used: it must be an http:// or https:// proxy. {PROXY_CURE}"
        )
    return proxy


def certificates() -> ssl.SSLContext:
    """Return what certificates are trusted: the system's, and those that the environment names.

    :raises ConfigurationError: if these cannot be read.
    """
    context = ssl.create_default_context()
    name = next((each for each in _BUNDLES if os.environ.get(each)), None)
    if name is not None:
        place = os.environ[name]
        try:
            if os.path.isdir(place):  # noqa: PTH112 - it is a name as OpenSSL takes it
                context.load_verify_locations(capath=place)
            else:
                context.load_verify_locations(cafile=place)
        except OSError as error:  # an SSLError is one, too
            raise ConfigurationError(
                f"{name} is {place!r}, which holds no certificates that can be read: "
                "it must be a file of them in PEM, or a folder as OpenSSL has it."
            ) from error
    return context


def refused_by_proxy(url: str, status: int) -> str:
    """Return in words that a proxy did not let a request to the org pass."""
    cure = "no_proxy names the hosts that need no proxy."
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        cure = "It wants a user and a password: https_proxy=http://user:password@host:port."
    return f"{url} cannot be reached: the proxy answered {status}. {cure}"
