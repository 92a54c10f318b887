from __future__ import annotations

import functools
import gc
import logging
import warnings
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask

from okta_hooks import EventHook, UnknownEventTypeWarning, catalog, receivers, signals

if TYPE_CHECKING:
    from collections.abc import Callable

APP = Flask("host")
HERE = __name__


def names(hook: EventHook, event_type: str, sender: object = APP) -> list[str]:
    """Return the names of the receivers that an event type has, in order."""
    return [receiver.name for receiver in hook.receivers.matching(event_type, sender)]


def receiver(sender: object, **extra: Any) -> None:
    """Do nothing."""


def other(sender: object, **extra: Any) -> None:
    """Do nothing."""


class Account:
    """Has receivers as methods."""

    def method(self, sender: object, **extra: Any) -> None:
        """Do nothing."""

    @classmethod
    def of_class(cls, sender: object, **extra: Any) -> None:
        """Do nothing."""

    @staticmethod
    def static(sender: object, **extra: Any) -> None:
        """Do nothing."""

    def __call__(self, sender: object, **extra: Any) -> None:
        """Do nothing."""


class Unreferable:
    """A callable that cannot be referred to weakly."""

    __slots__ = ()

    def __call__(self, sender: object, **extra: Any) -> None:
        """Do nothing."""


# Patterns


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
def test_matches(pattern: str, event_type: str, expected: bool) -> None:  # noqa: FBT001
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


@pytest.mark.parametrize("pattern", [None, 7, b"user.*", ["user.*"], receiver])
def test_pattern_that_is_no_string(okta: EventHook, pattern: Any) -> None:
    """A pattern is a string; what comes of forgetting the parentheses is a TypeError."""
    with pytest.raises(TypeError, match="A pattern is a string"):
        okta.on(pattern)
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


# Connecting


def test_on_returns_the_function(okta: EventHook) -> None:
    """The decorator gives back the very function, so it can be called and decorated further."""
    assert okta.on("user.session.start")(receiver) is receiver


def test_once_per_event(okta: EventHook) -> None:
    """A receiver that matches an event by several patterns is one receiver of it."""
    okta.on("user.session.start", "user.*", "user.session.*", "*")(receiver)
    okta.signal("user.session.start").connect(receiver)

    assert names(okta, "user.session.start") == [f"{HERE}:receiver"]
    assert names(okta, "zone.update") == [f"{HERE}:receiver"]


def test_same_function_connected_twice(okta: EventHook) -> None:
    """A function that is connected again is the same receiver with more patterns."""
    okta.on("user.session.start")(receiver)
    okta.on("user.session.end", "user.session.start")(receiver)

    assert names(okta, "user.session.start") == [f"{HERE}:receiver"]
    assert names(okta, "user.session.end") == [f"{HERE}:receiver"]
    assert len(okta.receivers.connected(APP)) == 1


def test_order_of_connection(okta: EventHook) -> None:
    """Receivers come in the order in which they were first connected, whatever their pattern."""
    connected = [functools.partial(receiver, number=number) for number in range(20)]
    for number, call in enumerate(connected):
        okta.on(["*", "user.*", "user.session.start"][number % 3])(call)
    okta.on("user.session.start")(connected[0])

    assert [found.call for found in okta.receivers.matching("user.session.start", APP)] == connected
    assert [found.call for found in okta.receivers.connected(APP)] == connected


def test_closure_survives(okta: EventHook) -> None:
    """``on`` keeps what it decorates alive: a closure nobody else holds goes on receiving."""

    def connect() -> weakref.ref[Any]:
        @okta.on("user.session.start")
        def closure(sender: object, **extra: Any) -> None:
            """Do nothing."""

        return weakref.ref(closure)

    alive = connect()
    gc.collect()

    assert alive() is not None
    assert [found.call for found in okta.receivers.matching("user.session.start", APP)] == [alive()]


