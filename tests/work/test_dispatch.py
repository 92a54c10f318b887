from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import flask
import pytest
from flask import Flask

from okta_hooks import Delivery, EventHook, LogEvent, Reject, RetryLater, signals
from okta_hooks.work.dispatch import notify_dead, notify_ran

from .support import APP, DELIVERY, EVENT, HOOK, deliver, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from blinker import NamedSignal


def fail(error: BaseException) -> Callable[..., None]:
    """Return a receiver that raises."""

    def receiver(sender: object, **extra: Any) -> None:
        raise error

    return receiver


def note(ran: list[str], text: str) -> Callable[..., None]:
    """Return a receiver that notes that it ran."""

    def receiver(sender: object, **extra: Any) -> None:
        ran.append(text)

    return receiver


@pytest.fixture
def sent() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """Return the list of what service signals were sent, with their arguments, as it grows."""
    seen: list[tuple[str, dict[str, Any]]] = []
    connected = []

    def listen(signal: NamedSignal) -> None:
        def listener(sender: object, **arguments: Any) -> None:
            seen.append((signal.name, {"sender": sender, **arguments}))

        connected.append((signal, signal.connect(listener, weak=False)))

    listen(signals.receiver_failed)
    listen(signals.event_done)
    listen(signals.event_dead)
    yield seen
    for signal, listener in connected:
        signal.disconnect(listener)


def test_what_a_receiver_gets() -> None:
    """A receiver is called as Flask's own signals call theirs: the app itself, the rest by keyword."""
    seen: list[Any] = []

    def receiver(*args: Any, **kwargs: Any) -> None:
        seen.append((args, kwargs))

    assert run(receiver, attempt=3) is None

    assert seen == [
        ((APP,), {"event": EVENT, "delivery": DELIVERY, "hook": HOOK, "attempt": 3}),
    ]
    assert seen[0][0][0] is APP


def test_fresh_context_for_each_call() -> None:
    """Each call has an application context of its own, which is torn down after it."""
    ran: list[bool] = []
    torn_down: list[Any] = []
    app = Flask("host")
    app.teardown_appcontext(torn_down.append)

    def receiver(sender: object, **extra: Any) -> None:
        assert not hasattr(flask.g, "mine")
        flask.g.mine = True
        ran.append(flask.current_app == sender)

    assert run(receiver, app=app) is run(receiver, app=app) is None

    assert ran == [True, True]
    assert torn_down == [None, None]
    assert not flask.has_app_context()


def test_context_of_a_receiver_that_fails() -> None:
    """The teardown functions see the receiver's error, as they see a view's, and the context is gone."""
    error = ZeroDivisionError()
    torn_down: list[Any] = []
    app = Flask("host")
    app.teardown_appcontext(torn_down.append)

    assert run(fail(error), app=app) is error

    assert torn_down == [error]
    assert not flask.has_app_context()


def test_failing_teardown() -> None:
    """An error while the context is torn down is the receiver's failure, and goes no further."""
    app = Flask("host")

    @app.teardown_appcontext
    def teardown(error: BaseException | None) -> None:
        raise ZeroDivisionError

    assert isinstance(run(note([], "ran"), app=app), ZeroDivisionError)


def test_a_failure_has_its_signal(sent: list[tuple[str, dict[str, Any]]]) -> None:
    """``receiver_failed`` tells which receiver failed at what, in which attempt, and how."""
    error = ZeroDivisionError()

    notify_ran(
        APP,
        hook=HOOK,
        receiver="mine",
        event=EVENT,
        delivery=DELIVERY,
        attempt=2,
        error=run(fail(error), attempt=2),
    )

    assert sent == [
        (
            "receiver-failed",
            {
                "sender": APP,
                "hook": HOOK,
                "receiver": "mine",
                "event": EVENT,
                "delivery": DELIVERY,
                "attempt": 2,
                "error": error,
            },
        )
    ]


# Orders to stop


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
def test_order_to_stop_in_the_main_thread(error: BaseException) -> None:
    """Ctrl-C and a server's order to exit reach whoever runs the process."""
    with pytest.raises(type(error)):
        run(fail(error))


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), GeneratorExit()])
def test_exit_in_another_thread(error: BaseException) -> None:
    """In a thread of a server, ``sys.exit()`` in a receiver is a failure like any other."""
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(run, fail(error)).result(timeout=30) is error


# A whole delivery


