"""What the host attaches to the service may raise anything: it stops nothing, and repeats nothing."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask

from okta_hooks import Reject, signals
from okta_hooks.logs import get_logger
from okta_hooks.outage import Lines, Outage
from okta_hooks.wire import reading
from tests.support import SQLITE, counts, receipts, states, until

from .support import APP, Heard, await_, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .support import System


class Unprintable(Exception):
    """An error that cannot say what it is."""

    def __str__(self) -> str:
        raise GeneratorExit

    __repr__ = __str__


ERRORS = [
    asyncio.CancelledError(),
    GeneratorExit(),
    SystemExit(3),
    KeyboardInterrupt(),
    Unprintable(),
]
OF_A_RUN = [
    signals.receiver_started,
    signals.receiver_done,
    signals.receiver_failed,
    signals.event_done,
    signals.event_dead,
]


@pytest.fixture(params=ERRORS, ids=lambda error: type(error).__name__)
def error(request: pytest.FixtureRequest) -> BaseException:
    """Return something that no code should raise."""
    raised: BaseException = request.param
    return raised


@SQLITE
@pytest.mark.parametrize("signal", OF_A_RUN, ids=lambda signal: signal.name)
def test_a_handler_that_raises_anything(
    system: System, finished: threading.Semaphore, error: BaseException, signal: Any
) -> None:
    """Each event is handled once, and its lane, which is a thread, goes on with the next."""
    heard = system.on("*", name="a")(Heard(Reject("no"), LookupError()))

    def fail(sender: Flask, **extra: Any) -> None:
        raise error

    system.store("dead", "dead, too", "done")
    worker = system.make_worker(max_attempts=1)
    with signal.connected_to(fail):
        worker.start()
        await_(finished, 3)
        until(lambda: "claimed" not in counts(system.inbox))

    assert heard.uuids == ["dead", "dead, too", "done"]
    assert states(system.inbox) == {"dead": "dead", "dead, too": "dead", "done": "done"}
    assert system.make_worker(system.inbox).drain() == 0


@SQLITE
@pytest.mark.parametrize("signal", OF_A_RUN, ids=lambda signal: signal.name)
def test_nobody_is_told_before_it_is_settled(system: System, signal: Any) -> None:
    """Who is told of an attempt finds in the inbox what became of it: a handler cannot undo it."""
    seen: list[tuple[str, int]] = []

    def look(sender: Flask, event: Any, **extra: Any) -> None:
        seen.append(receipts(system.inbox, event.uuid)["a"])

    system.on("*", name="a")(Heard(LookupError(), Reject("no")))
    system.store("x", "y", "z")
    with signal.connected_to(look):
        system.drain()

    expected = {
        signals.receiver_started: [("claimed", 0), ("claimed", 0), ("claimed", 0)],
        signals.receiver_done: [("done", 1)],
        signals.receiver_failed: [("pending", 1), ("dead", 1)],
        signals.event_done: [("done", 1)],
        signals.event_dead: [("dead", 1)],
    }
    assert seen == expected[signal]


@SQLITE
def test_a_handler_that_raises_when_an_event_cannot_be_read(
    system: System, finished: threading.Semaphore, error: BaseException
) -> None:
    """The worker's own thread, and what tells of it, go on."""
    heard = system.on("*")(Heard())

    def fail(sender: Flask, **extra: Any) -> None:
        raise error

    system.store({"uuid": "a", "eventType": "x" * 201}, {"uuid": "b", "eventType": "é" * 3})
    with signals.event_dead.connected_to(fail):
        system.make_worker().start()
        await_(finished, 2)
        system.store("c")
        await_(finished)

    assert sorted(heard.uuids) == ["a", "b", "c"]