def test_method_of_an_object_nobody_holds(okta: EventHook) -> None:
    """``on`` keeps the object of a bound method alive."""
    okta.on("user.session.start")(Account().method)
    gc.collect()

    assert names(okta, "user.session.start") == [f"{HERE}:Account.method"]


def test_weak_receiver_that_vanished(okta: EventHook) -> None:
    """What was connected weakly and is gone receives nothing, and its name is free again."""

    def make() -> Callable[..., None]:
        def closure(sender: object, **extra: Any) -> None:
            """Do nothing."""

        return closure

    closure = make()
    okta.signal("user.session.start").connect(closure)
    (name,) = names(okta, "user.session.start")
    del closure
    gc.collect()
    assert names(okta, "user.session.start") == []

    again = make()
    okta.signal("user.session.start").connect(again)

    assert names(okta, "user.session.start") == [name]


def test_weak_method_whose_object_vanished(okta: EventHook) -> None:
    """A weakly connected method is gone with its object."""
    account = Account()
    okta.signal("user.session.start").connect(account.method)
    assert names(okta, "user.session.start") == [f"{HERE}:Account.method"]

    del account
    gc.collect()

    assert names(okta, "user.session.start") == []
    assert okta.receivers.connected(APP) == []


def test_weak_method_is_remembered(okta: EventHook) -> None:
    """A weakly connected method is one receiver under one name as long as its object lives."""
    account = Account()
    okta.signal("user.session.start").connect(account.method)
    okta.on("user.session.start")(receiver)
    okta.signal("user.*").connect(account.method)
    gc.collect()

    assert names(okta, "user.session.start") == [f"{HERE}:Account.method", f"{HERE}:receiver"]


def test_disconnected(okta: EventHook) -> None:
    """A receiver can be disconnected by its signal, and keeps its name for the next time."""
    okta.on("user.session.start")(receiver)
    okta.on("user.session.start")(other)
    okta.signal("user.session.start").disconnect(receiver)
    assert names(okta, "user.session.start") == [f"{HERE}:other"]

    okta.signal("user.session.start").connect(receiver)

    assert names(okta, "user.session.start") == [f"{HERE}:receiver", f"{HERE}:other"]


# Identities


def closures(number: int) -> list[Callable[..., None]]:
    """Return functions of one qualified name."""

    def make() -> Callable[..., None]:
        def closure(sender: object, **extra: Any) -> None:
            """Do nothing."""

        return closure

    return [make() for _ in range(number)]


def test_equal_qualified_names(okta: EventHook) -> None:
    """Receivers of one qualified name are numbered in the order of their connection."""
    one, two, three = closures(3)
    okta.on("*")(one)
    okta.signal("user.session.start").connect(two)
    okta.on("user.*")(three)

    name = f"{HERE}:closures.<locals>.make.<locals>.closure"
    assert names(okta, "user.session.start") == [name, f"{name}#2", f"{name}#3"]


def test_numbers_do_not_depend_on_the_event(okta: EventHook) -> None:
    """A number belongs to the receiver, not to its place among those of one event."""
    one, two = closures(2)
    okta.on("user.session.end")(one)
    okta.on("user.session.start")(two)

    (name,) = names(okta, "user.session.start")
    assert name.endswith("#2")


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (receiver, f"{HERE}:receiver"),
        (Account().method, f"{HERE}:Account.method"),
        (Account.of_class, f"{HERE}:Account.of_class"),
        (Account.static, f"{HERE}:Account.static"),
        (Account(), f"{HERE}:Account"),
        (Unreferable(), f"{HERE}:Unreferable"),
        (functools.partial(receiver, x=1), f"{HERE}:receiver"),
        (functools.partial(functools.partial(receiver, x=1), y=2), f"{HERE}:receiver"),
        (functools.partial(Account().method, x=1), f"{HERE}:Account.method"),
        (functools.partial(Account()), f"{HERE}:Account"),
        (print, "builtins:print"),
    ],
    ids=str,
)
def test_qualified_names(okta: EventHook, call: Callable[..., Any], name: str) -> None:
    """Whatever can be called has a name: its own, that of what it wraps, or that of its class."""
    okta.on("user.session.start", "user.*")(call)

    assert names(okta, "user.session.start") == [name]


