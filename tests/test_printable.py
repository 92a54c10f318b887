from __future__ import annotations

import json
import unicodedata

import pytest

from okta_hooks.printable import printable, readable_json


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J\x07", r"\x1b[2J\x07"),
        ("\x7f\x9b31m\x85", r"\x7f\x9b31m\x85"),
        ("a\r\nb\tc\x0bd\x0ce", r"a\x0d\x0ab\x09c\x0bd\x0ce"),
        ("a\u2028b\u2029c", r"a\u2028b\u2029c"),
        (
            "\u061c\u200e\u200f\u202a\u202e\u2066\u2069",
            r"\u061c\u200e\u200f\u202a\u202e\u2066\u2069",
        ),
        ("\ud83d and \udcff", r"\ud83d and \udcff"),
    ],
    ids=["C0", "DEL and C1", "line breaks", "separators", "bidi", "surrogates"],
)
def test_what_does_not_show_is_escaped(text: str, shown: str) -> None:
    """Nothing from elsewhere moves a cursor, ends a line, or turns text around."""
    assert printable(text) == shown


@pytest.mark.parametrize(
    "text", ["", "Zoë Łukasz", "Мария 王小明", "أحمد", "👩‍💻 née", r"C:\x1b\users", "a b"]
)
def test_all_else_stays_as_it_is(text: str) -> None:
    """Names in any script can be read, and a backslash is a backslash."""
    assert printable(text) == text


def test_no_control_character_is_forgotten() -> None:
    """Of all of Unicode, no control character, line break or lone surrogate is left, and each can be encoded."""
    every = "".join(map(chr, range(0x110000)))
    shown = printable(every)
    assert not {"Cc", "Zl", "Zp", "Cs"} & {unicodedata.category(character) for character in shown}
    assert len(shown.splitlines()) == 1
    assert shown.encode()


def test_json_for_people() -> None:
    """It stands on several lines, letters are themselves, what does not show is escaped, and it is JSON still."""
    document = {"name": "Zo\u00eb", "\u202ekey": ["\x1b\x85\u2028\n", "\ud800"]}

    text = readable_json(document)

    assert '"name": "Zo\u00eb"' in text
    assert text.count("\n") == 6
    assert all(printable(line) == line for line in text.split("\n"))
    assert json.loads(text) == document
