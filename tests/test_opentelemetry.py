"""Traces: OpenTelemetry's own SDK, with the spans of an app over a real inbox."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from okta_hooks import EventHook, RetryLater, tracing
from okta_hooks.opentelemetry import OktaHooksInstrumentor
from okta_hooks.testing import make_delivery, make_event
from tests.support import CREATED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask import Flask
    from opentelemetry.sdk.trace import ReadableSpan

    from okta_hooks.wire.events import Delivery

HEADERS = {"Authorization": "s3cret"}


@pytest.fixture
def provider() -> TracerProvider:
    """Return what makes tracers."""
    return TracerProvider()


@pytest.fixture
def spans(provider: TracerProvider) -> Iterator[Callable[[], list[ReadableSpan]]]:
    """Instrument the library, and return a function that returns the spans that have ended."""
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    OktaHooksInstrumentor().instrument(tracer_provider=provider)
    yield lambda: list(exporter.get_finished_spans())
    OktaHooksInstrumentor().uninstrument()


def start(
    make_app: Callable[..., Flask], inbox_url: str | None, receiver: Callable[..., Any]
) -> Flask:
    """Return an app as another process would make it."""
    okta = EventHook("okta")
    okta.on(CREATED, name="staff")(receiver)
    # Its events are handled when the test says so.
    return make_app(okta, SECRET="s3cret", INBOX=inbox_url, WORKER="external")


def deliver(app: Flask) -> None:
    delivery = make_delivery([make_event(CREATED)])
    answer = app.test_client().post("/okta/events", json=delivery, headers=HEADERS)
    assert answer.status_code == 204


def drain(app: Flask) -> None:
    app.extensions["okta_hooks"].runtime().worker.drain()
    app.extensions["okta_hooks"].close()


def test_a_receiver_is_linked_to_its_delivery(
    make_app: Callable[..., Flask],
    inbox_url: str,
    provider: TracerProvider,
    spans: Callable[[], list[ReadableSpan]],
) -> None:
    """Over a restart and a retry: each call has a trace of its own, with a link to the request's."""
    app = start(make_app, inbox_url, lambda *_, **__: None)
    with provider.get_tracer("host").start_as_current_span("POST /okta/events") as request:
        deliver(app)
    app.extensions["okta_hooks"].close()
    seen: list[Any] = []

    def receiver(sender: Flask, event: Any, delivery: Delivery, attempt: int, **_: Any) -> None:
        seen.append((delivery.traceparent, trace.get_current_span().get_span_context()))
        if attempt == 1:
            raise RetryLater(0)

    drain(start(make_app, inbox_url, receiver))

    received, _, *processed = spans()
    assert (received.name, [span.name for span in processed]) == (
        "receive okta",
        ["process staff", "process staff"],
    )
    assert received.parent == request.get_span_context()
    context = received.context
    assert context is not None
    for span, (traceparent, current) in zip(processed, seen, strict=True):
        (link,) = span.links
        assert (link.context.trace_id, link.context.span_id) == (context.trace_id, context.span_id)
        assert traceparent.startswith(f"00-{context.trace_id:032x}-{context.span_id:016x}-")
        assert span.parent is None
        assert span.context == current
    assert [span.status.status_code for span in processed] == [StatusCode.ERROR, StatusCode.UNSET]
    assert dict(processed[1].attributes or {}) | {"okta_hooks.uuid": ""} == {
        "okta_hooks.hook": "okta",
        "okta_hooks.receiver": "staff",
        "okta_hooks.event_type": CREATED,
        "okta_hooks.uuid": "",
        "okta_hooks.via": "hook",
        "okta_hooks.attempt": 2,
    }


def test_a_refused_delivery_is_an_error(
    make_app: Callable[..., Flask], spans: Callable[[], list[ReadableSpan]]
) -> None:
    """Its span has the status of the answer."""
    app = start(make_app, None, lambda *_, **__: None)

    app.test_client().post("/okta/events", json={}, headers={"Authorization": "wrong"})

    (received,) = spans()
    assert received.status.status_code is StatusCode.ERROR
    assert dict(received.attributes or {}) == {
        "okta_hooks.hook": "okta",
        "http.response.status_code": 401,
    }


def test_what_a_receiver_says_is_not_recorded(
    make_app: Callable[..., Flask], inbox_url: str, spans: Callable[[], list[ReadableSpan]]
) -> None:
    """The text of its error may be personal: only the type is."""

    def receiver(*_: Any, **__: Any) -> None:
        raise LookupError("ada@example.com")

    app = start(make_app, inbox_url, receiver)
    deliver(app)
    drain(app)

    processed = spans()[-1]
    assert processed.status.description == "LookupError"
    assert "ada@" not in processed.to_json()


def test_a_tracer_that_fails(
    make_app: Callable[..., Flask], inbox_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged; deliveries are stored and receivers run as without it."""

    class Broken:
        def receive(self, *_: Any) -> Any:
            raise RuntimeError("no tracer")

        def process(self, *_: Any) -> Any:
            raise LookupError("no span")

    ran: list[str] = []
    app = start(make_app, inbox_url, lambda *_, event, **__: ran.append(event.uuid))
    tracing.install(Broken())
    try:
        deliver(app)
        drain(app)
    finally:
        tracing.install(None)

    assert len(ran) == 1
    assert caplog.text.count("The tracer failed.") == 2


def test_opentelemetry_finds_it() -> None:
    """``opentelemetry-instrument`` goes by the entry point."""
    from importlib.metadata import entry_points

    (found,) = entry_points(group="opentelemetry_instrumentor", name="okta_hooks")
    assert found.load() is OktaHooksInstrumentor