def test_methods_of_two_objects(okta: EventHook) -> None:
    """The same method of two objects is two receivers; of one object it is one."""
    one, two = Account(), Account()
    okta.on("*")(one.method)
    okta.on("user.*")(two.method)
    okta.on("user.session.start")(one.method)

    assert names(okta, "user.session.start") == [
        f"{HERE}:Account.method",
        f"{HERE}:Account.method#2",
    ]


def test_explicit_name(okta: EventHook) -> None:
    """A name of the developer's own outlives moves and renames of the function."""
    okta.on("user.session.start", name="offboard")(receiver)

    assert names(okta, "user.session.start") == ["offboard"]


def test_equal_explicit_names(okta: EventHook) -> None:
    """Two receivers cannot share an explicit name, and the second one is not connected."""
    okta.on("user.session.start", name="offboard")(receiver)

    with pytest.raises(ValueError, match="has a receiver named 'offboard' already"):
        okta.on("user.session.start", name="offboard")(other)
    assert [found.call for found in okta.receivers.connected(APP)] == [receiver]


def test_explicit_name_that_is_another_s_own(okta: EventHook) -> None:
    """An explicit name cannot be the one that another receiver got by default."""
    okta.on("user.session.start")(receiver)

    with pytest.raises(ValueError, match="already"):
        okta.on("user.session.start", name=f"{HERE}:receiver")(other)


def test_default_name_that_is_taken(okta: EventHook) -> None:
    """A default name gives way to an explicit one."""
    okta.on("user.session.start", name=f"{HERE}:receiver")(other)
    okta.on("user.session.start")(receiver)

    assert names(okta, "user.session.start") == [f"{HERE}:receiver", f"{HERE}:receiver#2"]


def test_second_explicit_name(okta: EventHook) -> None:
    """A receiver has one name."""
    okta.on("user.session.start", name="first")(receiver)

    with pytest.raises(ValueError, match="This receiver is named 'first' already"):
        okta.on("user.session.end", name="second")(receiver)


def test_name_given_later(okta: EventHook) -> None:
    """A receiver that has its default name can still be given its own."""
    okta.on("user.session.start")(receiver)
    okta.on("user.session.end", name="mine")(receiver)

    assert names(okta, "user.session.start") == ["mine"]


def test_equal_names_in_two_hooks(okta: EventHook) -> None:
    """Names are told apart by hook."""
    elsewhere = EventHook("other")
    okta.on("user.session.start", name="mine")(receiver)
    elsewhere.on("user.session.start", name="mine")(receiver)

    assert names(okta, "user.session.start") == names(elsewhere, "user.session.start") == ["mine"]


def test_two_hooks_are_apart(okta: EventHook) -> None:
    """A receiver of one hook gets nothing of another, and none of blinker's default namespace."""
    okta.on("*")(receiver)

    assert names(EventHook("other"), "user.session.start") == []
    assert okta.signal("*") is not EventHook("third").signal("*")


def test_concurrency(okta: EventHook) -> None:
    """The concurrency that was asked for last or highest is kept with the receiver."""
    okta.on("user.session.start", concurrency=4)(receiver)
    okta.on("user.session.end")(receiver)
    okta.on("user.session.end")(other)

    assert [found.concurrency for found in okta.receivers.connected(APP)] == [4, 1]


# Blinker's own ways


def test_signal_is_one_per_pattern(okta: EventHook) -> None:
    """The signal of a pattern is the same each time, under the pattern's name."""
    assert okta.signal("user.*") is okta.signal("user.*")
    assert okta.signal("user.*").name == "user.*"