def test_every_event_is_dispatched(okta: EventHook) -> None:
    """Of N events of one type, N are dispatched, in their order, with what they came with."""
    seen: list[tuple[LogEvent, Delivery, EventHook, int]] = []

    @okta.on("user.session.start")
    def receiver(
        sender: Flask, event: LogEvent, delivery: Delivery, hook: EventHook, attempt: int
    ) -> None:
        seen.append((event, delivery, hook, attempt))

    failures = deliver(
        okta, *({"eventType": "user.session.start", "uuid": str(number)} for number in range(7))
    )

    assert failures == []
    assert [event.uuid for event, *_ in seen] == [str(number) for number in range(7)]
    assert {tuple(arguments) for _, *arguments in seen} == {(DELIVERY, okta, 1)}


def test_isolation(okta: EventHook, sent: list[tuple[str, dict[str, Any]]]) -> None:
    """Of three receivers with the middle one failing, the others run for each event."""
    ran: list[str] = []

    @okta.on("*")
    def first(sender: Flask, **extra: Any) -> None:
        ran.append("first")

    @okta.on("*", name="middle")
    def middle(sender: Flask, **extra: Any) -> None:
        raise ZeroDivisionError

    @okta.on("*")
    def last(sender: Flask, **extra: Any) -> None:
        ran.append("last")

    failures = deliver(okta, "user.session.start", "user.session.end")

    assert ran == ["first", "last"] * 2
    assert [type(error) for error in failures] == [ZeroDivisionError] * 2
    assert [(name, what["receiver"]) for name, what in sent] == [("receiver-failed", "middle")] * 2


def test_failure_that_is_no_exception(okta: EventHook) -> None:
    """Isolation holds for what only derives from ``BaseException``."""
    ran: list[str] = []
    okta.on("*")(fail(GeneratorExit()))

    @okta.on("*")
    def last(sender: Flask, **extra: Any) -> None:
        ran.append("last")

    failures = deliver(okta, "user.session.start")

    assert ran == ["last"]
    assert [type(error) for error in failures] == [GeneratorExit]


def test_done(okta: EventHook, sent: list[tuple[str, dict[str, Any]]]) -> None:
    """``event_done`` is sent when every receiver of an event has finished it, also if it has none."""
    okta.on("user.session.start")(note([], "ran"))

    deliver(okta, "user.session.start", "zone.update")

    assert [(name, what["event"].event_type) for name, what in sent] == [
        ("event-done", "user.session.start"),
        ("event-done", "zone.update"),
    ]
    assert sent[0][1]["sender"] is APP
    assert sent[0][1]["hook"] is okta
    assert sent[0][1]["delivery"].event_id == "d-1"


def test_retry_later(okta: EventHook, sent: list[tuple[str, dict[str, Any]]]) -> None:
    """Without an inbox nobody can wait: ``RetryLater`` is a failure that Okta's retry may cure."""
    okta.on("*", name="mine")(fail(RetryLater(30)))

    (error,) = deliver(okta, "user.session.start")

    assert isinstance(error, RetryLater)
    assert error.seconds == 30
    assert str(error) == "the receiver asked for another attempt in 30 s"
    assert [name for name, _ in sent] == ["receiver-failed"]


@pytest.mark.parametrize("seconds", [-1, float("inf"), float("nan")])
def test_retry_at_no_time(seconds: float) -> None:
    """A wait that has no end, or is over before it begins, is a mistake."""
    with pytest.raises(ValueError, match="number of seconds from 0"):
        RetryLater(seconds)


def test_reject(
    okta: EventHook, sent: list[tuple[str, dict[str, Any]]], caplog: pytest.LogCaptureFixture
) -> None:
    """``Reject`` makes a dead letter at once: logged, with its signal, and nothing for Okta to retry."""
    ran: list[str] = []
    okta.on("*", name="mine")(fail(Reject("no such account")))
    okta.on("*")(note(ran, "other"))

    with caplog.at_level(logging.ERROR, "okta_hooks"):
        failures = deliver(okta, {"eventType": "user.session.start", "uuid": "u-1"})

    assert failures == []
    assert ran == ["other"]
    assert [name for name, _ in sent] == ["receiver-failed", "event-dead"]
    dead = sent[1][1]
    assert (dead["receiver"], dead["reason"]) == ("mine", "no such account")
    assert dead["event"].uuid == "u-1"
    assert dead["hook"] is okta
    (message,) = caplog.messages
    assert message == (
        "Dead letter of the hook 'okta': <LogEvent 'user.session.start' 'u-1'> for mine, "
        "from the delivery 'd-1': no such account"
    )


