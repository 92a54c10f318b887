"""How text that came from elsewhere is shown in a log, a terminal or a page: on one line, and without effects."""

from __future__ import annotations

import json
import re
from typing import Any, Final

#: What moves a cursor, ends a line, turns the direction of the text around it, or cannot be encoded.
_UNPRINTABLE: Final = re.compile(
    "["
    r"\x00-\x1f\x7f-\x9f"  # C0, DEL and C1, with what ends a line
    r"\u2028\u2029"  # they end a line, too
    r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # https://unicode.org/reports/tr9/#Directional_Formatting_Characters
    r"\ud800-\udfff"  # lone surrogates
    "]"
)
_LAST_OF_TWO_DIGITS: Final = 0xFF


def printable(text: str) -> str:
    r"""Return a text with what does not show escaped as ``\xNN`` or ``\uNNNN``, and all else as it is.

    That is control characters, line breaks, the characters that control the direction of text, and lone surrogates.
    """
    return _UNPRINTABLE.sub(_escape, text)


def readable_json(document: Any) -> str:
    """Return JSON for people: letters of any language are themselves, and what does not show is escaped."""
    text = json.dumps(document, indent=2, ensure_ascii=False)
    # What is to be escaped can only stand within strings, where an escape means the same.
    return "".join(
        character
        if character == "\n" or printable(character) == character
        else f"\\u{ord(character):04x}"
        for character in text
    )


def _escape(found: re.Match[str]) -> str:
    code = ord(found.group())
    return f"\\x{code:02x}" if code <= _LAST_OF_TWO_DIGITS else f"\\u{code:04x}"