def test_connect_via_one_app(okta: EventHook) -> None:
    """A receiver that is connected via one app gets only that app's events."""
    mine, another = Flask("mine"), Flask("another")
    okta.signal("user.session.start").connect_via(mine)(receiver)

    assert names(okta, "user.session.start", mine) == [f"{HERE}:receiver"]
    assert names(okta, "user.session.start", another) == []
    assert okta.receivers.connected(another) == []


def test_connected_to(okta: EventHook) -> None:
    """A receiver that is connected for a while receives for that while."""
    with okta.signal("user.session.start").connected_to(receiver):
        assert names(okta, "user.session.start") == [f"{HERE}:receiver"]
    assert names(okta, "user.session.start") == []


def test_muted(okta: EventHook) -> None:
    """A muted signal has no receivers; those of other patterns are not touched."""
    okta.on("user.session.start")(receiver)
    okta.on("user.*")(other)

    with okta.signal("user.session.start").muted():
        assert names(okta, "user.session.start") == [f"{HERE}:other"]
    assert names(okta, "user.session.start") == [f"{HERE}:receiver", f"{HERE}:other"]


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


# Signals about the service


def test_notify_reaches_every_receiver(caplog: pytest.LogCaptureFixture) -> None:
    """A receiver of a service signal that fails is logged, and disturbs neither the others nor us."""
    seen: list[object] = []

    def fails(sender: object, **extra: Any) -> None:
        seen.append("fails")
        raise ZeroDivisionError

    def works(sender: object, **extra: Any) -> None:
        seen.append((sender, extra))

    with (
        signals.hook_verified.connected_to(fails),
        signals.hook_verified.connected_to(works),
        caplog.at_level(logging.ERROR, "okta_hooks"),
    ):
        signals.notify(signals.hook_verified, APP, hook="h")

    assert "fails" in seen
    assert (APP, {"hook": "h"}) in seen
    assert caplog.messages == ["A receiver of the signal hook-verified failed."]
    assert caplog.records[0].exc_info is not None
    assert caplog.records[0].exc_info[0] is ZeroDivisionError


def test_notify_by_sender_and_muted() -> None:
    """Service signals honour ``connect_via`` and ``muted`` like any other."""
    seen: list[object] = []
    mine = Flask("mine")

    def note(sender: object, **extra: Any) -> None:
        seen.append(sender)

    with signals.event_done.connected_to(note, sender=mine):
        signals.notify(signals.event_done, APP)
        with signals.event_done.muted():
            signals.notify(signals.event_done, mine)
        assert seen == []
        signals.notify(signals.event_done, mine)

    assert seen == [mine]


def test_service_signals_are_documented() -> None:
    """Each service signal is told apart by its name and says what it is sent with."""
    documented = {
        signals.hook_verified: "hook-verified",
        signals.delivery_stored: "delivery-stored",
        signals.delivery_refused: "delivery-refused",
        signals.receiver_failed: "receiver-failed",
        signals.event_done: "event-done",
        signals.event_dead: "event-dead",
    }

    for signal, name in documented.items():
        assert signal.name == name
        assert "Arguments: ``hook``" in (signal.__doc__ or "")


def test_async_receivers_of_service_signals() -> None:
    """A coroutine function may listen to the service's signals, too: it is waited for."""
    seen: list[str] = []

    async def listen(sender: object, *, reason: str, **extra: Any) -> None:
        seen.append(reason)

    with signals.delivery_refused.connected_to(listen):
        signals.notify(signals.delivery_refused, Flask("host"), hook=None, status=400, reason="a")

    assert seen == ["a"]


def test_a_receiver_that_is_just_being_connected(okta: EventHook) -> None:
    """Blinker has a receiver before it tells of it: who dispatches in between finds it under its name."""
    signal = okta.signal("user.session.start")

    def receiver(sender: object, **extra: Any) -> None: ...

    with signal.receiver_connected.muted():
        signal.connect(receiver)

    app = Flask("host")
    (found,) = okta.receivers.matching("user.session.start", app)
    assert found.name.endswith("receiver")
    assert okta.receivers.connected(app) == [found]
