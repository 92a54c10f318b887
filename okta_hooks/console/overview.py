"""The overview: whether all is well, and where to go if it is not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from flask import request

from okta_hooks.inbox.counters import RECOVERED
from okta_hooks.settings import CELERY, EXTERNAL
from okta_hooks.wire.limits import MOST_EVENTS_A_DAY, WARNED_AT
from okta_hooks.work.lease import at_work

from .charts import DAY, HOUR, chart, label
from .pages import render
from .receivers import Known, known_of, rows_of
from .shown import span

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from okta_hooks.inbox import Inbox
    from okta_hooks.inbox.attempt_hours import Span
    from okta_hooks.inbox.gauges import Arrived, Held
    from okta_hooks.work.lease import AtWork

    from .receivers import Row
    from .visit import Visit

    _Step = Literal["hour", "day"]

#: From when on what waits is said to wait for long, and a hook to be silent.
_LATE_SECONDS: Final = 300.0
_SILENT_SECONDS: Final = 24 * 3600.0
_SPANS: Final = {"hour": 48 * HOUR, "day": 30 * DAY}
_STEPS: Final = {"hour": HOUR, "day": DAY}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What the overview shows, as the inbox had it at one moment, ``now``."""

    now: float
    known: Known
    arrived: Sequence[Arrived]
    at_work: AtWork
    recovered: int
    bytes: int
    spans: Sequence[Span]
    reveals: int

    @property
    def held(self) -> Sequence[Held]:
        """What each receiver has to do, and no receiver."""
        return list(self.known.held.values())

    @property
    def open(self) -> int:
        """How much waits for receivers, or is in the hands of one."""
        return sum(one.pending + one.claimed for one in self.held)

    @property
    def dead(self) -> int:
        """How many dead letters there are."""
        return sum(one.dead for one in self.held)

    @property
    def oldest_seconds(self) -> float:
        """How long the oldest of what is open has waited."""
        return max((one.oldest_seconds for one in self.held), default=0.0)

    @property
    def received_24h(self) -> int:
        """How many new events have come within 24 hours."""
        return sum(one.events_24h for one in self.arrived)

    @property
    def last_at(self) -> float | None:
        """When the last delivery came."""
        return max((one.last_at for one in self.arrived if one.last_at is not None), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Concern:
    """Something that somebody should look at, and where; ``kind`` is ``bad`` or ``warn``."""

    kind: str
    text: str
    endpoint: str
    hook: str | None = None
    name: str | None = None


def show(visit: Visit) -> str:
    """Return the overview."""
    hooks = visit.shown_hooks
    step: _Step = "day" if request.args.get("by") == "day" else "hour"
    figures = visit.read(lambda inbox: _figures(inbox, hooks, step))
    rows = rows_of(visit, figures.known)
    starts = [int(span.begin) for span in figures.spans]
    size = _STEPS[step]
    return render(
        "overview.html",
        visit=visit,
        figures=figures,
        rows=rows,
        concerns=_concerns(visit, figures, rows),
        engine=visit.state.settings.worker,
        quota=MOST_EVENTS_A_DAY,
        step=step,
        charts=[
            chart("Received", "calm", starts, [one.received for one in figures.spans], size),
            chart("Handled", "good", starts, [one.handled for one in figures.spans], size),
            chart("Failed", "bad", starts, [one.failed for one in figures.spans], size),
        ],
        spans=[(label(int(one.begin), size), one) for one in reversed(figures.spans)],
        at_okta={hook: visit.org.conditions.get(hook) for hook in hooks},
        asked_at=visit.org.asked_at,
    )


def _figures(inbox: Inbox, hooks: Sequence[str], step: _Step) -> Figures:
    now = inbox.clock()
    counted = inbox.counters.all()
    return Figures(
        now=now,
        known=known_of(inbox, hooks),
        arrived=inbox.gauges.arrived(hooks),
        at_work=at_work(inbox),
        recovered=sum(
            number for one, number in counted.items() if one.kind == RECOVERED and one.hook in hooks
        ),
        bytes=inbox.space.bytes(),
        spans=inbox.attempt_hours.chart(now - _SPANS[step], now, step, hooks=hooks),
        reveals=inbox.audit.number("reveal", since=now - DAY, hooks=hooks),
    )


def _concerns(visit: Visit, figures: Figures, rows: Sequence[Row]) -> list[Concern]:
    """Return what is not as it should be, the worst first."""
    found = [
        *map(of_receiver, rows),
        *of_work(visit.state.settings.worker, figures),
        *of_arrivals(figures),
    ]
    return sorted((one for one in found if one is not None), key=lambda one: one.kind != "bad")


def of_receiver(row: Row) -> Concern | None:
    """Return what somebody should look at of a receiver: the worst, or None."""
    held, lately = row.held, row.lately
    kind = "warn"
    if row.is_failing and lately is not None:
        kind = "bad"
        text = f"is failing: {lately.failed:,} of its last {lately.number:,} attempts failed"
    elif row.pause is not None:
        text = "is paused"
    elif row.connected is None and (held.pending or held.claimed):
        text = "has events waiting, and is not connected here"
    elif held.pending and held.oldest_seconds > _LATE_SECONDS:
        text = f"is behind: its oldest event has waited for {span(held.oldest_seconds)}"
    else:
        return None
    return Concern(
        kind=kind,
        text=f"{held.receiver} {text}",
        endpoint="receiver",
        hook=held.hook,
        name=held.receiver,
    )


def of_work(engine: str, figures: Figures) -> Iterator[Concern]:
    """Return what somebody should look at of what is given up, and of who is to work."""
    if figures.dead:
        noun = "dead letter" if figures.dead == 1 else "dead letters"
        yield Concern(kind="bad", text=f"{figures.dead:,} {noun}", endpoint="dead_letters")
    at_work = figures.at_work
    has_relay = at_work.relays or at_work.relays_without_broker
    text = None
    if at_work.relays_without_broker:
        text = "The broker of the task queue does not answer the relay"
    elif figures.open and engine == EXTERNAL and not at_work.workers:
        text = "Events wait, and no worker is alive"
    elif figures.open and engine == CELERY and not has_relay:
        text = "Events wait, and no relay is alive"
    if text is not None:
        yield Concern(kind="bad", text=text, endpoint="receivers")


def of_arrivals(figures: Figures) -> Iterator[Concern]:
    """Return what somebody should look at of what Okta delivers."""
    for one in figures.arrived:
        if one.last_at is not None and figures.now - one.last_at > _SILENT_SECONDS:
            text = f"No delivery of the hook {one.hook} for {span(figures.now - one.last_at)}"
            yield Concern(kind="warn", text=text, endpoint="registration", hook=one.hook)
    if figures.received_24h >= WARNED_AT * MOST_EVENTS_A_DAY:
        text = f"{figures.received_24h:,} events in 24 h, and Okta delivers {MOST_EVENTS_A_DAY:,} of an org"
        yield Concern(kind="warn", text=text, endpoint="events")
