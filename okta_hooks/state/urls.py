"""At which URL of its own an app answers for a hook."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from werkzeug.exceptions import HTTPException
from werkzeug.test import EnvironBuilder

from okta_hooks.exceptions import ConfigurationError

if TYPE_CHECKING:
    from flask import Flask


def url_of(app: Flask, hook: str, endpoint: str) -> str:
    """Return a URL at which an app takes deliveries to a hook, for requests within the process.

    :param hook: The hook's name.
    :param endpoint: The name of the endpoint that takes them.
    :raises ConfigurationError: if there is none.
    """
    tried = []
    for host in _hosts(app):
        adapter = app.url_map.bind(host, app.config["APPLICATION_ROOT"], url_scheme="https")
        tried.append(adapter.build(endpoint, force_external=True))
        if _is_at(app, tried[-1], endpoint):
            return tried[-1]
    raise ConfigurationError(
        f"This app does not answer for the hook {hook!r} at {' or '.join(tried)}. That depends on "
        "its subdomain_matching, host_matching, SERVER_NAME and TRUSTED_HOSTS."
    )


def _hosts(app: Flask) -> list[str]:
    """Return the names by which the app may be called, the best first."""
    server_name: str | None = app.config["SERVER_NAME"]
    if server_name and app.subdomain_matching:
        return [server_name]
    trusted: str | list[str] = app.config["TRUSTED_HOSTS"] or []
    listed = [trusted] if isinstance(trusted, str) else trusted
    # One that begins with a dot stands for itself, too.
    return [server_name or "localhost", *(name.removeprefix(".") for name in listed)]


def _is_at(app: Flask, url: str, endpoint: str) -> bool:
    """Return whether a POST to a URL comes to an endpoint of the app's."""
    parts = urlsplit(url)
    if not parts.netloc:  # host_matching, and a rule without a host: no request has none
        return False
    path = parts.path.removeprefix(app.config["APPLICATION_ROOT"].rstrip("/"))
    environ = EnvironBuilder(path, f"https://{parts.netloc}", method="POST").get_environ()
    try:
        adapter = app.create_url_adapter(app.request_class(environ))
        return adapter is not None and adapter.match(method="POST")[0] == endpoint
    except HTTPException:  # such as a host that is not trusted
        return False
