"""The header of a request that holds the secret: it is taken away before anything is logged.

The WSGI environment stands in the frames of every server and of Flask, and whatever reports errors with the variables
of frames would report the secret with it.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from okta_hooks.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator

_KEPT: Final = "okta_hooks.presented"


def take(environ: dict[str, Any], header: str) -> bytes | None:
    """Return the raw bytes of a header, which WSGI has as Latin-1, and remove it; None if there is none."""
    value: str | None = environ.pop(_key(header), None)
    if value is None:
        # Something in front may call the app a second time with the same environment.
        kept = environ.get(_KEPT)
        value = None if kept is None else kept.reveal()
    if value is None:
        return None
    environ[_KEPT] = Secret(value)
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:  # from a client that calls the app without a server between
        return value.encode()


@contextmanager
def hidden(environ: dict[str, Any], header: str) -> Iterator[None]:
    """Take a header away for a while: the view, and the host's code before it, are to have it."""
    missing = object()
    key = _key(header)
    # While a context manager waits, its frame stands in no stack.
    kept = environ.pop(key, missing)
    try:
        yield
    finally:
        if kept is not missing:
            environ[key] = kept


def _key(header: str) -> str:
    return "HTTP_" + header.upper().replace("-", "_")
