"""What is looked at when a hook is registered: whether it can work here at all. Nothing is opened or made."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

from flask import Flask

from okta_hooks.database_url import behind_links, file_of, scheme
from okta_hooks.exceptions import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

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
            # Okta verifies the URL as it is: a page of the host's beside it, with or without a slash, may stay.
            is_asked = method == "POST" or rule.rule == prefix
            if is_asked and (rule.methods is None or method in rule.methods):
                raise ConfigurationError(
                    f"The hook {hook!r} would get {what}: the endpoint {rule.endpoint!r} of this app already "
                    f"answers to {method} at {rule.rule}. Give the hook another path: "
                    f"EventHook({hook!r}, url_prefix=...)."
                )


def check_inbox(app: Flask, url: Secret | None) -> None:
    """Look at whether the inbox can be opened in this Python, and its file made, or read and written.

    :param url: One that the settings have let pass.
    :raises ConfigurationError: if not.
    """
    if url is None:
        return
    if scheme(url) != "sqlite":
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
        _check_file(behind_links(file_of(url, app.instance_path)))


def _check_file(path: Path) -> None:
    """Look at the file of an inbox, or at the folder in which it would be made.

    :param path: One without symbolic links.
    """
    problem = _problem_of_folder(path.parent) or _problem_of_file(path)
    if problem is not None:
        raise ConfigurationError(
            f"{_KEY} is the SQLite file {path}, and {problem}. Let this user write there "
            "(to a volume, or a file that another user has made: chown it, or run the app as its owner), "
            "or name another file, with its whole path: sqlite:////var/lib/app/okta_hooks.sqlite3. "
            "Only a process that never serves the hook, such as a job of the app's, can do without an inbox: "
            f"set {_KEY} to None there (in the environment: null)."
        )


def _problem_of_folder(folder: Path) -> str | None:
    there = folder
    while not os.path.exists(there) and there != there.parent:  # noqa: PTH110 - that of `Path` raises where it may not look
        there = there.parent
    if not there.is_dir():
        return f"{there} is no folder"
    if not os.access(there, os.W_OK | os.X_OK):
        return f"the user {os.getuid()} may not write to {there}, which belongs to the user {there.stat().st_uid}"
    return None


def _problem_of_file(path: Path) -> str | None:
    if path.is_symlink():
        return "its symbolic links lead in a circle"
    if not path.exists():
        return None
    if path.is_dir():
        return "that is a folder"
    if not os.access(path, os.R_OK | os.W_OK):
        return f"the user {os.getuid()} may not read and write it: it belongs to the user {path.stat().st_uid}"
    return None


def _has(module: str) -> bool:
    """Return whether a module can be imported, without importing it: that would take long."""
    if module in sys.modules:
        return sys.modules[module] is not None
    return find_spec(module) is not None
