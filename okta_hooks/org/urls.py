"""The URLs of hooks: which two are the same, and what of one may be shown."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

from okta_hooks.printable import printable
from okta_hooks.wire.protocol import path_of

_DEFAULT_PORTS: Final = {"https": 443, "http": 80}
_ESCAPED: Final = re.compile(r"%([0-9A-Fa-f]{2})")
#: What means the same with and without its escape: https://www.rfc-editor.org/rfc/rfc3986#section-2.3
_UNRESERVED: Final = re.compile(r"[A-Za-z0-9._~-]")


def origin(url: str) -> str:
    """Return scheme, host and port of a URL in the one spelling that all comparisons use.

    A URL that is malformed is returned as it is.
    Upper and lower case make no difference in a host, nor does a dot at its end, nor the port that is the usual one.
    """
    try:
        return _origin(urlsplit(url))
    except ValueError:
        return url


def _origin(parts: SplitResult) -> str:
    host = (parts.hostname or "").rstrip(".")
    try:
        host = host if host.isascii() else host.encode("idna").decode()
        port = parts.port
    except ValueError:  # such as a port that is no number
        return f"{parts.scheme}://{parts.netloc}"
    if ":" in host:
        host = f"[{host}]"
    is_usual = port is None or port == _DEFAULT_PORTS.get(parts.scheme)
    return f"{parts.scheme}://{host}" if is_usual else f"{parts.scheme}://{host}:{port}"


def _same_spelling(text: str) -> str:
    def one(found: re.Match[str]) -> str:
        character = chr(int(found[1], 16))
        return character if _UNRESERVED.fullmatch(character) else found[0].upper()

    return _ESCAPED.sub(one, text)


def without_slash(path: str) -> str:
    """Return a path without a slash at its end, unless it is nothing else."""
    return path.rstrip("/") or "/"


def same_url(one: str, other: str) -> bool:
    """Return whether two URLs lead to the same hook, however they are spelt.

    A hook answers with and without a slash at the end; a fragment is never sent.
    """
    return _comparable(one) == _comparable(other)


def _comparable(url: str) -> tuple[str, str, str, str]:
    try:
        parts = urlsplit(url)
    except ValueError:  # such as a bracket that is not closed
        return "", url, "", ""
    user, at, _ = parts.netloc.rpartition("@")
    path = without_slash(_same_spelling(parts.path))
    return user + at, _origin(parts), path, _same_spelling(parts.query)


def same_path(url: str, path: str) -> bool:
    """Return whether a URL has a path, with or without a slash at the end."""
    return path_of(url) == path_of(path)


def shown(url: str) -> str:
    """Return a URL without what may be secret in it: user, password, query. What does not show is escaped."""
    try:
        parts = urlsplit(url)
    except ValueError:  # what is secret in it cannot be told from the rest
        return "(a malformed URL)"
    host = parts.netloc.rpartition("@")[2]
    return printable(f"{parts.scheme}://{host}{parts.path}" if host else parts.path)
