from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Flask

if TYPE_CHECKING:
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
