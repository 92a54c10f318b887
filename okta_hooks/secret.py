"""What must not be shown: secrets, tokens and passwords, and the errors that are raised where these are in hand.

Whatever reports errors with the variables of their frames, as Sentry does, reports ``repr`` of what stands there.
"""

from __future__ import annotations

import functools
import hmac
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")


class Secret:
    """A text of which neither ``repr`` nor ``str`` shows anything. Two are compared in constant time."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the text. Keep it in no variable while something may be raised or logged."""
        return self._value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        mine, others = (each.encode(errors="surrogatepass") for each in (self._value, other._value))
        return hmac.compare_digest(mine, others)

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return "Secret(...)"


def revealed(value: Any) -> Any:
    """Return what JSON can hold of a value: of each secret in it, its text."""
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, Mapping):
        return {key: revealed(each) for key, each in value.items()}
    if isinstance(value, list):
        return [revealed(each) for each in value]
    return value


def frameless(function: Callable[P, T]) -> Callable[P, T]:
    """Let what a function raises hold none of the frames below this one, nor what was raised before it.

    It is for functions that have secrets in plain text in hand, or call others' code that has.
    """

    @functools.wraps(function)
    def call(*arguments: P.args, **named: P.kwargs) -> T:
        try:
            return function(*arguments, **named)
        except Exception as error:  # noqa: BLE001 - it is raised again
            failure = error
        del arguments, named
        failure.__cause__ = failure.__context__ = None
        raise failure.with_traceback(None)

    return call
