"""One event: what has happened to it, and what Okta sent, masked until somebody asks for more."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from okta_hooks.audit import doing
from okta_hooks.exceptions import UnreadableDelivery
from okta_hooks.inbox.tables import DEAD
from okta_hooks.masking import masked, masked_text
from okta_hooks.org.urls import shown
from okta_hooks.printable import readable_json
from okta_hooks.wire import reading

from .neutral import fixture
from .pages import render
from .visit import NotThere

if TYPE_CHECKING:
    from okta_hooks.inbox import Inbox
    from okta_hooks.inbox.attempts import Timeline
    from okta_hooks.inbox.overview import StoredEvent

    from .visit import Visit

#: Of a payload, and of a fixture: half of one would be no program.
_LONGEST: Final = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An event with what has happened to it; ``raw`` is None if retention has taken its body."""

    event: StoredEvent
    timeline: Timeline
    raw: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Something that happened to an event, or will. ``at`` is in seconds since the epoch."""

    at: float
    kind: str
    text: str
    detail: str | None = None
    seconds: float | None = None


def show(visit: Visit, event_id: int) -> str:
    """Return the page of an event."""
    found = visit.read(lambda inbox: _find(inbox, visit, event_id))
    return _page(visit, found, revealed=None)


def reveal(visit: Visit, event_id: int) -> str:
    """Return the page with all that Okta sent of the event, which is written down before."""
    found = visit.read(lambda inbox: _find(inbox, visit, event_id))
    if found.raw is None:
        raise NotThere("Retention has taken the body of this event: nothing is left to reveal.")
    with (
        visit.acting() as inbox,
        doing(
            visit.app,
            inbox,
            "reveal",
            found.event.uuid,
            who=visit.who,
            via="console",
            hook=found.event.hook,
            reason=visit.reason,
        ) as done,
    ):
        done.number = 1
    return _page(visit, found, revealed=readable_json(found.raw))


def _find(inbox: Inbox, visit: Visit, event_id: int) -> Found:
    events = inbox.overview.by_ids([event_id])
    timeline = inbox.attempts.timeline(event_id)
    place = inbox.deliveries.position_of(event_id)
    if not events or timeline is None or place is None or events[0].hook not in visit.hooks:
        raise NotThere("This event is not in the inbox, or no longer.")
    _, body = inbox.deliveries.load(place[0])
    raw = None
    if body is not None:
        with suppress(UnreadableDelivery, IndexError):  # somebody has changed it by hand
            raw = reading.load_delivery(body.encode()).events[place[1]]
    return Found(event=events[0], timeline=timeline, raw=raw)


def _page(visit: Visit, found: Found, *, revealed: str | None) -> str:
    timeline = found.timeline
    payload = readable_json(masked(found.raw)) if revealed is None else revealed
    text = fixture(found.raw)
    trace = (timeline.traceparent or "").split("-")
    return render(
        "event.html",
        visit=visit,
        event=found.event,
        timeline=timeline,
        source=shown(timeline.source or ""),
        moments=_moments(found),
        has_dead=visit.visitor.may_operate and any(one.state == DEAD for one in timeline.receipts),
        has_body=found.raw is not None,
        payload=payload[:_LONGEST],
        left_out=max(len(payload) - _LONGEST, 0),
        is_revealed=revealed is not None,
        fixture=None if text is None or len(text) > _LONGEST else text,
        trace_id=trace[1] if len(trace) > 1 else None,
    )


def _moments(found: Found) -> list[Moment]:
    """Return what has happened to an event, and what will, in the order of time."""
    event, timeline = found.event, found.timeline
    moments: list[Moment] = []
    if timeline.published is not None:
        moments.append(Moment(at=timeline.published, kind="okta", text="Published at Okta"))
    text = "Delivered by the hook, and stored" if timeline.via == "hook" else "Stored by a backfill"
    moments.append(Moment(at=timeline.received_at, kind="stored", text=text))
    if event.reason:
        moments.append(
            Moment(
                at=timeline.received_at, kind="dead", text="Dead", detail=masked_text(event.reason)
            )
        )
    results = {
        "done": "done",
        "pending": "failed, and is tried again",
        "dead": "failed, and is dead",
    }
    moments += [
        Moment(
            at=one.ended_at,
            kind={"pending": "failed"}.get(one.outcome, one.outcome),
            text=f"{one.receiver}, attempt {one.number}: {results.get(one.outcome, one.outcome)}",
            detail=one.error and masked_text(one.error),
            seconds=one.seconds,
        )
        for one in timeline.attempts
    ]
    moments += [
        Moment(at=one.next_at, kind="next", text=f"{one.receiver}: the next attempt is due")
        for one in timeline.receipts
        if one.next_at is not None
    ]
    # What is due at once stands behind what has led to it.
    return sorted(moments, key=lambda one: (one.at, one.kind == "next"))