class Refusing(logging.Handler):
    """A handler of the log that fails at everything."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def handle(self, _: logging.LogRecord) -> bool:
        """Fail."""
        raise self.error


@pytest.fixture
def broken_log(error: BaseException) -> Iterator[None]:
    """Let each line that is logged raise."""
    handler = Refusing(error)
    logger = logging.getLogger("okta_hooks")
    logger.addHandler(handler)
    yield
    logger.removeHandler(handler)


@SQLITE
@pytest.mark.usefixtures("broken_log")
def test_a_log_that_raises(system: System, finished: threading.Semaphore) -> None:
    """What fails is logged, or not; each event is handled once, dead or done, and the threads go on."""
    heard = system.on("*", name="a")(Heard(LookupError(), Reject("no")))

    def fail(sender: Flask, **extra: Any) -> None:
        raise ZeroDivisionError

    system.store("a", "b", "c")
    worker = system.make_worker(max_attempts=1)
    with signals.receiver_done.connected_to(fail):
        worker.start()
        await_(finished, 3)

    assert heard.uuids == ["a", "b", "c"]
    assert counts(system.inbox) == {"dead": 2, "done": 1}


@SQLITE
@pytest.mark.usefixtures("broken_log")
def test_a_log_that_raises_in_a_pass_that_fails(
    system: System, finished: threading.Semaphore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker's thread survives a pass that fails though it cannot say so."""
    system.on("*")(Heard())
    monkeypatch.setattr("okta_hooks.work.worker._SECONDS_AFTER_FAILURE", 0.01)
    worker = system.make_worker(system.inbox)
    assigned = system.inbox.assignments.assign
    failures = [ZeroDivisionError(), ZeroDivisionError()]

    def assign(*arguments: Any) -> Any:
        if failures:
            raise failures.pop()
        return assigned(*arguments)

    monkeypatch.setattr(system.inbox.assignments, "assign", assign)
    system.store("a")
    worker.start()

    await_(finished)

    assert failures == []


def test_a_log_names_where_it_was_written(caplog: pytest.LogCaptureFixture) -> None:
    """The line of the module that logs is told, not that of the barrier around it."""
    lines = Lines(begins="away: %s", goes_on="%.0f %d %s", ends="%.0f %d")
    Outage(get_logger("okta_hooks.outage"), lines).failed(LookupError("away"))
    assert [record.module for record in caplog.records] == ["outage"]
    assert caplog.records[0].funcName == "failed"


def test_a_context_whose_teardown_raises(error: BaseException) -> None:
    """A receiver whose application context does not end well has failed."""
    app = Flask("host")

    @app.teardown_appcontext
    def fail(_: object) -> None:
        raise error

    outcome: list[BaseException | None] = []
    thread = threading.Thread(target=lambda: outcome.append(run(lambda *_, **__: None, app=app)))
    thread.start()
    thread.join()

    assert outcome == [error]


def test_ensure_sync_that_raises() -> None:
    """A host that cannot run coroutines lets the receiver fail, and nothing else."""

    class Host(Flask):
        def ensure_sync(self, _: Callable[..., Any]) -> Callable[..., Any]:
            raise asyncio.CancelledError

    class Awaitable:
        def __await__(self) -> Any:
            raise AssertionError

    assert isinstance(run(lambda *_, **__: Awaitable(), app=Host("host")), asyncio.CancelledError)


def test_an_order_to_stop_is_obeyed_in_the_main_thread() -> None:
    """Ctrl-C, and the exit that a server's signal handler raises, come out of a receiver there."""

    def interrupted(sender: object, **extra: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(interrupted, app=APP)


@SQLITE
def test_what_cannot_be_prepared_fails_like_a_receiver(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An attempt that cannot even begin counts: otherwise it would be first in its lane for ever."""
    heard = system.on("*", name="a")(Heard())
    load_event = reading.load_event

    def load(raw: Any) -> Any:
        if raw["uuid"] == "bad":
            raise RecursionError
        return load_event(raw)

    monkeypatch.setattr(reading, "load_event", load)
    system.store("bad", "good")

    assert system.make_worker(max_attempts=1).drain() == 2

    assert heard.uuids == ["good"]
    assert states(system.inbox) == {"bad": "dead", "good": "done"}


@SQLITE
def test_events_whose_receivers_cannot_be_told(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of which nobody can tell who is to have it keeps the others from nothing."""
    heard = system.on("*", name="a")(Heard())
    matching = system.okta.receivers.matching

    def match(event_type: str, sender: object) -> Any:
        if event_type == "bad.type":
            raise ZeroDivisionError
        return matching(event_type, sender)

    monkeypatch.setattr(system.okta.receivers, "matching", match)
    system.store({"uuid": "bad", "eventType": "bad.type"}, "good")

    system.make_worker().drain()

    assert heard.uuids == ["good"]
    assert states(system.inbox) == {"bad": "dead", "good": "done"}
