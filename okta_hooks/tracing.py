"""Where tracing comes in: around a delivery that is received, and around each call of a receiver.

Nothing here knows a library for tracing; with none installed, nothing is done. What a tracer raises goes no further.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from .host_code import contained
from .logs import plain_logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from .wire.events import Delivery, LogEvent

logger = plain_logger(__name__)


class Span(Protocol):
    """What is being traced, in the thread in which it began."""

    #: By what others refer to it, as the header of that name in W3C's Trace Context; None if it is not recorded.
    traceparent: str | None

    def end(self, error: BaseException | None, outcome: str | None) -> None:
        """End it.

        :param error: What a receiver raised, or None.
        :param outcome: The status of an answer, or None.
        """


class Tracer(Protocol):
    """Begins spans."""

    def receive(self, hook: str) -> Span:
        """Begin the span of a request with a delivery."""

    def process(
        self, hook: str, receiver: str, event: LogEvent, delivery: Delivery, attempt: int
    ) -> Span:
        """Begin the span of a call of a receiver."""


class _Installed:
    tracer: Tracer | None = None


def install(tracer: Tracer | None) -> None:
    """Let a tracer begin spans from now on, or with None nobody."""
    _Installed.tracer = tracer


def begin(make: Callable[[Tracer], Span]) -> Span | None:
    """Begin a span, if there is a tracer."""
    tracer = _Installed.tracer
    if tracer is None:
        return None
    made: list[Span] = []
    _guard(lambda: made.append(make(tracer)))
    return made[0] if made else None


def end(span: Span | None, error: BaseException | None = None, outcome: str | None = None) -> None:
    """End a span, if it was begun."""
    if span is not None:
        _guard(lambda: span.end(error, outcome))


def _guard(call: Callable[[], Any]) -> None:
    error = contained(call)
    if error is not None:
        contained(logger.error, "The tracer failed.", exc_info=error)
