"""From where an org on the loopback may be called: not by a web page from elsewhere that a browser has open.

A browser sends such a page's requests to the loopback as well. ``Origin`` tells where a page comes from that acts.
Where a name was made to lead to the loopback (DNS rebinding), page and org have one origin; ``Host`` tells that name.
"""

from __future__ import annotations

import ipaddress
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask import request

from okta_hooks.origin import is_own

from .errors import RequestRefused

if TYPE_CHECKING:
    from flask import Flask

    from .org import Org


def add_check_of_callers(app: Flask, org: Org) -> None:
    """Let the app take only requests for the loopback, or the org's own host, and of pages from there."""

    @app.before_request
    def check_caller() -> None:
        own = _host(org.url)
        origin = request.headers.get("Origin")
        if not _may_be(_host(f"//{request.headers.get('Host', '')}"), own):
            raise _refused(
                "It takes requests for the loopback only, by their Host, or for the url of its Org"
            )
        if origin is not None and not _may_be(_host(origin), own):
            raise _refused("It takes no requests of web pages from elsewhere, by their Origin")


def check_own_page() -> None:
    """Let the request act only if a browser says that a page of this very address has made it.

    :raises RequestRefused: if none says so, as of a request without an origin.
    """
    if not is_own(request.headers, request.host, request.scheme):
        raise _refused("It takes this of its own page only, by Sec-Fetch-Site or Origin")


def _refused(cause: str) -> RequestRefused:
    return RequestRefused(
        HTTPStatus.FORBIDDEN, "E0000006", "The simulator is for this machine alone", cause
    )


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:  # such as a bracket that is not closed
        return ""


def _may_be(host: str, own: str) -> bool:
    if host and host in ("localhost", own):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
