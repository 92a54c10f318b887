from __future__ import annotations

import pytest
from markupsafe import Markup

from okta_hooks.console import shown

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("plain", "plain"),
        (7, "7"),
        ("to noether@corp.example: no", "to ***: no"),
        ("?to=noether%40corp.example", "***"),
        ("a\u202eb\x1b\n", "a\\u202eb\\x1b\\x0a"),
        (Markup("<b>a@b</b>"), "<b>a@b</b>"),
    ],
)
def test_what_a_template_prints(value: object, expected: str) -> None:
    """No address, and nothing with an effect; what our own templates have made is left alone."""
    assert shown.visible(value) == expected


def test_several_lines() -> None:
    """Lines stay lines, and are escaped one by one."""
    assert shown.lines("<a>\n\x00b@c") == "&lt;a&gt;\n***"
    assert shown.revealed("<a>\n\x00b@c") == "&lt;a&gt;\n\\x00b@c"
    assert shown.code("'b@c'") == "&#39;b<wbr>@c&#39;"


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (7199, "119 min"),
        (7200, "2 h"),
        (47 * 3600, "47 h"),
        (48 * 3600, "2 d"),
        (None, "\u2013"),
    ],
)
def test_spans(seconds: float | None, expected: str) -> None:
    """A span is told in one unit."""
    assert shown.span(seconds) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (None, "\u2013"),
        (0.0002, "< 1 ms"),
        (0.012, "12 ms"),
        (3.21, "3.2 s"),
        (42.0, "42 s"),
        (100.0, "1 min"),
    ],
)
def test_durations(seconds: float | None, expected: str) -> None:
    """How long something took is told as exactly as it matters."""
    assert shown.duration(seconds) == expected


@pytest.mark.parametrize(
    ("part", "whole", "expected"),
    [
        (0, 0, "\u2013"),
        (0, 5, "0 %"),
        (5, 5, "100 %"),
        (1, 3, "33.3 %"),
        (1, 10**6, "0.1 %"),
        (10**6 - 1, 10**6, "99.9 %"),
    ],
)
def test_shares(part: int, whole: int, expected: str) -> None:
    """What is not all is not told as 100 %, and what is not nothing not as 0 %."""
    assert shown.share(part, whole) == expected


def test_times() -> None:
    """A time is told in UTC, and how long ago it was; one that no calendar has is not told."""
    assert ">2027-01-15 08:00:00<" in shown.moment(NOW)
    assert ">2 min ago<" in shown.ago(NOW - 130, NOW)
    assert ">in 5 s<" in shown.ago(NOW + 5, NOW)
    assert [shown.moment(each) for each in (None, 1e300)] == ["\u2013"] * 2
    assert [shown.ago(each, NOW) for each in (None, 1e300)] == ["\u2013"] * 2


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, "\u2013"), (999, "999 B"), (1_234, "1.23 kB"), (5e15, "5e+03 TB")],
)
def test_sizes(value: float | None, expected: str) -> None:
    """A size is told in the unit that fits."""
    assert shown.size(value) == expected
