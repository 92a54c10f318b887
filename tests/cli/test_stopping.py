from __future__ import annotations

import signal
import threading

import pytest

from okta_hooks.cli.stopping import work_with_signals
from tests.support import PATIENCE


def test_a_signal_that_does_not_wake_the_main_thread() -> None:
    """The system may give it to another thread, or to the main one just before it goes to sleep."""
    heard = threading.Event()

    def work() -> bool:
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        return heard.wait(PATIENCE)

    assert work_with_signals(work, lambda _: heard.set())


def test_signals_that_come_together() -> None:
    """A signal that comes while another is handled is handled after that, not within it."""
    said: list[str] = []
    is_handled = threading.Event()

    def on_signal(number: int) -> None:
        said.append(f"begin {number}")
        if number == signal.SIGTERM:
            signal.raise_signal(signal.SIGINT)
        else:
            is_handled.set()
        said.append(f"end {number}")

    def work() -> None:
        signal.pthread_kill(main, signal.SIGTERM)
        is_handled.wait(PATIENCE)

    main = threading.get_ident()
    work_with_signals(work, on_signal)

    assert said == ["begin 15", "end 15", "begin 2", "end 2"]


def test_what_the_work_raises_is_raised() -> None:
    """As if it had not been done in another thread."""

    def work() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work_with_signals(work, lambda _: None)
