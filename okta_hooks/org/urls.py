"""The URLs of hooks: which two are the same, and what of one may be shown."""

from __future__ import annotations

from urllib.parse import urlsplit

from okta_hooks.wire.protocol import path_of


def same_url(one: str, other: str) -> bool:
    """Return whether two URLs lead to the same hook: a hook answers with and without a slash at the end."""
    return one.rstrip("/") == other.rstrip("/")


def same_path(url: str, path: str) -> bool:
    """Return whether a URL has a path, with or without a slash at the end."""
    return path_of(url) == path_of(path)


def shown(url: str) -> str:
    """Return a URL without what may be secret in it: user, password, query."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}" if host else parts.path
