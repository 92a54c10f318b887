"""Whether a request comes from a page of the host that it is sent to: what acts takes no other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from werkzeug.datastructures import Headers

_PORTS: Final = {"http": "80", "https": "443"}


def is_own(headers: Headers, host: str, scheme: str) -> bool:
    """Return whether a browser says that a page of this host, with the same port, has sent a request.

    Browsers send ``Sec-Fetch-Site`` to hosts that they trust, and ``Origin`` with every POST.
    https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/Sec-Fetch-Site

    :param host: The host and port of the request, as the app sees it.
    :param scheme: The scheme of the request, as the app sees it. With ``"https"`` no page that came by HTTP is own,
        for anybody between may have changed it. Behind a proxy that ends TLS the app may see ``"http"`` of either.
    """
    site = headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    origin = headers.get("Origin", "")
    try:
        parts = urlsplit(origin)
    except ValueError:  # such as a bracket that is not closed
        return False
    port = _PORTS.get(parts.scheme)
    if port is None or f"{parts.scheme}://{parts.netloc}" != origin:
        return False
    if scheme == "https" != parts.scheme:
        return False
    return parts.netloc.lower().removesuffix(f":{port}") == host.lower().removesuffix(f":{port}")
