from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import pytest

from okta_hooks import EventHook, UnknownEventTypeWarning, catalog, receivers

from .support import HERE, names, other, receiver

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("pattern", "event_type", "expected"),
    [
        ("user.session.start", "user.session.start", True),
        ("user.session", "user.session.start", False),
        ("user.session.start", "user.session", False),
        ("user.session.start", "USER.SESSION.START", False),
        ("user.session.*", "user.session.start", True),
        ("user.*", "user.session.start", True),
        ("user.*", "user.a.b.c.d.e.f.g.h.i.j", True),
        ("user.*", "user", False),
        ("user.*", "user.", True),
        ("user.*", "username.change", False),
        ("user.sess.*", "user.session.start", False),
        ("session.*", "user.session.start", False),
        ("*", "user.session.start", True),
        ("*", "user", True),
        ("*", "", True),
        ("a-b.*", "a-b.c", True),
    ],
)
def test_matches(pattern: str, event_type: str, expected: bool) -> None:
    """A pattern matches by whole segments: itself, or everything below its prefix at any depth."""
    assert receivers.matches(pattern, event_type) is expected


PREFIXES = [
    (short, long)
    for short in catalog.entries()
    for long in catalog.entries()
    if long.startswith(short) and long != short
]


def test_identifiers_that_begin_others() -> None:
    """Okta has 27 identifiers that are whole-segment prefixes of others: these are worth a test each."""
    by_segment = {short for short, long in PREFIXES if long.startswith(f"{short}.")}

    assert len(by_segment) == 27
    assert "app.oauth2.as.consent.revoke" in by_segment


@pytest.mark.parametrize(("short", "long"), PREFIXES)
def test_exact_name_does_not_imply_longer_ones(okta: EventHook, short: str, long: str) -> None:
    """An event type that begins another one matches itself alone."""
    okta.signal(short).connect(receiver)
    okta.signal(f"{short}.*").connect(other)

    assert names(okta, short) == [f"{HERE}:receiver"]
    assert names(okta, long) == ([f"{HERE}:other"] if long.startswith(f"{short}.") else [])


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        ".",
        ".*",
        "**",
        "*.*",
        "*.create",
        "user.*.create",
        "user.**",
        "user.*.*",
        "user*",
        "user.life*",
        "user.",
        ".user",
        "user..create",
        "user. create",
        " user.session.start",
        "user.session.start\n",
    ],
)
def test_malformed_pattern(okta: EventHook, pattern: str) -> None:
    """What is no event type, prefix or ``*`` is refused at once, however it is connected."""
    with pytest.raises(ValueError, match="is no pattern: write"):
        okta.on(pattern)
    with pytest.raises(ValueError, match="is no pattern: write"):
        okta.signal(pattern)


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        (None, "A pattern is a string"),
        (7, "A pattern is a string"),
        (b"user.*", "A pattern is a string"),
        (["user.*"], r"not \['user.\*'\]: each is an argument of its own: @okta.on\("),
        (receiver, r"not <function .*: write @okta.on\(.* above the receiver"),
    ],
)
def test_pattern_that_is_no_string(okta: EventHook, pattern: Any, said: str) -> None:
    """A pattern is a string; for a list, and for parentheses that were forgotten, it is said how it is written."""
    with pytest.raises(TypeError, match=said):
        okta.on(pattern)
    with pytest.raises(TypeError, match=said):
        okta.on("user.session.start", pattern)
    with pytest.raises(TypeError, match="A pattern is a string"):
        okta.signal(pattern)


def test_on_without_a_pattern(okta: EventHook) -> None:
    """A receiver of nothing is a mistake."""
    with pytest.raises(TypeError, match="at least one pattern"):
        okta.on()


@pytest.mark.parametrize("concurrency", [0, -1])
def test_concurrency_below_one(okta: EventHook, concurrency: int) -> None:
    """A receiver that may have no event in hand is a mistake."""
    with pytest.raises(ValueError, match="concurrency must be at least 1"):
        okta.on("*", concurrency=concurrency)


# Warnings about patterns


def warning_of(connect: Callable[[], object]) -> str:
    with pytest.warns(UnknownEventTypeWarning) as caught:
        connect()
    (warning,) = caught
    assert warning.filename == __file__
    return str(warning.message)


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [
        ("user.lifecyle.deactivate", "user.lifecycle.deactivate"),
        ("user.lifecyle.*", "user.lifecycle.*"),
        ("user.lifecycle", "user.lifecycle.*"),
        ("completely.else", None),
    ],
)
def test_unknown_pattern(okta: EventHook, pattern: str, meant: str | None) -> None:
    """A pattern under which nothing is known is a warning at the line of ``on``, with the nearest name."""
    text = warning_of(lambda: okta.on(pattern))

    unknown = f"no such event type is known in Okta's release {catalog.RELEASE}."
    known = f"For {pattern!r} nothing is subscribed to: {unknown}"
    assert text == (f"{known} Is {meant!r} meant?" if meant else known)


@pytest.mark.parametrize("pattern", ["event_hook.delivery", "event_hook.*"])
def test_pattern_that_is_only_logged(okta: EventHook, pattern: str) -> None:
    """A pattern that event hooks never deliver is a warning that says so."""
    log_only = [
        name
        for name, entry in catalog.entries().items()
        if receivers.matches(pattern, name) and not entry.event_hook_eligible
    ]
    assert log_only

    assert warning_of(lambda: okta.on(pattern)).startswith(
        f"For {pattern!r} nothing is subscribed to: Okta has it in its System Log only"
    )


def test_a_pattern_over_types_in_beta_only(okta: EventHook) -> None:
    """It gets nothing, which is a warning with the names to write instead; these are none."""
    beta = next(
        name
        for name, entry in catalog.entries().items()
        if entry.event_hook_eligible
        and receivers.why_never(f"{name.rpartition('.')[0]}.*") is not None
    )
    text = warning_of(lambda: okta.on(f"{beta.rpartition('.')[0]}.*"))

    assert "is in beta, and has to be named exactly: " in text
    assert beta in text
    assert "meant" not in text
    okta.on(beta)


def test_unknown_pattern_is_connected_all_the_same(okta: EventHook) -> None:
    """Okta may know more than the catalogue: after the warning the receiver gets the events."""
    with pytest.warns(UnknownEventTypeWarning):
        okta.on("brand.new.type")(receiver)

    assert names(okta, "brand.new.type") == [f"{HERE}:receiver"]


@pytest.mark.parametrize("pattern", ["*", "user.*", "user.lifecycle.*", "user.lifecycle.create"])
def test_known_pattern(okta: EventHook, pattern: str) -> None:
    """A pattern with something to deliver below it is no warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        okta.on(pattern)


def test_each_unknown_pattern_is_warned_of(okta: EventHook) -> None:
    """Of several patterns in one call, each unknown one has its warning."""
    with pytest.warns(UnknownEventTypeWarning) as caught:
        okta.on("no.such.a", "user.session.start", "no.such.b")

    assert ["no.such.a" in str(caught[0].message), "no.such.b" in str(caught[1].message)] == [
        True,
        True,
    ]
