from __future__ import annotations

import functools
import gc
import weakref
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock, create_autospec

import pytest
from flask import Flask

from .support import APP, HERE, Account, names, other, receiver

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from okta_hooks import EventHook, LogEvent


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


def in_session(function: Callable[..., None]) -> Callable[..., None]:
    """Return a decorated function that gets one argument more than the decorator does."""

    @functools.wraps(function)
    def inner(*arguments: Any, **named: Any) -> None:
        function("session", *arguments, **named)

    return inner


def of_event(function: Callable[..., None]) -> Callable[..., None]:
    """Return a decorated function that gets the event alone."""

    @functools.wraps(function)
    def inner(app: Flask, event: LogEvent, **extra: Any) -> None:
        function(event)

    return inner


class Decorated:
    """Has a receiver that is a decorated method."""

    @in_session
    def method(session: str, self: object, sender: Flask, **extra: Any) -> None:  # noqa: N805 - the decorator puts it first
        """Do nothing."""


def generator(sender: Flask, **extra: Any) -> Iterator[None]:
    yield


async def asynchronous_generator(sender: Flask, **extra: Any) -> AsyncIterator[None]:
    yield


class Generating:
    """Has a receiver that is a generator, whatever way it is called."""

    def __call__(self, *_: Any, **__: Any) -> Iterator[None]:
        """Do nothing, but when it is iterated over."""
        yield


def no_extra(sender: Flask, event: LogEvent) -> None: ...


def event_alone(event: LogEvent) -> None: ...


def positional(sender: Flask, event: LogEvent, /, **extra: Any) -> None: ...


def one_more(sender: Flask, event: LogEvent, user: str, **extra: Any) -> None: ...


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (no_extra, "no_extra cannot be called: got an unexpected keyword argument 'delivery'"),
        (event_alone, "event_alone cannot be called: multiple values for argument 'event'"),
        (positional, "positional cannot be called: missing a required"),
        (one_more, "one_more cannot be called: missing a required argument: 'user'"),
        (Account.method, "Account.method cannot be called: missing a required argument"),
        (functools.partial(one_more, user="x"), None),
        (functools.lru_cache(no_extra), "no_extra cannot be called: got an unexpected"),
        (generator, "generator cannot be called: it is a generator function"),
        (asynchronous_generator, "cannot be called: it is a generator function"),
        (functools.partial(generator), "it is a generator function"),
        (Generating(), "it is a generator function"),
        (Generating().__call__, "it is a generator function"),
        (of_event(event_alone), None),
        (in_session(one_more), None),
        (functools.partial(in_session(one_more)), None),
        (Decorated().method, None),
        (functools.lru_cache(receiver), None),
        (functools.singledispatch(receiver), None),
        (Mock(), None),
        (create_autospec(receiver), None),
        (max, None),
    ],
    ids=lambda value: getattr(value, "__qualname__", "") or None,
)
def test_a_receiver_that_cannot_be_called(
    okta: EventHook, call: Callable[..., Any], said: str | None
) -> None:
    """It is refused when it is connected, and nothing of it stays; of what has no signature nothing is known.

    Of a decorated function it is the decorator's own that counts, which is called.
    """
    if said is None:
        okta.on("*")(call)
        return

    with pytest.raises(TypeError, match=said) as caught:
        okta.on("*")(call)

    assert str(caught.value).endswith("write def receiver(app, event, **extra).")
    assert okta.receivers.connected(APP) == []
