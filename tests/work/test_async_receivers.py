from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Any

import flask
import pytest
from flask import Flask

from .support import EVENT, run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from okta_hooks import LogEvent


async def coroutine_function(sender: Flask, *, event: LogEvent, **extra: Any) -> None:
    """Leave a mark after having really waited."""
    await asyncio.sleep(0)
    sender.extensions["seen"].append((event, flask.current_app.name, "one", extra.get("two")))


class AsyncCallable:
    """A callable object whose call is a coroutine."""

    async def __call__(self, sender: Flask, **extra: Any) -> None:
        """Do as a coroutine function would."""
        await coroutine_function(sender, **extra)

    async def method(self, sender: Flask, **extra: Any) -> None:
        """Do as a coroutine function would."""
        await coroutine_function(sender, **extra)


class OwnAwaitable:
    """An awaitable that is no coroutine."""

    def __init__(self, coroutine: Awaitable[None]) -> None:
        self.coroutine = coroutine

    def __await__(self) -> Any:
        return self.coroutine.__await__()


def returns_a_coroutine(sender: Flask, **extra: Any) -> Awaitable[None]:
    """Return a coroutine from a plain function."""
    return coroutine_function(sender, **extra)


def returns_an_awaitable(sender: Flask, **extra: Any) -> Awaitable[None]:
    """Return what can be awaited, though it is no coroutine."""
    return OwnAwaitable(coroutine_function(sender, **extra))


@pytest.mark.parametrize(
    "call",
    [
        coroutine_function,
        AsyncCallable(),
        AsyncCallable().method,
        functools.partial(coroutine_function, two=None),
        functools.partial(AsyncCallable(), two=None),
        returns_a_coroutine,
        returns_an_awaitable,
    ],
    ids=lambda call: getattr(call, "__qualname__", type(call).__name__),
)
def test_async_receivers(call: Callable[..., Any]) -> None:
    """Whatever returns an awaitable is awaited to its end, in the receiver's application context."""
    app = Flask("host")
    app.extensions["seen"] = []

    assert run(call, app=app) is None

    assert app.extensions["seen"] == [(EVENT, "host", "one", None)]


def test_async_failure() -> None:
    """What a coroutine raises after it has waited is the receiver's failure."""

    async def receiver(sender: object, **extra: Any) -> None:
        await asyncio.sleep(0)
        raise ZeroDivisionError

    assert isinstance(run(receiver), ZeroDivisionError)


def test_cancelled_coroutine() -> None:
    """A coroutine that is cancelled has failed, though that is no ``Exception``."""

    async def receiver(sender: object, **extra: Any) -> None:
        raise asyncio.CancelledError

    assert isinstance(run(receiver), asyncio.CancelledError)


def test_the_host_s_own_ensure_sync() -> None:
    """Coroutines run as the host app runs those of its views."""
    used: list[str] = []

    class Host(Flask):
        def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
            used.append(self.name)
            return super().ensure_sync(func)

    app = Host("host")
    app.extensions["seen"] = []

    assert run(coroutine_function, app=app) is None

    assert used == ["host"]


async def asynchronous_generator() -> AsyncIterator[None]:
    """Yield nothing of interest."""
    yield


@pytest.mark.parametrize(
    "returned",
    [lambda: (each for each in [1]), asynchronous_generator],
    ids=["generator", "asynchronous generator"],
)
def test_a_generator_that_is_returned(returned: Callable[[], object]) -> None:
    """The receiver has failed: no line of the generator has run."""
    error = run(lambda app, **extra: returned())

    assert isinstance(error, TypeError)
    assert str(error).startswith("The receiver returned a generator, of which no line has run")
