"""Receivers of every kind, and what they are called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Flask

if TYPE_CHECKING:
    from collections.abc import Callable

    from okta_hooks import EventHook

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


def closures(number: int) -> list[Callable[..., None]]:
    """Return functions of one qualified name."""

    def make() -> Callable[..., None]:
        def closure(sender: object, **extra: Any) -> None:
            """Do nothing."""

        return closure

    return [make() for _ in range(number)]
