"""The metrics of an inbox, in the terms of Prometheus. It needs the extra ``prometheus``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from .exceptions import InboxUnavailable
from .in_time import InTime
from .inbox.counters import DELIVERIES, EVENTS, RECOVERED, REFUSED
from .inbox.tables import DURATIONS
from .settings import CELERY
from .state import state_of
from .work.lease import at_work

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from flask import Flask
    from prometheus_client import Metric

    from .inbox import Inbox
    from .inbox.counters import Counted
    from .inbox.gauges import Arrived, Held
    from .inbox.totals import Attempts
    from .receivers import Hook
    from .work.lease import AtWork

    _Numbers: TypeAlias = dict[tuple[str, ...], int]

#: Whoever asks is answered within a second.
_SECONDS: Final = 0.8
_SECONDS_TO_FLUSH: Final = 0.3
_VIAS: Final = ("hook", "backfill")
_RESULTS: Final = ("new", "duplicate", "dead")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What is read of one inbox for one scrape."""

    hooks: Sequence[str]
    #: Of the receivers that are connected here and are in one, by hook and name.
    queues: Mapping[tuple[str, str], str]
    held: Sequence[Held]
    #: The hooks and names of the receivers that are paused.
    paused: Collection[tuple[str, str]]
    arrived: Sequence[Arrived]
    at_work: AtWork
    #: Whether receivers wait for relays.
    needs_relay: bool
    bytes: int
    counted: Mapping[Counted, int]
    attempts: Sequence[Attempts]


class Metrics:
    """Reads the figures of an app's inbox, within a second whatever the database does."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._figures = InTime(self._read)

    def figures(self) -> Figures | None:
        """Return what the inbox holds and has counted, or None if the app has none.

        :raises InboxUnavailable: if the database does not say so in time.
        :raises RuntimeError: if no hook is registered in the app.
        """
        try:
            return self._figures.ask(_SECONDS)
        except TimeoutError as error:
            raise InboxUnavailable(f"it did not answer within {_SECONDS:g} s") from error

    def _read(self) -> Figures | None:
        state = state_of(self._app)
        if state.settings.inbox is None:
            return None
        inbox = state.runtime().inbox
        hooks = sorted(state.hooks)
        _flush(inbox)
        return Figures(
            hooks=hooks,
            queues=self._queues(state.hooks),
            held=inbox.gauges.held(hooks),
            paused={(one.hook, one.receiver) for one in inbox.pauses.paused()},
            arrived=inbox.gauges.arrived(hooks),
            at_work=at_work(inbox),
            needs_relay=state.settings.worker == CELERY,
            bytes=inbox.space.bytes(),
            counted=inbox.counters.all(),
            attempts=inbox.totals.attempts(),
        )

    def _queues(self, hooks: Mapping[str, Hook]) -> dict[tuple[str, str], str]:
        return {
            (name, receiver.name): receiver.queue
            for name, hook in hooks.items()
            for receiver in hook.receivers.connected(self._app)
            if receiver.queue is not None
        }


def _flush(inbox: Inbox) -> None:
    """Add what this process has counted, if somebody else does not write for long just now."""
    try:
        inbox.counters.flush(seconds=_SECONDS_TO_FLUSH)
    except InboxUnavailable:
        return  # it is kept, and what can be read is read


class _Once(Collector):
    """Hands out figures that are known."""

    def __init__(self, figures: Figures | None) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        if self._figures is not None:
            yield from families(self._figures)


def exposition(figures: Figures | None, accept: str) -> tuple[bytes, str]:
    """Return figures as a scraper wants them, and the type of that.

    :param accept: The scraper's ``Accept`` header.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Once(figures))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


def families(figures: Figures | None) -> Iterator[Metric]:
    """Return the families of metrics; without figures they have no samples."""
    yield from _gauges(figures)
    yield from _counters(figures)
    yield _histogram(() if figures is None else figures.attempts)


