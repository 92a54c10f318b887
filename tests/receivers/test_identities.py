from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import pytest

from okta_hooks import EventHook

from .support import APP, HERE, Account, Unreferable, closures, names, other, receiver

if TYPE_CHECKING:
    from collections.abc import Callable


def test_equal_qualified_names(okta: EventHook) -> None:
    """Receivers of one qualified name are numbered in the order of their connection."""
    one, two, three = closures(3)
    okta.on("*")(one)
    okta.signal("user.session.start").connect(two)
    okta.on("user.*")(three)

    name = f"{HERE}:closures.<locals>.make.<locals>.closure"
    assert names(okta, "user.session.start") == [name, f"{name}#2", f"{name}#3"]


def test_numbers_do_not_depend_on_the_event(okta: EventHook) -> None:
    """A number belongs to the receiver, not to its position among those of one event."""
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
        (max, "builtins:max"),
    ],
    ids=[
        "function",
        "method",
        "class method",
        "static method",
        "object",
        "object without weak references",
        "partial function",
        "partial of a partial function",
        "partial method",
        "partial object",
        "built-in function",
    ],
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


@pytest.mark.parametrize("name", ["", "a\0b", "\ud800"])
def test_names_that_no_database_keeps(okta: EventHook, name: str) -> None:
    """A name with which nothing could be stored of any receiver is refused where it is given."""
    with pytest.raises(ValueError, match="cannot be one"):
        okta.on("*", name=name)(lambda app, **extra: None)


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
