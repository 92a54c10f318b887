"""The URLs of hooks: which two are the same, and what of one may be shown."""

from __future__ import annotations

from urllib.parse import urlsplit


def without_slash(path: str) -> str:
    """Return a path without a slash at its end, unless it is nothing else."""
    return path.rstrip("/") or "/"


def path_of(url: str) -> str:
    """Return the path of a URL, as :func:`without_slash` does."""
    return without_slash(urlsplit(url).path)


def same_url(one: str, other: str) -> bool:
    """Return whether two URLs lead to the same hook: a hook answers with and without a slash at the end."""
    return one.rstrip("/") == other.rstrip("/")


def same_path(url: str, path: str) -> bool:
    """Return whether a URL has a path, with or without a slash at the end."""
    return path_of(url) == without_slash(path)


def shown(url: str) -> str:
    """Return a URL without what may be secret in it: user, password, query."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}" if host else parts.path
