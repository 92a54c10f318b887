"""Spans for OpenTelemetry: of deliveries and of receivers, linked over retries, restarts and processes.

It needs the extra ``opentelemetry``. ``opentelemetry-instrument`` finds it by its entry point.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context, trace
from opentelemetry.instrumentation.instrumentor import (  # type: ignore[attr-defined]
    BaseInstrumentor,
)
from opentelemetry.trace import Link, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from . import __version__, tracing

if TYPE_CHECKING:
    from collections.abc import Collection

    from .wire.events import Delivery, LogEvent

__all__ = ("OktaHooksInstrumentor",)

_FIRST_FAILURE: Final = 400
_propagator: Final = TraceContextTextMapPropagator()


class OktaHooksInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Instruments this library.

    A delivery has the span ``receive <hook>``, within that of the request if there is one. Each call of a receiver
    has ``process <receiver>``, in a trace of its own that is linked to the delivery's: it may come days later.
    ``instrument`` takes a ``tracer_provider``; by default it is OpenTelemetry's own.
    """

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return what has to be there: this library."""
        return ("okta-hooks",)

    def _instrument(self, **options: Any) -> None:
        provider = options.get("tracer_provider")
        tracing.install(_Tracer(trace.get_tracer(__name__, __version__, provider)))

    def _uninstrument(self, **_: Any) -> None:
        tracing.install(None)


class _Tracer:
    def __init__(self, tracer: trace.Tracer) -> None:
        self._tracer = tracer

    def receive(self, hook: str) -> _Span:
        return _Span(
            self._tracer.start_span(
                f"receive {hook}", kind=SpanKind.CONSUMER, attributes={"okta_hooks.hook": hook}
            )
        )

    def process(
        self, hook: str, receiver: str, event: LogEvent, delivery: Delivery, attempt: int
    ) -> _Span:
        links = []
        if delivery.traceparent is not None:
            carried = _propagator.extract({"traceparent": delivery.traceparent}, context.Context())
            links.append(Link(trace.get_current_span(carried).get_span_context()))
        attributes: dict[str, str | int] = {
            "okta_hooks.hook": hook,
            "okta_hooks.receiver": receiver,
            "okta_hooks.event_type": event.event_type or "",
            "okta_hooks.uuid": event.uuid or "",
            "okta_hooks.via": delivery.via,
            "okta_hooks.attempt": attempt,
        }
        return _Span(
            self._tracer.start_span(
                f"process {receiver}",
                kind=SpanKind.CONSUMER,
                links=links,
                attributes=attributes,
            )
        )


class _Span:
    """A span that is the current one until it ends."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span
        self._token = context.attach(trace.set_span_in_context(span))
        carrier: dict[str, str] = {}
        _propagator.inject(carrier)
        self.traceparent = carrier.get("traceparent")

    def end(self, error: BaseException | None, outcome: str | None) -> None:
        """End it, as failed if there was an error or the answer was one."""
        context.detach(self._token)
        if outcome is not None:
            self._span.set_attribute("http.response.status_code", int(outcome))
        if error is not None:
            # Its text may hold personal data, as may that of its traceback.
            self._span.set_status(Status(StatusCode.ERROR, type(error).__name__))
        elif outcome is not None and int(outcome) >= _FIRST_FAILURE:
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()