@pytest.mark.parametrize(
    ("via", "origin"), [("hook", "a delivery without an eventId"), ("backfill", "a backfill")]
)
def test_a_dead_letter_without_a_delivery_id(
    okta: EventHook, caplog: pytest.LogCaptureFixture, via: str, origin: str
) -> None:
    """The log says in words where it came from."""
    delivery = Delivery(event_id=None, source=None, via=via, received_at=datetime.now(UTC))

    notify_dead(
        Flask("host"), hook=okta, delivery=delivery, event=None, receiver=None, reason="it is so"
    )

    assert f"from {origin}: it is so" in caplog.text


def test_unreadable_event(
    okta: EventHook, sent: list[tuple[str, dict[str, Any]]], caplog: pytest.LogCaptureFixture
) -> None:
    """An unreadable event is a dead letter with its reason, and the others of the delivery run."""
    ran: list[str] = []

    @okta.on("*")
    def receiver(sender: Flask, event: LogEvent, **extra: Any) -> None:
        ran.append(event.event_type)

    with caplog.at_level(logging.ERROR, "okta_hooks"):
        failures = deliver(okta, "user.session.start", "hush", {"eventType": ["hush"]}, 7, None)
    failures += deliver(okta, ["hush"], "user.session.end")

    assert failures == []
    assert ran == ["user.session.start", "hush", "user.session.end"]
    dead = [what for name, what in sent if name == "event-dead"]
    assert [(what["event"], what["receiver"]) for what in dead] == [(None, None)] * 4
    assert [what["reason"] for what in dead] == [
        "The event has no eventType, or one that is not text.",
        "The event is not a JSON object.",
        "The event is not a JSON object.",
        "The event is not a JSON object.",
    ]
    assert caplog.messages[0] == (
        "Dead letter of the hook 'okta': an unreadable event for all receivers, "
        "from the delivery 'd-1': The event has no eventType, or one that is not text."
    )
    assert "hush" not in caplog.text


def test_null_target(okta: EventHook) -> None:
    """An event whose ``target`` is null has no targets, and crashes no receiver that looks for some."""
    seen: list[object] = []

    @okta.on("*")
    def receiver(sender: Flask, event: LogEvent, **extra: Any) -> None:
        seen.append((event.targets_of("User"), event.target_of("User"), event.changed_attributes))

    assert deliver(okta, {"eventType": "user.session.start", "target": None}) == []
    assert seen == [((), None, ())]


def test_connected_for_one_app_only(okta: EventHook) -> None:
    """A receiver that is connected via one app runs for that app's deliveries alone."""
    mine, another = Flask("mine"), Flask("another")
    ran: list[Flask] = []

    @okta.signal("user.session.start").connect_via(mine)
    def receiver(sender: Flask, **extra: Any) -> None:
        ran.append(sender)

    deliver(okta, "user.session.start", app=another)
    deliver(okta, "user.session.start", app=mine)

    assert ran == [mine]


def test_muted_and_connected_to(okta: EventHook) -> None:
    """A muted signal dispatches nothing; a receiver connected for a while runs in that while."""
    ran: list[str] = []

    def receiver(sender: Flask, event: LogEvent, **extra: Any) -> None:
        ran.append(event.event_type)

    signal = okta.signal("user.*")
    with signal.connected_to(receiver):
        deliver(okta, "user.session.start")
        with signal.muted():
            deliver(okta, "user.session.end")
    deliver(okta, "user.lifecycle.create")

    assert ran == ["user.session.start"]


def test_failing_receivers_of_service_signals(
    okta: EventHook, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever listens to the service cannot disturb it: what fails there is logged, and all goes on."""
    ran: list[str] = []
    okta.on("*")(fail(ZeroDivisionError()))
    okta.on("*")(fail(Reject("never")))
    okta.on("*")(note(ran, "last"))
    broken = fail(RuntimeError("a listener"))

    with (
        signals.receiver_failed.connected_to(broken),
        signals.event_dead.connected_to(broken),
        signals.event_done.connected_to(broken),
        caplog.at_level(logging.ERROR, "okta_hooks.signals"),
    ):
        failures = deliver(okta, "user.session.start", 7)

    assert ran == ["last"]
    assert [type(error) for error in failures] == [ZeroDivisionError]
    logged = [record.message for record in caplog.records if record.name == "okta_hooks.signals"]
    assert logged == [
        "A receiver of the signal receiver-failed failed.",
        "A receiver of the signal receiver-failed failed.",
        "A receiver of the signal event-dead failed.",
        "A receiver of the signal event-dead failed.",
    ]
