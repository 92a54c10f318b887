"""Which errors are the same but for what differs from event to event."""

from __future__ import annotations

import functools
import hashlib
import re
from typing import Final

#: How much of an error is compared, in characters.
_LONGEST: Final = 200
# Each begins where a word does, and gives nothing back: an error may be any text, and there are many.
_PARTS: Final = re.compile(
    # Within a word nothing begins but a number: to try the rest there would take twice the time.
    r"(?:(?<!\w)|(?=\d))(?:"
    r"(?P<status>\b(?:HTTP|status|code|error)\W{0,3}[1-5]\d\d\b|\b[1-5]\d\d (?:Client|Server) Error\b)"
    r"|(?P<address>(?<![\w.+%-])[\w.+%-]++@[\w.-]++)"
    r"|(?P<uuid>(?<![\w-])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![\w-]))"
    # Such as an id of Okta's: long, with a digit in it.
    r"|(?P<id>(?<![\w-])(?=[A-Za-z_-]{0,40}\d)[\w-]{16,}+)"
    r"|(?P<number>0x[0-9a-f]+|\d+(?:[.,:]\d+)*))",
    re.IGNORECASE,
)


@functools.lru_cache(maxsize=4096)
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
