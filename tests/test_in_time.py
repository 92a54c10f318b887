from __future__ import annotations

import os
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

from okta_hooks.in_time import InTime
from tests.support import PATIENCE


def test_an_answer() -> None:
    """Each question that is asked when nobody waits is asked anew."""
    answers = iter((1, 2))
    asked = InTime(lambda: next(answers))

    assert [asked.ask(PATIENCE), asked.ask(PATIENCE)] == [1, 2]


def test_what_hangs_costs_one_thread() -> None:
    """Whoever asks is told in time; however many ask, one thread waits, and they get its answer when it comes."""
    may_answer = threading.Event()
    threads = []

    def question() -> int:
        threads.append(threading.current_thread())
        may_answer.wait()
        return len(threads)

    asked = InTime(question)
    for _ in range(20):
        with pytest.raises(TimeoutError):
            asked.ask(0.001)
    with ThreadPoolExecutor() as pool:
        waiting = [pool.submit(asked.ask, PATIENCE) for _ in range(4)]
        assert len(threads) == 1
        may_answer.set()
        assert {each.result() for each in waiting} <= {1, 2}


def test_what_is_raised() -> None:
    """An error is raised where it was asked; an order to end is not obeyed there, but named."""
    failing = InTime(lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        failing.ask(PATIENCE)

    def end() -> None:
        raise SystemExit(3)

    with pytest.raises(RuntimeError, match="SystemExit"):
        InTime(end).ask(PATIENCE)


def test_a_fork_while_it_hangs() -> None:
    """A child asks anew: the thread of its parent has not come along."""
    parent = os.getpid()
    may_answer = threading.Event()

    def question() -> str:
        if os.getpid() == parent:
            may_answer.wait()
        return "answered"

    asked = InTime(question)
    with pytest.raises(TimeoutError):
        asked.ask(0.01)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # of forking with threads: that is the case here
        child = os.fork()
    if child == 0:
        try:
            os._exit(0 if asked.ask(PATIENCE) == "answered" else 1)
        finally:
            os._exit(2)
    may_answer.set()

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_thread_that_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks then is told at once, and who asks later gets the answer."""
    asked = InTime(lambda: 7)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            asked.ask(PATIENCE)

    assert not asked.is_going_on
    assert asked.ask(PATIENCE) == 7


def no_thread(_: threading.Thread) -> None:
    """Do as a thread does where the system allows no more of them."""
    raise RuntimeError("can't start new thread")
