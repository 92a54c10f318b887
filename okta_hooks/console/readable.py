"""JSON as people read it."""

from __future__ import annotations

import json
from typing import Any

from okta_hooks.printable import printable


def readable_json(document: Any) -> str:
    """Return JSON for people: letters of any language are themselves, and what does not show is escaped."""
    text = json.dumps(document, indent=2, ensure_ascii=False)
    # What is to be escaped can only stand within strings, where an escape means the same.
    return "\n".join(
        "".join(
            letter if printable(letter) == letter else f"\\u{ord(letter):04x}" for letter in line
        )
        for line in text.split("\n")
    )
