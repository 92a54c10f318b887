"""What a type checker sees of receivers, signals and event types. Nothing here runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_type

from blinker import NamedSignal
from flask import Blueprint, Flask

from okta_hooks import (
    ConfigurationError,
    Delivery,
    EventHook,
    LogEvent,
    OktaHooksError,
    Reject,
    RetryLater,
    __version__,
    drain,
    load_event,
    signals,
    start,
    state_of,
)
from okta_hooks.catalog import RELEASE, CatalogEntry, EventType, get, suggest
from okta_hooks.state import AppState

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

okta = EventHook("okta", url_prefix="/hooks")
blueprint: Blueprint = okta


# The decorator keeps the type of what it decorates.


@okta.on("user.lifecycle.deactivate")
def receiver(sender: Flask, event: LogEvent, delivery: Delivery, **extra: Any) -> int:
    return 1


function: Callable[[Flask, LogEvent, Delivery], int] = receiver


@okta.on("user.*", "group.*", name="directory", concurrency=2)
async def async_receiver(sender: Flask, event: LogEvent, **extra: Any) -> None:
    raise RetryLater(0.5) from Reject("never")


async_function: Callable[[Flask, LogEvent], Awaitable[None]] = async_receiver


def called(app: Flask, event: LogEvent, delivery: Delivery) -> None:
    assert_type(receiver(app, event, delivery=delivery, more=1), int)
    assert_type(for_one_app(app), str)


wrong: Callable[[int], str] = receiver  # type: ignore[assignment]
okta.on(7)  # type: ignore[arg-type]
okta.on("*")(7)  # type: ignore[type-var]
okta.on("*", concurrency="2")  # type: ignore[arg-type]
okta.on("*", timeout="2")  # type: ignore[arg-type]
okta.on("*", queue=7)  # type: ignore[arg-type]


@okta.on("user.session.*", timeout=2.5, queue="slow")
def hasty(sender: Flask, event: LogEvent, **extra: Any) -> None:
    pass


quick: Callable[[Flask, LogEvent], None] = hasty


# What an app has, and what is raised if it has nothing.


def state(app: Flask) -> None:
    assert_type(state_of(app), AppState)
    assert_type(state_of(app).url_of("okta"), str)
    assert_type(state_of(app).path_of("okta"), str | None)
    state_of("app")  # type: ignore[arg-type]


refusal: OktaHooksError = ConfigurationError("wrong")
builtin: RuntimeError = ConfigurationError("wrong")


# Signals are blinker's.

assert_type(okta.signal("user.*"), NamedSignal)
assert_type(signals.hook_verified, NamedSignal)
assert_type(signals.delivery_stored, NamedSignal)
assert_type(signals.delivery_refused, NamedSignal)
assert_type(signals.receiver_failed, NamedSignal)
assert_type(signals.event_done, NamedSignal)
assert_type(signals.event_dead, NamedSignal)


@okta.signal("user.session.start").connect_via(Flask("app"))
def for_one_app(sender: Flask, **extra: Any) -> str:
    return ""


# Event types: what Okta publishes is completed, anything else is accepted.

known: EventType = "user.session.start"
unknown: EventType = "user.session.strat"  # type: ignore[assignment]
okta.on(known, "brand.new.type")
release: str = RELEASE
assert_type(get("user.session.start"), CatalogEntry | None)
assert_type(suggest("user.session.strat"), str | None)


def by_hand(app: Flask, event: LogEvent) -> None:
    assert_type(load_event(event.raw), LogEvent)
    assert_type(load_event("{}"), LogEvent)
    assert_type(load_event(b"{}"), LogEvent)
    assert_type(drain(app), int)
    assert_type(drain(app, until=1.5), int)
    start(app)
    assert_type(__version__, str)
    assert_type(signals.receiver_started, NamedSignal)
    load_event([])  # type: ignore[arg-type]
