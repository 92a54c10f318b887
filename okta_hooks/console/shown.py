"""How values stand on a page: numbers, times, spans of time, and text that came from elsewhere."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from markupsafe import Markup, escape

from okta_hooks.masking import without_addresses
from okta_hooks.printable import printable

#: Stands where there is no value: an en dash.
NOTHING: Final = Markup("\u2013")
_MILLISECOND: Final = 0.001
_MINUTE: Final = 60
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR
_TENTHS_BELOW: Final = 10
_NEXT_UNIT: Final = 1000
_PERCENT: Final = 100.0


def visible(value: Any) -> Any:
    """Return what a template prints for a value: no address, and nothing that has an effect on the text around it.

    Markup is that of our own templates and functions.
    """
    if isinstance(value, Markup):
        return value
    return printable(without_addresses(str(value)))


def exact(value: Any) -> Markup:
    """Return what a form sends back as it is: a name out of the app's code, or what somebody has typed here."""
    return escape(value)


def name(value: str | None) -> Markup:
    """Return the name of somebody who has acted, which may be an address."""
    return escape(printable(value or ""))


def lines(text: str) -> Markup:
    """Return text of several lines, without addresses."""
    return Markup("\n").join(escape(visible(line)) for line in text.split("\n"))


def revealed(text: str) -> Markup:
    """Return text of several lines as it is, but for what does not show."""
    return Markup("\n").join(escape(printable(line)) for line in text.split("\n"))


def code(text: str) -> Markup:
    """Return code with invented data, for people to copy: whoever searches the page for addresses finds none in it."""
    return revealed(text).replace("@", Markup("<wbr>@"))


def number(value: float | None) -> str:
    """Return a number with its thousands apart: ``12,345``."""
    return NOTHING if value is None else f"{value:,.0f}"


def iso(seconds: float) -> str | None:
    """Return a time in seconds since the epoch as ISO 8601, or None if no calendar has it."""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return None


def moment(seconds: float | None) -> Markup:
    """Return a time, as an element that a browser can read."""
    text = None if seconds is None else iso(seconds)
    if text is None:
        return NOTHING
    return Markup('<time datetime="{}">{}</time>').format(text, f"{text[:10]} {text[11:19]}")


def ago(seconds: float | None, now: float) -> Markup:
    """Return how long ago a time was, as an element that the page's script keeps right."""
    text = None if seconds is None else iso(seconds)
    if text is None or seconds is None:
        return NOTHING
    away = now - seconds
    told = f"{span(away)} ago" if away >= 0 else f"in {span(-away)}"
    return Markup('<time datetime="{}" title="{}" data-relative>{}</time>').format(
        text, f"{text[:10]} {text[11:19]} UTC", told
    )


def span(seconds: float | None) -> str:
    """Return a span of time as people say it: ``3 min``."""
    if seconds is None:
        return NOTHING
    for unit, text in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= unit * 2 or (seconds >= unit and text == "min"):
            return f"{seconds // unit:.0f} {text}"
    return f"{seconds:.0f} s"


def duration(seconds: float | None) -> str:
    """Return how long something took: ``12 ms``, ``3.4 s``."""
    if seconds is None:
        return NOTHING
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms" if seconds >= _MILLISECOND else "< 1 ms"
    return f"{seconds:.1f} s" if seconds < _TENTHS_BELOW else span(seconds)


def share(part: float, whole: float) -> str:
    """Return a part as a percentage: never 100 % or 0 % of what is not all or nothing."""
    if not whole:
        return NOTHING
    percent = _PERCENT * part / whole
    if 0 < part < whole:
        percent = min(max(percent, 0.1), 99.9)
    return f"{percent:.1f}".removesuffix(".0") + " %"


def size(value: float | None) -> str:
    """Return a number of bytes as people read it: ``1.2 GB``."""
    if value is None:
        return NOTHING
    for unit in ("B", "kB", "MB", "GB"):
        if value < _NEXT_UNIT:
            return f"{value:.3g} {unit}"
        value /= _NEXT_UNIT
    return f"{value:.3g} TB"


def plural(value: int, noun: str, several: str | None = None) -> str:
    """Return a number with its noun: ``1 event``, ``2 events``."""
    return f"{value:,} {noun if value == 1 else several or noun + 's'}"
