"""What is looked at when a hook is registered: whether it can work here at all. Nothing is opened or made."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from flask import Flask

from okta_hooks.exceptions import ConfigurationError

if TYPE_CHECKING:
    from flask.sansio.app import App

    from okta_hooks.secret import Secret

_KEY = "OKTA_HOOKS_INBOX"


def flask_app(app: App) -> Flask:
    """Return what a blueprint is registered with.

    :raises ConfigurationError: if it is not an app of Flask's.
    """
    if not isinstance(app, Flask):
        kind = type(app)
        raise ConfigurationError(
            f"An EventHook is a blueprint for Flask, and this is a {kind.__module__}.{kind.__qualname__}. "
            "Register it with a Flask app, and serve that beside yours, at a path of its own."
        )
    return app


def check_url(app: Flask, hook: str, prefix: str, subdomain: str | None) -> None:
    """Look at where a hook is to answer.

    :param prefix: The whole path, with those of the blueprints around the hook's.
    :raises ConfigurationError: if that has variables, or something else answers to GET or POST there.
    """
    for part in (prefix, subdomain or ""):
        if "<" in part:
            raise ConfigurationError(
                f"The URL of the hook {hook!r} has a variable: {part!r}. Okta delivers to one URL: "
                "give each hook one without variables, with url_prefix=."
            )
    if app.url_map.host_matching:
        return
    where = subdomain or app.url_map.default_subdomain
    there = [
        rule
        for rule in app.url_map.iter_rules()
        if not (rule.build_only or rule.websocket)  # these answer to no request
        and rule.rule.rstrip("/") == prefix.rstrip("/")
        and (rule.subdomain or "") == where
    ]
    for method, what in (("POST", "nothing"), ("GET", "no verification")):
        for rule in there:
            if rule.methods is None or method in rule.methods:
                raise ConfigurationError(
                    f"The hook {hook!r} would get {what}: the endpoint {rule.endpoint!r} of this app already "
                    f"answers to {method} at {rule.rule}. Give the hook another path: "
                    f"EventHook({hook!r}, url_prefix=...)."
                )


def check_inbox(app: Flask, url: Secret | None) -> None:
    """Look at whether the inbox can be opened in this Python, and its file made in its folder.

    :param url: One that the settings have let pass.
    :raises ConfigurationError: if not.
    """
    if url is None:
        return
    scheme, path = _parts(url)
    if scheme != "sqlite":
        if not _has("psycopg"):
            raise ConfigurationError(
                f"{_KEY} is on PostgreSQL, and its driver is not installed: "
                "pip install 'okta-hooks[postgresql]'."
            )
        return
    if not _has("fcntl"):
        raise ConfigurationError(
            f"{_KEY} is an SQLite file, which needs the file locks of a POSIX system. Here, use PostgreSQL."
        )
    if not app.testing:  # then the tests' own inbox comes in its place
        _check_folder(Path(app.instance_path, path).parent)


def _parts(url: Secret) -> tuple[str, str]:
    """Return the scheme of an inbox's URL, and if that is of a file its path: what else it has may be secret."""
    scheme, _, rest = url.reveal().partition("://")
    return scheme, rest.partition("?")[0].removeprefix("/") if scheme == "sqlite" else ""


def _check_folder(folder: Path) -> None:
    """Look at the folder of the file, or at that in which it would be made."""
    there = folder
    while not os.path.exists(there) and there != there.parent:  # noqa: PTH110 - that of `Path` raises where it may not look
        there = there.parent
    if not there.is_dir():
        problem = f"{there} is no folder"
    elif not os.access(there, os.W_OK | os.X_OK):
        problem = f"the user {os.getuid()} may not write to {there}, which belongs to the user {there.stat().st_uid}"
    else:
        return
    raise ConfigurationError(
        f"{_KEY} is an SQLite file in {folder}, and {problem}. Let this user write there "
        "(to a volume: chown it, or run the app as its owner), "
        "or name another file, with its whole path: sqlite:////var/lib/app/okta_hooks.sqlite3."
    )


def _has(module: str) -> bool:
    """Return whether a module can be imported, without importing it: that would take long."""
    if module in sys.modules:
        return sys.modules[module] is not None
    return find_spec(module) is not None
