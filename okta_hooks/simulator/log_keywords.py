"""The keywords by which the System Log is searched: its parameter ``q``.

https://developer.okta.com/docs/reference/system-log-query/#keyword-filter
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from . import errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MOST: Final = 10
_LONGEST: Final = 40
#: What parts the words of a value, and what parts a word: Okta names hyphens, and its examples find the host of a URL.
_BETWEEN_WORDS: Final = re.compile(r"\s+")
_BETWEEN_PARTS: Final = re.compile(r"[\s/:-]+")


def read_keywords(text: str) -> frozenset[str]:
    """Return the keywords of a search.

    :raises RequestRefused: if there are too many, or one is too long.
    """
    keywords = text.casefold().split()
    if len(keywords) > _MOST:
        raise errors.invalid(
            f"'q': Freeform search cannot contain more than {_MOST} items.",
            f"q: Freeform search cannot contain more than {_MOST} items.",
        )
    if any(len(keyword) > _LONGEST for keyword in keywords):
        cause = (
            f"Freeform search cannot contain items longer than {_LONGEST} characters. Please shorten "
            "the items in your search or use an advanced filter to query by specific fields."
        )
        raise errors.invalid(f"'q': {cause}", f"q: {cause}")
    return frozenset(keywords)


def has_keywords(event: Mapping[str, Any], keywords: frozenset[str]) -> bool:
    """Return whether each keyword is a value of the event, or a word or a part of one, in any case."""
    missing = set(keywords)
    for value in _values(event) if keywords else ():
        missing -= {
            value,
            *_BETWEEN_WORDS.split(value),
            *_BETWEEN_PARTS.split(value),
        }
        if not missing:
            break
    return not missing


def _values(value: Any) -> Iterator[str]:
    """Yield what an event says, and not under which keys."""
    if isinstance(value, dict):
        for item in value.values():
            yield from _values(item)
    elif isinstance(value, list):
        for item in value:
            yield from _values(item)
    elif value is not None:
        text = value if isinstance(value, str) else json.dumps(value)
        yield text.casefold()
