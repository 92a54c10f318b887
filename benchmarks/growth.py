"""Whether storing and claiming take longer when there is much in the tables."""

from __future__ import annotations

import json
import time
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from okta_hooks.inbox.assignments import Assignment
from okta_hooks.inbox.claims import Settlement
from okta_hooks.inbox.contradictions import Match
from okta_hooks.inbox.intake import NewDelivery, NewEvent
from okta_hooks.wire.events import Delivery

from .figures import turns
from .stock import HOOKS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .figures import Figures
    from .stock import Stock

STORE: Final = "milliseconds to store a delivery of 100 events"
CLAIM: Final = "milliseconds to hand out and claim 20 events"
COMPARE: Final = "milliseconds to find 100 events of the log that are stored already"
_EVENTS: Final = 100
_CLAIMED: Final = 20
#: Among the keys of most: the index begins with the hook.
_HOOK: Final = HOOKS[0]
#: Of its own: what waits in the inbox is not handed out.
_HOOK_OF_CLAIMS: Final = "grown"
_RECEIVER: Final = "no-op"
_WORKER: Final = "me"
#: What was stored meanwhile: a table of so many events keeps its size.
_EMPTY: Final = (
    "DELETE FROM okta_hooks_receipt WHERE event_id > {events}",
    "DELETE FROM okta_hooks_event WHERE id > {events}",
    "DELETE FROM okta_hooks_delivery WHERE id > {deliveries}",
    f"DELETE FROM okta_hooks_total WHERE hook = '{_HOOK_OF_CLAIMS}'",  # noqa: S608 - our own name
)


def measure(figures: Figures, filled: Sequence[Stock], *, times: int) -> None:
    """Store and claim in a small inbox and in a large one, in turn."""
    for one in filled:
        one.inbox.workers.beat(_WORKER, 3600)
    for one in turns(filled, times):
        name = f"{one.events:,} events"
        new = _delivery(_HOOK, _EVENTS)
        figures.note(f"{STORE}, {one.kind}", name, _milliseconds(one.inbox.intake.store, [new]))
        figures.note(f"{COMPARE}, {one.kind}", name, _milliseconds(_compare, one, new))
        one.inbox.intake.store([_delivery(_HOOK_OF_CLAIMS, _CLAIMED)])
        figures.note(f"{CLAIM}, {one.kind}", name, _milliseconds(_claim, one))
        with one.engine.begin() as connection:
            for statement in _EMPTY:
                connection.exec_driver_sql(
                    statement.format(events=one.events, deliveries=one.deliveries)
                )
    for one in filled:
        one.inbox.workers.leave(_WORKER)


def _delivery(hook: str, number: int) -> NewDelivery:
    received = Delivery(event_id=None, source=None, via="hook", received_at=datetime.now(UTC))
    # Of version 4: each goes to another place of the index, the worst for a large one.
    events = [
        NewEvent(key=str(uuid.uuid4()), type="user.session.start", published=1.7e9)
        for _ in range(number)
    ]
    body = json.dumps({"data": {"events": _raw(events)}}).ljust(100_000)
    return NewDelivery(hook=hook, delivery=received, body=body, events=tuple(events))


def _raw(events: Sequence[NewEvent]) -> list[dict[str, Any]]:
    """Return events as Okta has them."""
    return [{"uuid": each.key, "eventType": each.type} for each in events]


def _compare(one: Stock, new: NewDelivery) -> None:
    found = one.inbox.contradictions.compare(new, _raw(new.events))
    if len(found) != _EVENTS or Match.FROM_LOG in found.values():
        raise RuntimeError(f"They are stored, and were not found: {found}")


def _claim(one: Stock) -> None:
    inbox = one.inbox
    events = inbox.assignments.unassigned([_HOOK_OF_CLAIMS], limit=_CLAIMED)
    inbox.assignments.assign([Assignment(event=event, receivers=(_RECEIVER,)) for event in events])
    claims = inbox.claims.claim(_WORKER, _HOOK_OF_CLAIMS, _RECEIVER, _CLAIMED)
    inbox.claims.settle(_WORKER, [Settlement(claim=claim, state="done") for claim in claims])


def _milliseconds(call: Callable[..., Any], *arguments: Any) -> float:
    began = time.perf_counter()
    call(*arguments)
    return (time.perf_counter() - began) * 1000
