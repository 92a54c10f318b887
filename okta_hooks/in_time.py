"""Asking what may hang, such as a database, and answering in time all the same."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Generic, TypeVar

from .threads import start_thread

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class InTime(Generic[T]):
    """Asks in a thread, of which there is one at a time however many ask: who comes meanwhile waits for its answer.

    So a question that hangs costs one thread, and whoever asks is told in time.

    :param question: Is called in that thread.
    """

    def __init__(self, question: Callable[[], T]) -> None:
        self._question = question
        self._lock = threading.Lock()
        self._asked: _Asked[T] | None = None

    @property
    def is_going_on(self) -> bool:
        """Whether somebody has asked, and the question is not answered yet."""
        asked = self._asked
        return asked is not None and asked.is_going_on

    def ask(self, seconds: float) -> T:
        """Return the answer, or raise what the question raised.

        :param seconds: How long to wait.
        :raises TimeoutError: if it took longer.
        :raises RuntimeError: if no thread can be started.
        """
        with self._lock:
            asked = self._asked
            if asked is None or not asked.is_going_on:
                self._asked = asked = _Asked()
                try:
                    start_thread(asked.run, self._question, name="okta-hooks-question")
                except BaseException:
                    # Where no thread can be started, the next to ask must not wait for one.
                    self._asked = None
                    raise
        if not asked.has_ended.wait(seconds):
            raise TimeoutError
        return asked.outcome()


class _Asked(Generic[T]):
    def __init__(self) -> None:
        self.pid = os.getpid()
        self.has_ended = threading.Event()
        self._answer: list[T] = []
        self._error: BaseException | None = None

    @property
    def is_going_on(self) -> bool:
        # A thread of the process that this one was forked off has not come along.
        return self.pid == os.getpid() and not self.has_ended.is_set()

    def run(self, question: Callable[[], T]) -> None:
        try:
            self._answer.append(question())
        except BaseException as error:  # noqa: BLE001 - it is raised where it was asked
            self._error = error
        finally:
            self.has_ended.set()

    def outcome(self) -> T:
        if isinstance(self._error, Exception):
            raise self._error
        if self._error is not None:
            # Not raised itself: it may be what tells a server to end, such as SystemExit.
            raise RuntimeError(f"it raised {type(self._error).__name__}") from self._error
        return self._answer[0]