def _gauges(figures: Figures | None) -> Iterator[Metric]:
    receipts = GaugeMetricFamily(
        "okta_hooks_receipts",
        "Receipts that are not done, by state. Those of the empty receiver are events that have no receipts.",
        labels=("hook", "receiver", "queue", "state"),
    )
    oldest = GaugeMetricFamily(
        "okta_hooks_oldest_pending_age_seconds",
        "Age of the oldest event that a receiver has not finished; 0 if there is none.",
        labels=("hook", "receiver"),
    )
    paused = GaugeMetricFamily(
        "okta_hooks_paused",
        "1 while a receiver is paused, else 0.",
        labels=("hook", "receiver"),
    )
    last = GaugeMetricFamily(
        "okta_hooks_last_delivery_timestamp_seconds",
        "When Okta last delivered something new to a hook.",
        labels=("hook",),
    )
    recent = GaugeMetricFamily(
        "okta_hooks_received_24h",
        "New events that Okta has delivered to a hook within 24 hours.",
        labels=("hook",),
    )
    workers = GaugeMetricFamily("okta_hooks_workers", "Workers that run receivers.")
    relays = GaugeMetricFamily(
        "okta_hooks_relays",
        "Relays that are alive, by whether their broker takes tickets; only with a task queue.",
        labels=("broker",),
    )
    size = GaugeMetricFamily("okta_hooks_inbox_bytes", "Bytes that the inbox takes on the disk.")
    if figures is not None:
        for one in figures.held:
            queue = figures.queues.get((one.hook, one.receiver), "")
            for state, number in (
                ("pending", one.pending),
                ("claimed", one.claimed),
                ("dead", one.dead),
            ):
                receipts.add_metric((one.hook, one.receiver, queue, state), number)
            oldest.add_metric((one.hook, one.receiver), max(one.oldest_seconds, 0.0))
        known = {(one.hook, one.receiver) for one in figures.held if one.receiver}
        for key in sorted(known.union(figures.paused)):
            paused.add_metric(key, key in figures.paused)
        for hook in figures.arrived:
            if hook.last_at is not None:
                last.add_metric((hook.hook,), hook.last_at)
            recent.add_metric((hook.hook,), hook.events_24h)
        workers.add_metric((), figures.at_work.workers)
        _, reachable, away = figures.at_work
        if figures.needs_relay or reachable or away:
            relays.add_metric(("reachable",), reachable)
            relays.add_metric(("away",), away)
        size.add_metric((), figures.bytes)
    yield from (receipts, oldest, paused, last, recent, workers, relays, size)


def _counters(figures: Figures | None) -> Iterator[Metric]:
    counted = figures.counted if figures is not None else {}
    # From 0 on, so that a first one shows as an increase.
    hooks = figures.hooks if figures is not None else ()
    deliveries: _Numbers = {(hook, via): 0 for hook in hooks for via in _VIAS}
    events: _Numbers = {
        (hook, via, result): 0 for hook in hooks for via in _VIAS for result in _RESULTS
    }
    recovered: _Numbers = {(hook,): 0 for hook in hooks}
    refused: _Numbers = {}
    attempts: _Numbers = {}
    for one, number in counted.items():
        if one.kind == DELIVERIES:
            deliveries[one.hook, one.via] = number
        elif one.kind == EVENTS:
            events[one.hook, one.via, one.result] = number
        elif one.kind == RECOVERED:
            recovered[one.hook,] = number
        elif one.kind == REFUSED:
            refused[one.hook, one.result] = number
    for each in figures.attempts if figures is not None else ():
        attempts[each.hook, each.receiver, "done"] = each.done
        attempts[each.hook, each.receiver, "retry"] = each.retried
        attempts[each.hook, each.receiver, "dead"] = each.dead
    yield _family(
        "okta_hooks_deliveries",
        "Deliveries that were stored, also those of which every event was there before.",
        ("hook", "via"),
        deliveries,
    )
    yield _family(
        "okta_hooks_events",
        "Events of these deliveries: new, there before, or unreadable.",
        ("hook", "via", "result"),
        events,
    )
    yield _family(
        "okta_hooks_recovered",
        "Events that a backfill stored before any hook brought them.",
        ("hook",),
        recovered,
    )
    yield _family(
        "okta_hooks_refused",
        "Deliveries that were not accepted, by the status of the answer.",
        ("hook", "status"),
        refused,
    )
    yield _family(
        "okta_hooks_attempts",
        "Attempts of receivers, by what became of them.",
        ("hook", "receiver", "outcome"),
        attempts,
    )


def _family(name: str, text: str, labels: Sequence[str], numbers: _Numbers) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for values, number in sorted(numbers.items()):
        family.add_metric(values, number)
    return family


def _histogram(attempts: Iterable[Attempts]) -> Metric:
    family = HistogramMetricFamily(
        "okta_hooks_receiver_seconds", "How long attempts took.", labels=("hook", "receiver")
    )
    for one in attempts:
        family.add_metric(
            (one.hook, one.receiver),
            buckets=[
                *(
                    (str(limit), float(number))
                    for limit, number in zip(DURATIONS, one.within, strict=True)
                ),
                ("+Inf", float(one.calls)),
            ],
            sum_value=one.seconds,
        )
    return family
