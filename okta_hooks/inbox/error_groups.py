"""Which errors are the same but for what differs from event to event."""

from __future__ import annotations

import hashlib
import re
from typing import Final

#: How much of an error is compared, in characters.
_LONGEST: Final = 200
_PARTS: Final = re.compile(
    r"(?P<status>\b(?:HTTP|status|code|error)\W{0,3}[1-5]\d\d\b|\b[1-5]\d\d (?:Client|Server) Error\b)"
    r"|(?P<address>[^\s@<>'\"(),;:]+@[^\s@<>'\"(),;:]+)"
    r"|(?P<uuid>\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b)"
    # Such as an id of Okta's: long, with a digit in it.
    r"|(?P<id>\b(?=[A-Za-z_-]{0,40}\d)[\w-]{16,}\b)"
    r"|(?P<number>0x[0-9a-f]+|\d+(?:[.,:]\d+)*)",
    re.IGNORECASE,
)


def grouped(error: str | None) -> str:
    """Return an error with a word in place of each address, id and number, which differ from event to event.

    The status of an HTTP answer stays: it tells errors apart.
    """

    def replaced(found: re.Match[str]) -> str:
        kind = found.lastgroup
        return found[0] if kind == "status" else f"<{kind}>"

    return _PARTS.sub(replaced, (error or "")[: 2 * _LONGEST])[:_LONGEST]


def key_of(group: str) -> str:
    """Return what stands for a group in a URL: a few characters."""
    return hashlib.sha256(group.encode(errors="surrogatepass")).hexdigest()[:16]
